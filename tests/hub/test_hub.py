"""Shared networks: the folder and its card, a hub that is a folder, the cache of its client, and what can be wrong."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

import cortexgraph as cg
from cortexgraph import cli
from cortexgraph.compiler import compile_spec
from cortexgraph.errors import CortexGraphError, CortexGraphWarning, DataError
from cortexgraph.extras import MissingPackageError
from cortexgraph.hub import write_shared
from cortexgraph.training import load_run
from cortexgraph.training.named_runs import hub_name
from cortexgraph.training.starting import load_weights
from tests.training.conftest import tiny_spec

pytestmark = pytest.mark.usefixtures("one_thread")

NET, SHA = "lab/ventral", "0123456789abcdef0123456789abcdef01234567"
IMAGES = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hub") / "shared"
    return write_shared("ventral-cifar10", out, name=NET, licence="mit", datasets=["uoft-cs/cifar10"])


@pytest.fixture(scope="module")
def logits() -> torch.Tensor:
    return outputs(load_run("ventral-cifar10"))


def outputs(run: cg.training.TrainedRun) -> torch.Tensor:
    with torch.no_grad():
        return run.network(run.prepare(IMAGES))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the hub: `org/name/revision/files`; each upload makes the next revision and moves main."""
    root = tmp_path / "hub"

    def create(api: object, name: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        (root / name / "main").mkdir(parents=True, exist_ok=True)
        (root / name / "main" / ".private").write_text(str(private))

    def upload(
        api: object, *, repo_id: str, folder_path: Path, commit_message: str, delete_patterns: list[str]
    ) -> SimpleNamespace:
        main = root / repo_id / "main"
        for path in [*main.iterdir()]:
            if any(fnmatch(path.name, pattern) for pattern in delete_patterns):
                path.unlink()
        shutil.copytree(folder_path, main, dirs_exist_ok=True)
        revision = f"v{len([*(root / repo_id).iterdir()])}"
        shutil.copytree(main, root / repo_id / revision)
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/{revision}")

    def download(name: str, *, revision: str | None, allow_patterns: list[str], **others: Any) -> str:
        assert others["local_files_only"] is False
        target = tmp_path / "cache" / name / (revision or "main")
        source = root / name / (revision or "main")
        for path in source.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / path.name)
        return str(target)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "token")
    return root


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cortexgraph", *words])
    with pytest.raises(SystemExit, match=r"^[012]$") as ended:
        cli.main()
    return int(ended.value.code or 0)


# ---- the folder ------------------------------------------------------------------


def test_the_folder_is_a_packed_run_with_a_card_and_a_drawing(shared: Path, logits: torch.Tensor) -> None:
    names = {"data.json", "metrics.csv", "settings.json", "spec.yaml", "summary.json", "summary.md"}
    assert {path.name for path in shared.iterdir()} == names | {"weights.safetensors", "README.md", "areas.png"}
    assert (shared / "areas.png").read_bytes().startswith(b"\x89PNG")
    assert torch.equal(outputs(cg.from_pretrained(shared)), logits)
    assert torch.equal(outputs(load_run(shared)), logits)


def test_the_card_says_what_the_hub_reads(shared: Path) -> None:
    card = huggingface_hub.ModelCard.load(shared / "README.md")
    data, summary = card.data.to_dict(), load_run(shared).folder.read_summary()
    assert (data["license"], data["library_name"], data["metrics"]) == ("mit", "cortexgraph", ["accuracy"])
    assert data["datasets"] == ["uoft-cs/cifar10"]
    assert "cortexgraph" in data["tags"]
    results = {each.metric_name: each.metric_value for each in card.data.eval_results or []}
    assert results == {f"test accuracy at step {step}": pytest.approx(a) for step, a in summary.accuracy.items()}
    for text in ("areas.png", "@article{liao2016bridging", "@software{cortexgraph", "| 6 | ", f"hf://{NET}"):
        assert text in card.content
    for entry in re.findall(r"^@.*$", card.content, re.MULTILINE):
        assert entry.count("{") == entry.count("}")


