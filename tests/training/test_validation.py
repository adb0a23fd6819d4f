"""Validation images: which they are, and that they alone choose the epoch whose test accuracy is reported."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from cortexgraph.compiler import compile_spec
from cortexgraph.data import Batches, ImageData
from cortexgraph.errors import DataError, SpecError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import Interrupted, RunFolder, TrainSettings, evaluate, images, load_run, pack, train
from cortexgraph.training.images import set_aside, validation_rows
from cortexgraph.training.records import EpochRecord, reported_epoch

from .conftest import striped_data, striped_images
from .test_resume import BATCHES, assert_equal_runs, interrupt_after

pytestmark = pytest.mark.usefixtures("no_pictures")

Make = Callable[..., TrainSettings]


def unequal_data() -> ImageData:
    """60 images of the first class, 30 of the second, 10 of the third."""
    images = striped_images(180, seed=0)
    rows = [*range(0, 180, 3), *range(1, 91, 3), *range(2, 32, 3)]
    return striped_data(train=images[rows])


def test_the_split_is_stratified_and_disjoint_and_follows_from_the_seed(settings: Make) -> None:
    data = unequal_data()
    for asked in (20, 0.2):
        rows = validation_rows(data, settings(validation=asked))
        assert Counter(data.train.labels[rows].tolist()) == {0: 12, 1: 6, 2: 2}
    split = set_aside(data, rows)
    assert split.validation is not None
    pixels = [{image.numpy().tobytes() for image in part.images} for part in (split.train, split.validation)]
    assert not pixels[0] & pixels[1]
    assert pixels[0] | pixels[1] == {image.numpy().tobytes() for image in data.train.images}
    assert (len(split.train), len(split.validation)) == (80, 20)
    assert rows == validation_rows(data, settings(validation=20))
    assert rows != validation_rows(data, settings(validation=20, seed=1))
    assert set_aside(data, validation_rows(data, settings())) is data


@pytest.mark.parametrize("asked", [48, 1000, 0.001])
def test_a_split_that_leaves_nothing(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, asked: float
) -> None:
    with pytest.raises(DataError, match=r"of 48 training images would be set aside, but at least one must be"):
        train(spec, data, settings(validation=asked), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("asked", [-1, 2.5, float("nan")])
def test_neither_a_number_of_images_nor_a_share(asked: float) -> None:
    with pytest.raises(SpecError, match=r"settings\.validation: .* was given, but it must"):
        TrainSettings(validation=asked)


def test_the_epoch_best_on_validation_is_reported_and_tested_once(
    spec: NetworkSpec, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test images have their classes permuted: what is best on them is worst on the validation images."""
    data = striped_data(test=replace(striped_images(24, seed=1), labels=(torch.arange(24) + 1) % 3))
    looks: list[str] = []
    iterate: Any = Batches.part

    def counted(self: Batches, *place: int) -> Any:
        if not self.shuffle:
            looks.append("test" if torch.equal(self._data.labels, data.test.labels) else "validation")
        return iterate(self, *place)

    chosen = settings(epochs=4, lr=0.2, batch_size=8, validation=12)
    with monkeypatch.context() as patch:
        patch.setattr(Batches, "part", counted)
        summary = train(spec, data, chosen, tmp_path / "run", quiet=True)
    assert looks == ["validation"] * 4 + ["test"]
    with (tmp_path / "run" / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert not [name for name in table[0] if name.startswith("test")]
    accuracies = [float(row["validation_accuracy"]) for row in table]
    assert all(float(row["validation_accuracy_step_4"]) == float(row["validation_accuracy"]) for row in table)
    best = accuracies.index(max(accuracies))
    with safe_open(tmp_path / "run" / "weights.safetensors", framework="pt") as file:
        assert file.metadata()["epoch"] == str(best + 1)
        network = compile_spec(load_run(tmp_path / "run").spec)
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    logits = network.eval()((data.test.images.float() / 255 - 0.5) / 0.3)  # [B, n, classes]
    by_hand = (logits.argmax(2) == data.test.labels[:, None]).float().mean(0).tolist()
    assert list(summary.accuracy.values()) == pytest.approx(by_hand)
    assert (summary.best_epoch, summary.chosen_on, summary.best_accuracy[4]) == (
        best + 1,
        "validation",
        max(accuracies),
    )
    assert summary.images == {"train": 36, "validation": 12, "test": 24}
    text = (tmp_path / "run" / "summary.md").read_text()
    assert f"| test accuracy, epoch {best + 1} | validation accuracy, best epoch ({best + 1}) |" in text
    assert f"holds epoch {best + 1}. It was chosen on 12 validation images" in text


def test_without_validation_the_last_epoch_is_kept(finished: Path) -> None:
    summary, data = RunFolder(finished).read_summary(), striped_data()
    assert summary.kept_epoch == summary.epochs == 4
    assert {s.step: s.accuracy for s in evaluate(finished, data).steps} == summary.accuracy
    assert {s.step: s.accuracy for s in evaluate(load_run(finished, epoch="best"), data).steps} == summary.best_accuracy
    last = load_run(finished, epoch="last").weights
    assert all(torch.equal(value, last[name]) for name, value in load_run(finished).weights.items())
    history = [EpochRecord(n, n, 0.1, 1.0, 0.5, 1.0, {4: accuracy}, 1.0, 1.0) for n, accuracy in ((1, 0.9), (2, 0.8))]
    assert reported_epoch(history).epoch == 2
    assert reported_epoch([replace(record, split="validation") for record in history]).epoch == 1


def test_best_weights_of_a_run_without_checkpoints() -> None:
    """A trained network that ships, by version 0.1: its best epoch was the last one too."""
    shipped = load_run("ventral-cifar10").weights
    for epoch in ("best", "last"):
        other = load_run("ventral-cifar10", epoch=epoch).weights  # type: ignore[arg-type]
        assert all(torch.equal(value, other[name]) for name, value in shipped.items())


def test_the_stored_split_is_resumed(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, run = settings(validation=0.25), RunFolder(tmp_path / "run")
    train(spec, data, chosen, tmp_path / "whole", quiet=True)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_batch_end", 2 * BATCHES - 2)
        with pytest.raises(Interrupted, match="after 1 of 3"):
            train(spec, data, chosen, run.path, quiet=True)
    rows = validation_rows(data, chosen)
    assert json.loads(run.validation.read_text()) == {"rows": rows}
    with monkeypatch.context() as patch:  # another version of NumPy may shuffle otherwise
        patch.setattr(images, "validation_rows", lambda data, settings: [0, 1, 2])
        train(spec, data, chosen, run.path, resume=True, quiet=True)
    assert_equal_runs(tmp_path / "whole", run.path)


def test_an_edited_split_is_seen(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, run = settings(validation=0.25), RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_epoch_end", 1)
        with pytest.raises(Interrupted, match="after 1 of 3"):
            train(spec, data, chosen, run.path, quiet=True)
    rows = run.read_validation()
    for edited in ([*rows[:-1], (rows[-1] + 1) % 48], [1000]):
        run.validation.write_text(json.dumps({"rows": edited}))
        with pytest.raises(DataError, match=r"is not what the run was started with"):
            train(spec, data, chosen, run.path, resume=True, quiet=True)


def test_interrupted_between_training_and_test(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(validation=12)
    whole = train(spec, data, chosen, tmp_path / "whole", quiet=True)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_test_batch_end", 1)
        with pytest.raises(Interrupted, match="after 3 of 3"):
            train(spec, data, chosen, tmp_path / "run", quiet=True)
    assert train(spec, data, chosen, tmp_path / "run", resume=True, quiet=True).accuracy == whole.accuracy
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")


def test_a_packed_run_keeps_its_split(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, finished: Path
) -> None:
    """Its weights belong to the split and to the weights from which they started."""
    train(spec, data, settings(epochs=1, validation=12), tmp_path / "run", init_from=finished, quiet=True)
    packed = load_run(pack(tmp_path / "run", tmp_path / "packed", data="stripes"))
    assert packed.folder.read_validation() == RunFolder(tmp_path / "run").read_validation()
    assert packed.folder.read_summary().init_from == finished.name  # no path of this machine
    assert str(finished) not in "".join(path.read_text() for path in (tmp_path / "packed").glob("*.json"))
