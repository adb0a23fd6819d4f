"""Whatever happens to a file of a run: a finding or the same result, no traceback, no hang, no other weights."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cortexgraph as cg
from cortexgraph.errors import CortexGraphError
from cortexgraph.experiment import ExperimentSpec
from cortexgraph.experiment.compare import compare
from cortexgraph.spec import save
from cortexgraph.training import Interrupted, TrainSettings, evaluate, load_run, predict, train

from .conftest import striped_data, tiny_spec
from .test_resume import assert_equal_runs, interrupt_after

pytestmark = pytest.mark.usefixtures("no_pictures")

SETTINGS = TrainSettings(epochs=3, batch_size=16, device="cpu")
HANG_S = 120


# ---- what is done to a file ------------------------------------------------------------


def cut(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content) or 1)])


def emptied(path: Path, draw: random.Random) -> None:
    path.write_bytes(b"")


def flipped(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes() or b"x")
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def replaced(path: Path, draw: random.Random) -> None:
    path.unlink()
    kind = draw.choice(["folder", "pipe", "loop", "dangling", "device", "link", "nothing"])
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "nothing":
        targets = {"loop": path, "dangling": path.with_name("no such file"), "device": Path("/dev/zero")}
        path.symlink_to(targets.get(kind, path.parent))


def rewritten(path: Path, draw: random.Random) -> None:
    """JSON of another form, or what only JSON's grammar allows; other files get bytes at random."""
    if path.suffix != ".json":
        path.write_bytes(draw.randbytes(200))
        return
    content = json.loads(path.read_text())
    holder: Any = content
    key = draw.choice(list(holder))
    while isinstance(holder[key], dict) and holder[key] and draw.random() < 0.7:
        holder = holder[key]
        key = draw.choice(list(holder))
    values: list[object] = [None, -1, 0, 10**400, 1e308, float("nan"), float("inf"), "", "9" * 5000, [], {}, [[]], True]
    values += ["\ud800", "\x1b[31m", "=1+1", "../../etc", {"a": 1}, [1, "a"], "x" * 100_000, 0.5, "NaN"]
    action = draw.randrange(4)
    if action == 0:
        del holder[key]
    elif action == 1:
        holder[draw.choice(["extra", "__class__", "\udfff", ""])] = draw.choice(values)
    else:
        holder[key] = draw.choice(values)
    path.write_text(json.dumps(content) if draw.random() < 0.95 else "[" * 200_000)


TAMPERS: list[Callable[[Path, random.Random], None]] = [cut, emptied, flipped, replaced, rewritten, rewritten]


def tampered(folder: Path, draw: random.Random) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    weighted = [path for path in files for _ in range(4 if path.suffix in {".json", ".ckpt", ".safetensors"} else 1)]
    path, change = draw.choice(weighted), draw.choice(TAMPERS)
    change(path, draw)
    return f"{change.__name__} {path.relative_to(folder)}"


@contextmanager
def no_hang() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ---- what is done with a run -----------------------------------------------------------