def test_the_three_lines_of_the_card_run(shared: Path, hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(shared, hub / NET / "main")
    (code,) = re.findall(r"```python\n(.*?)```", (shared / "README.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) == 3
    exec(code, {})
    assert capsys.readouterr().out == "torch.Size([1, 3, 10])\n"


def test_a_folder_without_a_name_is_opened_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        command(monkeypatch, "push", "ventral-cifar10", "--to", "mine", "--data", "CIFAR-10", "--license", "mit") == 0
    )
    text = Path("mine/README.md").read_text()
    assert 'cg.from_pretrained("./mine")' in text
    assert "--weights ./mine" in text
    assert cg.from_pretrained("./mine").data == "CIFAR-10"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_released_checkpoint_is_shared_as_a_run(tmp_path: Path) -> None:
    spec = tmp_path / "net.yaml"
    cg.save(tiny_spec(), spec)
    state = compile_spec(tiny_spec()).state_dict()
    save_file({f"old_{key}": value.clone() for key, value in state.items()}, tmp_path / "theirs.safetensors")
    keys = "\n".join(f'  old_{key}: "{key}"' for key in state)
    images = "images: {mean: [0.5], std: [0.25], resize: 9}"
    (tmp_path / "net.keys.yaml").write_text(f"data: stripes\n{images}\nclasses: [a, b, c]\nkeys:\n{keys}\n")
    released = load_run(tmp_path / "theirs.safetensors", spec=str(spec))
    run = cg.from_pretrained(write_shared(released, tmp_path / "out"))
    x = IMAGES[:, :1, :8, :8]
    assert torch.equal(run.network(run.prepare(x)), released.network(released.prepare(x)))
    assert (run.classes, run.data, run.card.resize) == (("a", "b", "c"), "stripes", 9)
    assert run.labels(["x", "y", "z"]).tolist() == released.labels(["x", "y", "z"]).tolist()
    card = huggingface_hub.ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.eval_results is None
    assert "license" not in card.data.to_dict()


# ---- the hub ---------------------------------------------------------------------


def test_what_is_pushed_is_what_anyone_opens(
    hub: Path, logits: torch.Tensor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "push", "ventral-cifar10", NET, "--private") == 0
    printed = capsys.readouterr().out
    assert f"shared at https://hub/{NET}/v1; open it with cg.from_pretrained('{NET}')" in printed
    assert "names no licence" in printed
    assert (hub / NET / "main" / ".private").read_text() == "True"
    (hub / NET / "main" / "validation.json").write_text("{}")  # of an earlier run, which this one has not
    (hub / NET / "main" / "pytorch_model.bin").write_bytes(b"code")  # someone else's
    assert cg.push("ventral-strong-cifar10", NET) == f"https://hub/{NET}/v2"
    assert not (hub / NET / "v2" / "validation.json").exists()
    assert cg.from_pretrained(NET).spec.name == "ventral_strong"
    assert torch.equal(outputs(cg.from_pretrained(NET, revision="v1")), logits)
    assert torch.equal(outputs(load_run(f"hf://{NET}@v1")), logits)
    assert not [*hub.parent.glob(f"cache/{NET}/*/*.bin")]


def test_commands_take_an_address(
    shared: Path, hub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shared, hub / NET / "main")
    image = str(Path(__file__).parents[2] / "examples" / "airplane.png")
    assert command(monkeypatch, "predict", image, "-w", f"hf://{NET}") == 0
    assert "airplane" in capsys.readouterr().out
    run = load_run(Path(f"hf://{NET}"))  # a path has one slash
    start = load_weights(cg.compile(run.spec), f"hf://{NET}", run.classes)
    assert str(start) == f"starts from the weights of hf://{NET}"
    assert hub_name(PureWindowsPath(f"hf://{NET}@v1")) == (NET, "v1")


def test_the_cache_of_the_client_and_a_revision_are_honoured(
    shared: Path, tmp_path: Path, logits: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cache = tmp_path / "models--lab--ventral"
    shutil.copytree(shared, cache / "snapshots" / SHA)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(SHA)
    assert torch.equal(outputs(cg.from_pretrained(NET, local_files_only=True)), logits)
    assert torch.equal(outputs(cg.from_pretrained(NET, revision=SHA, local_files_only=True)), logits)
    for name, revision in (("lab/other", None), (NET, "v9"), (NET, SHA[::-1])):
        with pytest.raises(DataError, match=f"hf://{name}: it is not in the cache, and the hub was not reached"):
            cg.from_pretrained(name, revision=revision, local_files_only=True)


# ---- what is wrong ---------------------------------------------------------------


def damaged(shared: Path, out: Path, change: Callable[[Path], object]) -> Path:
    shutil.copytree(shared, out)
    change(out)
    return out


def cut(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def other_weights(folder: Path) -> None:
    state = load_file(folder / "weights.safetensors")
    save_file({key: value.new_zeros(2) for key, value in state.items()}, folder / "weights.safetensors")


def spec_with(old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / "spec.yaml").read_text()
        assert old in text
        (folder / "spec.yaml").write_text(text.replace(old, new, 1))

    return change


def pickle_alone(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    (folder / "modeling_net.py").write_text("raise SystemExit")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, "weights.safetensors is not whole"),
        (other_weights, "weights.safetensors belongs to another spec"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "not finished its first epoch|is missing"),
        (lambda folder: (folder / "spec.yaml").unlink(), "spec.yaml is missing"),
        (spec_with("cortexgraph: 1", "cortexgraph: 2"), r"spec\.yaml:1: cortexgraph: the language version is `2`"),
        (spec_with("channels: ", "channelz: "), "spec.yaml cannot be read as a spec"),
        (lambda folder: (folder / "settings.json").write_text('{"cortexgraph_run": 9}'), "layout of this run has .* 9"),
        (pickle_alone, r"code are not read \(`modeling_net.py` and `pytorch_model.bin`\), but a folder .* is needed"),
    ],
)
def test_a_folder_that_is_wrong_is_one_message(
    shared: Path, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    folder = damaged(shared, tmp_path / "net", change)
    with pytest.raises(CortexGraphError, match=message) as caught:
        cg.from_pretrained(folder)
    assert len(caught.value.diagnostics) == 1


def test_files_that_may_hold_code_are_not_read_and_it_is_said(shared: Path, tmp_path: Path) -> None:
    folder = damaged(shared, tmp_path / "net", lambda folder: (folder / "pytorch_model.bin").write_bytes(b"cos\n"))
    with pytest.warns(CortexGraphWarning, match=r"code are not read \(`pytorch_model.bin`\)"):
        cg.from_pretrained(folder)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.RepositoryNotFoundError, "the hub has no such network, or it is private.\n.*`hf auth login`"),
        (errors.GatedRepoError, "access to it must be asked for"),
        (errors.RevisionNotFoundError, "it has no revision `v1`"),
        (errors.OfflineModeIsEnabled, "it is not in the cache, and the hub was not reached"),
        (errors.HFValidationError, "HFValidationError"),
        (TimeoutError, "TimeoutError"),
    ],
)
def test_what_the_hub_says_is_one_message(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(DataError, match=f"hf://{NET}: {message}"):
        cg.from_pretrained(NET, revision="v1")


def test_nothing_is_written_or_uploaded_where_something_is_wrong(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken" / "by").mkdir(parents=True)
    for words, message in (
        (["ventral-cifar10"], "neither of ORG/NAME and --to is given"),
        (["ventral-cifar10", NET, "--to", "x"], "both of ORG/NAME and --to is given"),
        (["ventral-cifar10", "name"], "a name is `org/name`"),
        (["nothing", "--to", str(tmp_path / "x")], "this folder does not exist"),
        (["ventral-cifar10", "--to", str(tmp_path / "taken")], "taken: this exists already"),
        (["ventral-cifar10", "--to", str(Path(__file__) / "x")], "it cannot be written"),
    ):
        assert command(monkeypatch, "push", *words) == 1
        assert message in capsys.readouterr().err
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(DataError, match="you are not logged in"):
        cg.push("ventral-cifar10", NET)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    with pytest.raises(DataError, match="a folder has no revisions"):
        cg.from_pretrained(tmp_path, revision="v1")


def test_without_the_package_it_is_said_and_folders_open(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cortexgraph.extras.is_installed", lambda module: module != "huggingface_hub")
    with pytest.raises(MissingPackageError, match=r"pip install huggingface[-_]hub"):
        cg.from_pretrained(NET)
    assert cg.from_pretrained(shared).spec.name == "ventral"
