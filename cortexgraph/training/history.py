"""What is known of each finished epoch, and its table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["EpochRecord", "best_epoch", "csv_text"]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: from 1.
        step: batches since the start of the run.
        lr: learning rate of the epoch's last batch.
        train_loss: mean over the epoch of what training minimises, on augmented images, in nats.
        train_accuracy: at the last readout step, on the same images as they went by, in [0, 1].
        test_loss: what training minimises, on the test images.
        test_accuracy: by readout step, in rising order.
        images_per_s: training images per second.
        seconds: training and test together.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: Mapping[int, float]
    images_per_s: float
    seconds: float

    @property
    def accuracy(self) -> float:
        """Test accuracy at the last readout step."""
        return list(self.test_accuracy.values())[-1]

    def state(self) -> dict[str, Any]:
        """Plain numbers, for a checkpoint."""
        return asdict(self)

    def row(self) -> dict[str, float]:
        """Names and numbers of the table's row: `test_accuracy_step_8`, …, and `test_accuracy`, the last of them."""
        row = {name: value for name, value in asdict(self).items() if name != "test_accuracy"}
        timing = {name: row.pop(name) for name in ("images_per_s", "seconds")}
        per_step = {f"test_accuracy_step_{step}": value for step, value in self.test_accuracy.items()}
        return row | {"test_accuracy": self.accuracy} | per_step | timing


def best_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """The first of the epochs with the highest test accuracy at the last readout step."""
    return max(history, key=lambda record: record.accuracy)


def csv_text(rows: Sequence[Mapping[str, float]]) -> str:
    """A CSV table; floats in the shortest form that reads back as the same number."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