class Originals:
    """A finished run, an unfinished one, and an experiment, with what they give."""

    def __init__(self, folder: Path) -> None:
        self.data, self.picture = striped_data(), folder / "picture.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)).save(self.picture)
        self.finished, self.unfinished = folder / "finished", folder / "unfinished"
        train(tiny_spec(), self.data, SETTINGS, self.finished, quiet=True)
        with pytest.MonkeyPatch.context() as patch:
            interrupt_after(patch, "on_train_epoch_end", 2)
            with pytest.raises(Interrupted, match="after 2 of 3"):
                train(tiny_spec(), self.data, SETTINGS, self.unfinished, quiet=True)
        self.last = load_run(self.unfinished, epoch="last").weights
        self.weights = {
            self.finished: load_run(self.finished).weights,
            self.unfinished: load_run(self.unfinished).weights,
        }
        self.evaluation = evaluate(self.finished, self.data, device="cpu")
        self.labels = predict([self.picture], self.finished, device="cpu").probabilities
        save(tiny_spec(input={"channels": 1, "size": 8}, readout={"from": "IT", "classes": 10}), folder / "tiny.yaml")
        self.experiment = ExperimentSpec.model_validate(
            {
                "name": "small",
                "spec": str(folder / "tiny.yaml"),
                "data": {"source": "shapes", "train_images": 20, "test_images": 10},
                "settings": {"epochs": 1, "batch_size": 10, "device": "cpu"},
                "evaluate": {"longer": {"at": "all", "steps": 5}},
            }
        )
        self.compared = folder / "compared"
        self.table = compare(self.experiment, self.compared).table

    def use(self, original: Path, folder: Path) -> Iterator[Callable[[], object]]:
        """Everything that may be done with a copy of a run, checked if it is done."""
        if original == self.compared:
            yield lambda: self.check_compare(folder)
            return
        finished = original == self.finished
        yield lambda: same(load_run(folder).weights, self.weights[original])
        yield lambda: same(load_run(folder, epoch="last").weights, self.last) if not finished else None
        if finished:
            yield lambda: self.check_evaluation(folder)
        yield lambda: cg.page(folder, folder.with_name("page.html"))
        yield lambda: self.check_resumed(folder)

    def check_evaluation(self, folder: Path) -> None:
        assert evaluate(folder, self.data, device="cpu").rows() == self.evaluation.rows()
        assert torch.equal(predict([self.picture], folder, device="cpu").probabilities, self.labels)

    def check_resumed(self, folder: Path) -> None:
        train(tiny_spec(), self.data, SETTINGS, folder, resume=True, quiet=True)
        assert_equal_runs(self.finished, folder)

    def check_compare(self, folder: Path) -> None:
        found = compare(self.experiment, folder)
        assert not any("Traceback" in outcome.error for outcome in found.outcomes), found.outcomes
        for row, expected in zip(found.table, self.table, strict=False):
            assert row.scores == expected.scores


def same(weights: Any, expected: Any) -> None:
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cortexgraph.training.fit.draw_curves", lambda *arguments: None)
        torch.set_num_threads(1)
        return Originals(tmp_path_factory.mktemp("originals"))


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("touched"),)


def test_no_code_of_a_run_is_executed(originals: Originals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for original in (originals.finished, originals.unfinished):
        folder = shutil.copytree(original, tmp_path / original.name)
        (folder / "model.py").write_text("from pathlib import Path\nPath('touched').touch()\n")
        for checkpoint in (folder / "checkpoints").iterdir():
            torch.save({"state_dict": {}, "extra": Harmful()}, checkpoint)
        for use in originals.use(original, folder):
            with suppress(CortexGraphError):
                use()
        assert (folder / "model.py").exists()
    assert not (tmp_path / "touched").exists()


COUNT = int(os.environ.get("CORTEXGRAPH_TAMPERED", "24"))


def test_tampered_runs_give_a_finding_or_the_same(originals: Originals, tmp_path: Path) -> None:
    """400 of them with `CORTEXGRAPH_TAMPERED=400`."""
    draw, problems, tally = random.Random(COUNT), list[str](), {"same": 0, "finding": 0}
    for number in range(COUNT):
        original = draw.choice([originals.finished, originals.unfinished, originals.unfinished, originals.compared])
        folder = tmp_path / str(number) / original.name
        shutil.copytree(original, folder)
        change = tampered(folder, draw)
        for use in originals.use(original, folder):
            try:
                with no_hang():
                    use()
                tally["same"] += 1
            except CortexGraphError as error:
                str(error).encode()
                tally["finding"] += 1
            except Exception as error:
                problems.append(f"{number}: {original.name}: {change}: {type(error).__name__}: {str(error)[:200]!r}")
        shutil.rmtree(tmp_path / str(number))
    print(tally, *problems, sep="\n")
    assert problems == []
