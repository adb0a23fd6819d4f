"""An interrupted and resumed run gives what an uninterrupted one gives, to the bit."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from cortexgraph.compiler import compile_spec
from cortexgraph.data import Augment, Batches, ImageData
from cortexgraph.errors import DataError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import Interrupted, RunFolder, TrainSettings, fit, load_run, train
from cortexgraph.training.recorder import Recorder

from .conftest import INGREDIENTS

pytestmark = pytest.mark.usefixtures("no_pictures")

Make = Callable[..., TrainSettings]
EPOCHS = 4
BATCHES = 3  # in an epoch
CHANGES = ["sgd", "adamw", "every ingredient"]


def metrics(run: Path) -> list[dict[str, str]]:
    """Rows of the table without the times."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: row[name] for name in row if name not in {"seconds", "images_per_s"}} for row in rows]


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """Everything that decides how the run would go on, and the best weights."""
    found = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    states = found["optimizer_states"][0]
    optimizer = {
        f"optimizer {key} {name}": value
        for key, state in states["state"].items()
        for name, value in state.items()
        if value is not None
    }
    best = {f"best {name}": value for name, value in load_file(run / "weights.safetensors").items()}
    return found["state_dict"] | optimizer | best


def assert_equal_runs(one: Path, other: Path) -> None:
    assert metrics(one) == metrics(other)
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys()
    assert [
        name for name in first if not torch.equal(torch.as_tensor(first[name]), torch.as_tensor(second[name]))
    ] == []


def interrupt_after(
    monkeypatch: pytest.MonkeyPatch, hook: str, calls: int, number: signal.Signals = signal.SIGINT
) -> None:
    """Raise a signal in this process when a hook of the recorder has been called so often."""
    original: Any = getattr(Recorder, hook)
    count = 0

    def patched(self: Recorder, *arguments: Any, **named: Any) -> None:
        nonlocal count
        count += 1
        if count == calls:
            signal.raise_signal(number)
        original(self, *arguments, **named)

    monkeypatch.setattr(Recorder, hook, patched)


