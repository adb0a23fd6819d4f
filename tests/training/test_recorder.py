"""Killed between any two writes, a run is whole and can be resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cortexgraph.data import ImageData
from cortexgraph.files import csv_table
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import TrainSettings, recorder, train
from cortexgraph.training.records import EpochRecord, best_epoch

from .test_resume import assert_equal_runs

pytestmark = pytest.mark.usefixtures("no_pictures")

Make = Callable[..., TrainSettings]


class PowerCut(BaseException):
    """Not an Exception: nothing may catch it on the way."""


def cut_at(monkeypatch: pytest.MonkeyPatch, name: str, calls: int) -> None:
    """Fail instead of calling a function of the recorder's module for the n-th time."""
    original: Any = getattr(recorder, name)
    count = 0

    def patched(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == calls:
            raise PowerCut(f"at call {calls} of {name}")
        return original(*arguments, **named)

    monkeypatch.setattr(recorder, name, patched)


@pytest.mark.parametrize(
    ("name", "calls", "epochs_in_last"),
    [
        ("replacing", 4, 1),  # second epoch: before last.ckpt
        ("save_tensors", 2, 1),  # after best.ckpt, before the weights
        ("write_text", 2, 2),  # after last.ckpt, before the table
    ],
)
def test_power_cut(
    spec: NetworkSpec,
    data: ImageData,
    settings: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    calls: int,
    epochs_in_last: int,
) -> None:
    chosen = settings(schedule="constant", lr=0.01)  # slow enough that each epoch here is the best
    train(spec, data, chosen, tmp_path / "whole", quiet=True)
    with monkeypatch.context() as patch:
        cut_at(patch, name, calls)
        with pytest.raises(PowerCut, match=f"at call {calls} of {name}"):
            train(spec, data, chosen, tmp_path / "run", quiet=True)
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] + 1 == epochs_in_last
    assert [path.name for path in (tmp_path / "run").rglob(".*")] == [".run.lock"]
    train(spec, data, chosen, tmp_path / "run", resume=True, quiet=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")
    assert logged_steps(tmp_path / "run" / "tensorboard", "loss/test") == [3, 6, 9]  # none twice


def logged_steps(folder: Path, name: str) -> list[int]:
    """As TensorBoard shows them: a later file takes the place of what it repeats.

    Files are read one by one, in the order in which they were written: within one second their names have none.
    """
    steps: list[int] = []
    for file in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns):
        events = EventAccumulator(str(file))
        events.Reload()
        found = [event.step for event in events.Scalars(name)] if name in events.Tags()["scalars"] else []
        steps = [step for step in steps if not found or step < found[0]] + found
    return steps


def record(epoch: int, accuracy: float) -> EpochRecord:
    return EpochRecord(epoch, 10 * epoch, 0.1, 1.0, 0.5, 1.0 / 3.0, {4: 0.9, 8: accuracy}, 100.0, 1.0)


def test_best_is_the_first_of_the_best_at_the_last_step() -> None:
    assert best_epoch([record(1, 0.2), record(2, 0.7), record(3, 0.7), record(4, 0.6)]).epoch == 2


def test_table_reads_back_exactly() -> None:
    text = csv_table([record(1, 0.1).row()])
    header, row = text.splitlines()
    values = dict(zip(header.split(","), map(float, row.split(",")), strict=True))
    assert values == record(1, 0.1).row()
    assert values["test_accuracy"] == values["test_accuracy_step_8"] == 0.1
