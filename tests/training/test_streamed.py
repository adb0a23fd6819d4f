"""Training on images that are read as they are needed: the same run as from memory, resumable to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cortexgraph.data import ImageData, load_data
from cortexgraph.errors import DataError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import Interrupted, RunFolder, TrainSettings, evaluate, load_run, recorder, train
from cortexgraph.training.metrics import Scores
from cortexgraph.training.module import TrainingModule
from cortexgraph.training.recorder import Recorder

from .conftest import INGREDIENTS, striped_images
from .test_resume import assert_equal_runs, interrupt_after, metrics

pytestmark = pytest.mark.usefixtures("no_pictures")

Make = Callable[..., TrainSettings]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stripes as a folder of files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for split, count in (("train", 48), ("test", 24)):
        some = striped_images(count, seed=len(split))
        for number, (image, label) in enumerate(zip(some.images, some.labels.tolist(), strict=True)):
            file = tmp_path / "data" / split / str(label) / f"{number:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(file)
    return tmp_path / "data"


def loaded(root: Path, **wishes: Any) -> tuple[ImageData, dict[str, Any]]:
    """The images, and the arguments that a run stores."""
    origin = {"source": str(root), "channels": 1, "size": (8, 8), **wishes}
    return load_data(**origin), origin


def test_streamed_run_equals_that_from_memory_and_resumes_to_the_bit(
    spec: NetworkSpec, settings: Make, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(epochs=2, validation=9, **INGREDIENTS)
    train(spec, loaded(root)[0], chosen, tmp_path / "memory", quiet=True)
    streamed, origin = loaded(root, memory="1kB", workers=1)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_batch_end", 3)  # in the middle of the second epoch
        with pytest.raises(Interrupted, match="after 1 of 2"):
            train(spec, streamed, chosen, tmp_path / "run", quiet=True, origin=origin)
    train(spec, streamed, chosen, tmp_path / "run", resume=True, quiet=True, origin=origin)
    assert metrics(tmp_path / "memory") == metrics(tmp_path / "run")
    assert_equal_runs(tmp_path / "memory", tmp_path / "run")
    run = load_run(tmp_path / "run")
    card = json.loads((tmp_path / "run" / "data.json").read_text())
    assert (card["streamed"], card["preparation"]) == (True, "used at their size of 8 × 8 pixels")
    assert card["load_data"]["memory"] == "1kB"
    again = load_data(**run.data_arguments())
    assert again.train.streamed
    assert evaluate(run, again).steps == evaluate(run, loaded(root)[0]).steps


def test_an_image_that_becomes_unreadable_loses_nothing(
    spec: NetworkSpec, settings: Make, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, _ = loaded(root, memory=0, workers=0)
    sound = (root / "train" / "0" / "00.png").read_bytes()
    original = Recorder.on_train_epoch_end

    def spoil(self: Recorder, *arguments: Any) -> None:
        original(self, *arguments)
        (root / "train" / "0" / "00.png").write_bytes(sound[:30])

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_train_epoch_end", spoil)
        with pytest.raises(DataError, match=r"train/0/00.png: this image cannot be read .*\n  Remove the file or"):
            train(spec, data, settings(epochs=2), tmp_path / "run", quiet=True)
    (root / "train" / "0" / "00.png").write_bytes(sound)
    train(spec, data, settings(epochs=2), tmp_path / "run", resume=True, quiet=True)
    train(spec, data, settings(epochs=2), tmp_path / "whole", quiet=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")


def test_the_size_policy_is_stored_and_used(spec: NetworkSpec, settings: Make, root: Path, tmp_path: Path) -> None:
    data, origin = loaded(root, resize=16)
    train(spec, data, settings(epochs=1), tmp_path / "run", quiet=True, origin=origin)
    run = load_run(tmp_path / "run")
    assert run.card.preparation.startswith("resized to a shorter side of 16 pixels, of which the middle 8 × 8")
    assert (run.card.resize, run.data_arguments()["resize"]) == (16, 16)
    assert torch.equal(load_data(**run.data_arguments()).test.images, data.test.images)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("memory", "batch", "steps_left"), [(None, 2, 4), (0, 2, 4), (None, 5, 1)])
def test_an_epoch_is_taken_up_where_its_last_checkpoint_was_written(
    spec: NetworkSpec,
    settings: Make,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memory: int | None,
    batch: int,
    steps_left: int,
) -> None:
    chosen, data = settings(epochs=2, freeze=("V1",), **INGREDIENTS), loaded(root, memory=memory, workers=0)[0]
    train(spec, data, chosen, tmp_path / "whole", quiet=True)
    assert not RunFolder(tmp_path / "whole").within.exists()
    monkeypatch.setattr(recorder, "SAVE_EVERY_S", -1.0)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_batch_end", batch + 1)  # the checkpoint before the last batch is kept
        with pytest.raises(Interrupted, match=r"of 2 epochs; resuming goes on within the next one"):
            train(spec, data, chosen, tmp_path / "run", quiet=True)
    assert RunFolder(tmp_path / "run").within.exists()
    torch.rand(3)
    steps, step = [], TrainingModule.training_step
    monkeypatch.setattr(TrainingModule, "training_step", lambda self, *rest: steps.append(rest[1]) or step(self, *rest))
    train(spec, data, chosen, tmp_path / "run", resume=True, quiet=True)
    assert len(steps) == steps_left
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")
    assert not RunFolder(tmp_path / "run").within.exists()


def test_a_checkpoint_within_an_epoch_that_is_finished_does_not_count(
    spec: NetworkSpec, settings: Make, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, chosen, run = loaded(root)[0], settings(epochs=2), RunFolder(tmp_path / "run")
    train(spec, data, chosen, tmp_path / "whole", quiet=True)
    monkeypatch.setattr(recorder, "SAVE_EVERY_S", -1.0)
    monkeypatch.setattr(Path, "unlink", lambda *arguments, **named: None)  # as if killed before it is removed
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_epoch_end", 1)
        with pytest.raises(Interrupted, match="after 1 of 2"):
            train(spec, data, chosen, run.path, quiet=True)
    newest = run.read_newest()
    assert newest is not None
    assert (newest[0], run.within.exists()) == (run.last, True)
    run.within.write_bytes(b"")
    with pytest.raises(DataError, match=r"checkpoints/within.ckpt is not whole"):
        train(spec, data, chosen, run.path, resume=True, quiet=True)


@pytest.mark.parametrize("kind", ["class", "labels", "numbers"])
def test_scores_are_restored_as_they_were(kind: str) -> None:
    one, other = (Scores(kind, 2, 3, torch.device("cpu")) for _ in range(2))
    for n in range(4):
        logits = torch.rand(5, 3, 2, generator=torch.Generator().manual_seed(n))
        targets = torch.arange(5) % 2 if kind == "class" else (logits[:, 0] > 0.5).float()
        one.add(logits.mean(), logits, targets)
        if n == 1:
            other.restore(one.state())
        elif n > 1:
            other.add(logits.mean(), logits, targets)
    assert (one.loss, one.images, one.values()) == (other.loss, other.images, other.values())
    assert torch.equal(one.correct, other.correct)