@pytest.fixture
def unfinished(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A run that was interrupted after the first of three epochs."""
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_epoch_end", 1)
        with pytest.raises(Interrupted, match="after 1 of 3"):
            train(spec, data, settings(), tmp_path / "run", quiet=True)
    return tmp_path / "run"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs by optimiser, made once when first asked for."""
    return {"folder": tmp_path_factory.mktemp("uninterrupted")}


def reference(runs: dict[str, Path], spec: NetworkSpec, data: ImageData, settings: TrainSettings) -> Path:
    key = f"{settings.optimizer}{settings.ema}"
    if key not in runs:
        runs[key] = runs["folder"] / key
        train(spec, data, settings, runs[key], quiet=True)
    return runs[key]


@pytest.mark.parametrize("changes", [{"optimizer": "sgd"}, {"optimizer": "adamw"}, INGREDIENTS], ids=CHANGES)
@pytest.mark.parametrize(
    ("hook", "calls", "kept"),
    [
        ("on_train_batch_end", 2, 0),  # in the middle of the first epoch
        ("on_train_epoch_end", 2, 2),  # between two epochs
        ("on_train_batch_end", 2 * BATCHES + 2, 2),  # in the middle of the third
        ("on_validation_batch_end", 3, 2),  # while it is tested
        ("on_train_batch_end", EPOCHS * BATCHES, 3),  # at the end of the last
        ("on_train_epoch_end", EPOCHS, 4),  # before the summary is written
    ],
)
def test_resumed_run_equals_uninterrupted(
    spec: NetworkSpec,
    data: ImageData,
    settings: Make,
    tmp_path: Path,
    uninterrupted: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    hook: str,
    calls: int,
    kept: int,
) -> None:
    chosen = settings(epochs=EPOCHS, **changes)
    whole = reference(uninterrupted, spec, data, chosen)
    with monkeypatch.context() as patch:
        interrupt_after(patch, hook, calls)
        with pytest.raises(Interrupted, match=f"after {kept} of {EPOCHS} epochs") as stopped:
            train(spec, data, chosen, tmp_path / "run", quiet=True)
    assert stopped.value.exit_code == 130
    assert not RunFolder(tmp_path / "run").is_finished
    torch.rand(7)  # whatever happened in between changes nothing
    summary = train(spec, data, chosen, tmp_path / "run", resume=True, quiet=True)
    assert summary.epochs == EPOCHS
    assert_equal_runs(whole, tmp_path / "run")


def test_interrupted_many_times(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the files of TensorBoard, numbered 8, 9, 10, …, would not sort in the order of writing."""
    chosen = settings(epochs=EPOCHS)
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(7))
    train(spec, data, chosen, tmp_path / "whole", quiet=True)
    for attempt in range(EPOCHS):
        with monkeypatch.context() as patch:
            interrupt_after(patch, "on_train_epoch_end", 1)
            with pytest.raises(Interrupted, match=f"after {attempt + 1} of"):
                train(spec, data, chosen, tmp_path / "run", resume=attempt > 0, quiet=True)
    train(spec, data, chosen, tmp_path / "run", resume=True, quiet=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/test")] == [BATCHES * n for n in range(1, EPOCHS + 1)]
    files = list((tmp_path / "run" / "tensorboard").iterdir())
    assert sorted(files) == sorted(files, key=lambda file: file.stat().st_mtime_ns)


def test_signals_are_given_back(spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(spec, data, settings(epochs=1), tmp_path / "run", quiet=True)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_seed_cannot_be_resumed_with(
    spec: NetworkSpec, data: ImageData, settings: Make, unfinished: Path
) -> None:
    with pytest.raises(DataError, match=r"settings\.seed: it is 1 now, but the run was started with 0") as error:
        train(spec, data, settings(seed=1, epochs=5), unfinished, resume=True, quiet=True)
    assert [finding.place for finding in error.value.diagnostics] == ["settings.epochs", "settings.seed"]


def test_other_data_cannot_be_resumed_with(
    spec: NetworkSpec, data: ImageData, settings: Make, unfinished: Path
) -> None:
    others = {
        "data.sha256": replace(data, test=data.train),
        "data.std": replace(data, std=(0.2,)),
        "data.augment": replace(data, augment=Augment(crop_padding_px=1, flip=True)),
    }
    for place, other in others.items():
        with pytest.raises(DataError, match="the run was started with") as error:
            train(spec, other, settings(), unfinished, resume=True, quiet=True)
        assert [finding.place for finding in error.value.diagnostics] == [place]


def test_a_run_of_an_earlier_version_is_resumed_and_opened(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stored fewer settings, and no digests."""
    run = RunFolder(tmp_path / "run")
    train(spec, data, settings(), tmp_path / "whole", quiet=True)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_epoch_end", 1)
        with pytest.raises(Interrupted, match="after 1 of 3"):
            train(spec, data, settings(), run.path, quiet=True)
    stored = json.loads(run.settings.read_text())
    stored["settings"] = {"epochs": 3, "batch_size": 16, "device": "cpu", "lr": None, "weight_decay": None}
    run.settings.write_text(json.dumps(stored))
    last = torch.load(run.last, weights_only=True)
    del last["callbacks"]["Recorder"]["identity"], last["callbacks"]["Recorder"]["trackers"]
    torch.save(last, run.last)
    save_file(load_file(run.weights), run.weights, {"spec_sha256": stored["spec_sha256"]})
    train(spec, data, settings(), run.path, resume=True, quiet=True)
    assert_equal_runs(tmp_path / "whole", run.path)
    assert load_run(run.path).settings == settings()


def test_damaged_checkpoint(spec: NetworkSpec, data: ImageData, settings: Make, unfinished: Path) -> None:
    file = unfinished / "checkpoints" / "last.ckpt"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"last\.ckpt is not whole"):
        train(spec, data, settings(), unfinished, resume=True, quiet=True)


@pytest.mark.parametrize("content", [b"", b"not whole"])
def test_damaged_weights_are_not_kept(
    spec: NetworkSpec, data: ImageData, settings: Make, unfinished: Path, content: bytes
) -> None:
    """The best epoch may lie before the interruption: no later one would write its weights again."""
    (unfinished / "weights.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"weights\.safetensors is not whole"):
        train(spec, data, settings(), unfinished, resume=True, quiet=True)


@pytest.mark.parametrize("part", ["optimizer_states", "loops", "callbacks", "state_dict", "lr_schedulers"])
def test_a_checkpoint_that_lacks_a_part(
    spec: NetworkSpec, data: ImageData, settings: Make, unfinished: Path, part: str
) -> None:
    file = unfinished / "checkpoints" / "last.ckpt"
    torch.save({key: value for key, value in torch.load(file, weights_only=True).items() if key != part}, file)
    with pytest.raises(DataError, match=r"last\.ckpt is not whole"):
        train(spec, data, settings(), unfinished, resume=True, quiet=True)


def test_finished_run_is_not_resumed(spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path) -> None:
    train(spec, data, settings(epochs=1), tmp_path / "run", quiet=True)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] == 1
    with pytest.raises(DataError, match="this run is finished"):
        train(spec, data, settings(epochs=1), tmp_path / "run", resume=True, quiet=True)


def test_sigterm(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_batch_end", BATCHES + 1, signal.SIGTERM)
        with pytest.raises(Interrupted, match="after 1 of 3 epochs") as stopped:
            train(spec, data, settings(), tmp_path / "run", quiet=True)
    assert stopped.value.exit_code == 143


def test_each_epoch_has_its_own_order_also_when_resumed(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[int] = []

    def set_epoch(self: Batches, epoch: int) -> None:
        if self.shuffle:
            epochs.append(epoch)
        self._epoch = epoch

    monkeypatch.setattr(Batches, "set_epoch", set_epoch)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_batch_end", 2 * BATCHES + 2)
        with pytest.raises(Interrupted, match="after 2 of 4"):
            train(spec, data, settings(epochs=EPOCHS), tmp_path / "run", quiet=True)
    assert epochs == [0, 1, 2]
    train(spec, data, settings(epochs=EPOCHS), tmp_path / "run", resume=True, quiet=True)
    assert epochs == [0, 1, 2, 2, 3]


def test_random_operations_repeat(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout before the classifier, which draws from torch's global generator."""

    def compile_with_dropout(spec: NetworkSpec, **options: Any) -> torch.nn.Module:
        network = compile_spec(spec, **options)
        linear = network.get_submodule("readout.linear")
        linear.register_forward_pre_hook(lambda module, inputs: (F.dropout(inputs[0], 0.5, module.training),))
        return network

    monkeypatch.setattr(fit, "compile_spec", compile_with_dropout)
    train(spec, data, settings(), tmp_path / "whole", quiet=True)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_batch_end", BATCHES + 2)
        with pytest.raises(Interrupted, match="after 1 of 3"):
            train(spec, data, settings(), tmp_path / "run", quiet=True)
    train(spec, data, settings(), tmp_path / "run", resume=True, quiet=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")


def test_settings_that_were_edited_are_seen(
    spec: NetworkSpec, data: ImageData, settings: Make, unfinished: Path
) -> None:
    file = unfinished / "settings.json"
    stored = json.loads(file.read_text())
    stored["settings"]["seed"] = 1
    file.write_text(json.dumps(stored))
    with pytest.raises(DataError, match=r"settings\.json or data\.json is not what the run was started with"):
        train(spec, data, settings(seed=1), unfinished, resume=True, quiet=True)
