"""The compiled network with its objective, as Lightning trains it."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from cortexgraph.data import ImageData
from cortexgraph.training.loaders import EpochLoader, evaluation_batches, run_length, train_batches
from cortexgraph.training.objective import Logits, correct_per_step, readout_loss
from cortexgraph.training.optimizers import make_optimizer, make_scheduler
from cortexgraph.training.settings import TrainSettings

__all__ = ["Counts", "TrainingModule"]


class Counts:
    """Sums over the batches of an epoch, kept on the device so that no batch waits for them.

    Attributes:
        loss: of loss × images, float64 []; float32 where the device has no float64.
        correct: images classified correctly at each readout step, int64 [n].
        images: how many.
    """

    def __init__(self, steps: int, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        self.correct = torch.zeros(steps, dtype=torch.int64, device=device)
        self.images = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, loss: Tensor, logits: Logits, labels: Tensor) -> None:
        """Count a batch with its mean loss, logits and labels [B]."""
        self.loss += loss.detach() * len(labels)
        self.correct += correct_per_step(logits, labels)
        self.images += len(labels)

    def summed(self, trainer: pl.Trainer) -> tuple[float, list[float]]:
        """Mean loss, and accuracy at each readout step, over all devices."""
        loss, correct, images = (
            trainer.strategy.reduce(value, reduce_op="sum") for value in (self.loss, self.correct, self.images)
        )
        return float(loss) / int(images), [n / int(images) for n in correct.tolist()]


class TrainingModule(pl.LightningModule):  # type: ignore[misc, unused-ignore]
    """Trains a compiled network on images.

    Args:
        network: as `cortexgraph.compile` returns it.
        data: the images.
        settings: how to train.
    """

    def __init__(self, network: nn.Module, data: ImageData, settings: TrainSettings) -> None:
        super().__init__()
        self.network, self.data, self.settings = network, data, settings
        self.counts = {"train": self._zero(), "test": self._zero()}

    @property
    def readout_steps(self) -> list[int]:
        """The steps at which the first readout is read."""
        unrolled: Any = self.network.unrolled
        first = unrolled.areas.readouts[0].name
        return [*unrolled.readout_steps(first)]

    def _zero(self) -> Counts:
        return Counts(len(self.readout_steps), self.device)

    # ---- data ----------------------------------------------------------------

    def _loader(self, batches: Any) -> EpochLoader:
        return EpochLoader(
            batches,
            lambda: _finished_epochs(self.trainer),
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
            channels_last=self.settings.channels_last,
        )

    def train_dataloader(self) -> EpochLoader:
        """The training batches of the current epoch, on this process's device."""
        return self._loader(train_batches(self.data, self.settings, self.trainer.strategy.root_device))

    def val_dataloader(self) -> EpochLoader:
        """The test images, on this process's device."""
        return self._loader(evaluation_batches(self.data, self.trainer.strategy.root_device))

    # ---- steps ---------------------------------------------------------------

    def _loss(self, logits: Logits, labels: Tensor) -> Tensor:
        return readout_loss(logits, labels, self.settings.label_smoothing, self.settings.loss_over)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        """The loss of one batch."""
        images, labels = batch  # [B, C, H, W], [B]
        logits = self.network(images)  # [B, classes] or [B, n, classes]
        loss = self._loss(logits, labels)
        self.counts["train"].add(loss, logits, labels)
        self.log("loss", loss, prog_bar=True, logger=False, on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        """Count what is correct in one batch of test images."""
        images, labels = batch
        if len(labels):
            logits = self.network(images)
            self.counts["test"].add(self._loss(logits, labels), logits, labels)

    # ---- epochs --------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Make all randomness of the epoch follow from the seed, the epoch and the process."""
        torch.manual_seed(_mixed(self.settings.seed, _finished_epochs(self.trainer), self.trainer.global_rank))
        self.counts["train"] = self._zero()

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        self.counts["test"] = self._zero()

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule, in Lightning's form."""
        optimizer = make_optimizer(self.network, self.settings)
        schedule = make_scheduler(optimizer, self.settings, run_length(self.data, self.settings))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _finished_epochs(trainer: pl.Trainer) -> int:
    """How many epochs were finished, in all sessions of the run: the index of the one that is trained."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    return int(progress.processed)


def _mixed(*numbers: int) -> int:
    """One seed from several numbers; neighbours have nothing in common."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
