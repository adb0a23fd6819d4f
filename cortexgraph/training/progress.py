"""How far an epoch is: a bar on a terminal, sparse lines in a log."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import BatchesProcessedColumn, CustomBarColumn
from rich.progress import TextColumn

from cortexgraph.training.curves import TRAIN
from cortexgraph.training.module import TrainingModule, as_training
from cortexgraph.training.tasks import ACCURACY

LINE_EVERY_S = 60.0
LOOK_EVERY_S = 0.5
"""Looking at the counts makes the processor wait for the device."""


class EpochBar(RichProgressBar):  # type: ignore[misc, unused-ignore]
    """Lightning's bar with loss, accuracy by readout step, speed and time left; epochs are counted from 1."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=4, leave=False)
        self._started = self._looked = 0.0
        self._values: dict[str, str] = {}

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Epoch, bar and batches; Lightning adds what `get_metrics` gives."""
        bar = CustomBarColumn(bar_width=20, complete_style=TRAIN, finished_style=TRAIN)
        return [TextColumn("{task.description}"), bar, BatchesProcessedColumn(style="")]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started, self._values = time.perf_counter(), {}
        super().on_train_epoch_start(trainer, pl_module)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """What stands behind the bar, as texts by name; looked at twice a second."""
        now = time.perf_counter()
        if trainer.training and now - self._looked > LOOK_EVERY_S:
            self._looked = now
            self._values = progress_of(trainer, pl_module, now - self._started)
        return dict(self._values)


class ProgressLines(pl.Callback):  # type: ignore[misc, unused-ignore]
    """A line once a minute within an epoch, for logs; a shorter epoch prints none."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = self._said = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: object) -> None:
        """Print a line if it is time."""
        now = time.perf_counter()
        if trainer.is_global_zero and now - self._said >= LINE_EVERY_S:
            self._said = now
            values = progress_of(trainer, pl_module, now - self._started)
            batches = f"{_batches_done(trainer)}/{trainer.num_training_batches} batches"
            texts = "  ".join(f"{name} {value}" for name, value in values.items())
            print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {batches}  {texts}", flush=True)


def progress_of(trainer: pl.Trainer, module: pl.LightningModule, seconds: float) -> dict[str, str]:
    """Figures of the epoch that is trained, so far, after this time: texts by name."""
    training, done = as_training(module), _batches_done(trainer)
    counts = training.counts["train"]
    if not done:
        return {}
    images = int(counts.images)
    left = round(seconds / done * (int(trainer.num_training_batches) - done))
    return {
        "loss": f"{float(counts.loss) / images:.3f}",
        **({"accuracy": _accuracies(training, images)} if training.score == ACCURACY else {}),
        "images/s": f"{images * trainer.world_size / seconds:,.0f}",
        "left": f"{left // 60}:{left % 60:02}",
    }


def _accuracies(training: TrainingModule, images: int) -> str:
    """The accuracy so far, at each readout step where there are several."""
    correct = training.by_step(training.counts["train"].correct.tolist())
    shares = [f"t{step} {n / images:.1%}" for step, n in correct.items()]
    return " ".join(shares) if len(shares) > 1 else shares[0].partition(" ")[2]


def _batches_done(trainer: pl.Trainer) -> int:
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    return int(progress.processed)
