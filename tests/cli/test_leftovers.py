"""Units in values, names beside folders, links, signals, paths of this machine: small things that misled."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

import cortexgraph as cg
from cortexgraph.cli.options import prepare
from cortexgraph.data.cifar10 import cifar10
from cortexgraph.data.load import Request
from cortexgraph.files import replacing
from cortexgraph.training import packed
from cortexgraph.training.engine import Interrupts, check_trackers
from cortexgraph.training.packing import _shared, _without_paths

WITH_DELAY = [
    ("delay", "10ms", "`delay_ms: 10`"),
    ("delay", "10 ms", "`delay_ms: 10`"),
    ("delay", "0.02 s", "`delay_ms: 20`"),
    ("delay_ms", "10ms", "`delay_ms: 10`"),
    ("delay_ms", "2.5 milliseconds", "`delay_ms: 2.5`"),
]


@pytest.mark.parametrize(("key", "value", "repair"), WITH_DELAY)
def test_a_duration_with_its_unit_is_pointed_to_the_key_in_ms(key: str, value: str, repair: str) -> None:
    with pytest.raises(cg.SpecError, match=f"the text `{value}`.*\\n  Write {repair}, in ms"):
        cg.load("ventral", {f"connections[V4 -> V2].{key}": value, "time.dt_ms": 10})
    with pytest.raises(cg.SpecError, match=r"Write `dt_ms: 10`, in ms"):
        cg.load("ventral", {"time.dt_ms": "10 ms"})


def test_zoo_names_and_trained_networks_are_found_beside_folders_of_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = cg.page("ventral")
    monkeypatch.chdir(tmp_path)
    for name in ("ventral", "ventral-cifar10"):
        Path(name).mkdir()
    assert cg.page("ventral") == expected
    assert cg.load("ventral").name == "ventral"
    assert cg.load_run("ventral-cifar10").classes[0] == "airplane"
    shutil.rmtree("ventral")
    shutil.copytree(packed()["ventral-cifar10"], "ventral")  # the folder of a run is meant
    assert "Training</h2>" in cg.page("ventral")


def test_a_finished_run_without_its_curves_is_finished(tmp_path: Path) -> None:
    shutil.copytree(packed()["ventral-cifar10"], tmp_path / "run")
    page = cg.page(tmp_path / "run")
    assert "81.29%" in page
    assert "not finished" not in page


def test_a_link_is_written_in_the_format_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "target.bin").touch()
    (tmp_path / "link.npz").symlink_to("target.bin")
    with replacing(tmp_path / "link.npz") as temporary:
        assert temporary.suffix == ".npz"
        temporary.write_text("whole")
    assert (tmp_path / "target.bin").read_text() == "whole"
    assert (tmp_path / "link.npz").is_symlink()


def test_the_second_signal_says_something(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    killed: list[int] = []
    monkeypatch.setattr("os.kill", lambda _, number: killed.append(number))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    interrupts = Interrupts()
    interrupts._handle(2, None)
    interrupts._handle(2, None)
    assert killed == [2]
    assert "Stopped at once; epochs that are saved can be continued with --resume." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (URLError(OSError(-2, "Name or service not known")), r"downloaded \(Name or service not known\)"),
        (HTTPError("http://x", 404, "Not Found", {}, None), r"downloaded \(Not Found\)"),  # type: ignore[arg-type]
        (RuntimeError("File not found or corrupted."), r"downloaded \(File not found or corrupted\.\)"),
    ],
)
def test_a_failed_download_says_why_in_words(
    error: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.datasets.CIFAR10", fails)
    with pytest.raises(cg.DataError, match=said):
        cifar10(Request("cifar10", (32, 32), 3, 0, tmp_path, True, {}, False))


def test_an_empty_date_of_the_source_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    prepare()
    assert cg.draw("ventral").svg()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "abc")
    with pytest.raises(cg.CortexGraphError, match="SOURCE_DATE_EPOCH: `abc` is set"):
        prepare()


@pytest.mark.parametrize(
    ("command", "without"),
    [
        ("train ventral --data cifar10 --data-root /home/ann/data", "train ventral --data cifar10 --data-root data"),
        ("train ventral --data-root=/home/ann/data --out RUN", "train ventral --data-root=data --out RUN"),
        ("train '/home/ann/my specs/a.yaml' --data DIR", "train a.yaml --data DIR"),
        ("train ~/specs/a.yaml --lr 0.01", "train a.yaml --lr 0.01"),
        ("train specs/a.yaml --set areas[TH/TF].size=8", "train specs/a.yaml --set 'areas[TH/TF].size=8'"),
    ],
)
def test_no_path_of_this_machine_is_packed(command: str, without: str) -> None:
    assert _without_paths(command) == without


def test_mlflow_refuses_folders_that_it_would_misread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cortexgraph.training.engine.MLFLOW_SERVER", None)
    monkeypatch.setattr("cortexgraph.training.engine.is_installed", lambda _: True)
    check_trackers(["mlflow"], tmp_path / "run")
    for sign in "?#%":
        with pytest.raises(cg.CortexGraphError, match=f"the path has `[{sign}]`, which mlflow"):
            check_trackers(["mlflow"], tmp_path / f"run{sign}1")
    check_trackers(["csv"], tmp_path / "run?1")


@pytest.mark.parametrize(
    ("command", "data", "shared"),
    [
        ("train ventral --data shapes --out runs/shapes", "shapes", "train ventral --data shapes --out RUN"),
        (
            "train v.yaml --data=data --data-memory 2GB --out runs/shapes",
            "data/",
            "train v.yaml --data=data --data-memory 2GB --out RUN",
        ),
        ("train v.yaml --data ./data --data-memory 2GB", "./data", "train v.yaml --data DIR --data-memory 2GB"),
    ],
)
def test_folders_are_replaced_as_whole_words(command: str, data: str, shared: str) -> None:
    assert _shared(command, Path("runs/shapes"), data) == shared
