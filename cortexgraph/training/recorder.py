"""After every epoch: one row of metrics, the checkpoints, the weights, a line on the terminal.

Table and checkpoints are written here and not by Lightning's callbacks: `CSVLogger` deletes the table of the session
before it, and `ModelCheckpoint` forgets its best score when the folder of the run moves. Trackers are Lightning's.
"""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.files import csv_table, replacing, write_text
from cortexgraph.training.curves import draw_curves
from cortexgraph.training.engine import Interrupts
from cortexgraph.training.module import TrainingModule, as_training
from cortexgraph.training.records import EpochRecord, best_epoch, reported_epoch
from cortexgraph.training.run_folder import RunFolder, save_tensors
from cortexgraph.training.tasks import metric_name, metric_text

DRAWING_PAUSE = 100
"""The curves are drawn after an epoch if that takes at most 1 % of the time."""
SAVE_EVERY_S = 600
"""Seconds after which a checkpoint is written within an epoch."""
LOOK_EVERY = 20
"""Batches between two looks at the loss where looking makes the processor wait for the device."""


class Recorder(pl.Callback):  # type: ignore[misc, unused-ignore]
    """Keeps the run folder in step with training.

    What is written at the end of an epoch is ordered so that the run can be killed between any two writes:
    the best checkpoint and weights first, then `last.ckpt`, which alone decides where a resumed run goes on;
    the table is made from the history inside it.

    Args:
        run: the folder.
        interrupts: whether a signal came.
        quiet: print nothing.
        on_epoch: is called with the record of each epoch, in the first process.

    Attributes:
        metadata: what is written into the weights beside their accuracy; its `identity` also into the checkpoints.
        history: every finished epoch.
        trackers: Lightning's loggers by name, which get the metrics of every epoch.
    """

    def __init__(
        self,
        run: RunFolder,
        interrupts: Interrupts,
        *,
        quiet: bool,
        on_epoch: Callable[[EpochRecord], None] | None = None,
    ) -> None:
        self.run, self.interrupts, self.quiet, self.on_epoch = run, interrupts, quiet, on_epoch
        self.metadata: Mapping[str, str] = {"identity": ""}
        self.history: list[EpochRecord] = []
        self.trackers: dict[str, Logger] = {}
        self._within: dict[str, Any] | None = None
        self._started = self._trained = self._saved = 0.0
        self.has_begun = False
        self._drawn, self._drawing_s = time.perf_counter(), 0.5

    # ---- state in the checkpoint -----------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The history, the identity of the run, and its names in the trackers."""
        versions = {name: tracker.version for name, tracker in self.trackers.items()}
        history = [asdict(record) for record in self.history]
        within = {"within": self._within} if self._within else {}
        return {"history": history, "identity": self.metadata["identity"], "trackers": versions, **within}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the history of the run that is resumed."""
        self.history = [EpochRecord.restored(state) for state in state_dict["history"]]
        self._within = state_dict.get("within")

    # ---- hooks -----------------------------------------------------------------

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reinstall our signal handlers and restore the metrics table from the checkpoint."""
        self.has_begun = True
        self.run = RunFolder(trainer.strategy.broadcast(str(self.run.path)))  # others may have found another one free
        self._saved = self._started = time.perf_counter()
        if self._within is not None:  # the epoch was started before the interruption
            self._started -= self._within["seconds"]
            as_training(pl_module).take_up(self._within)
            self._within = None
        self.interrupts.install()
        self._check_interrupts(trainer)
        if trainer.is_global_zero:
            self._write_table()
            for tracker in self.trackers.values():
                tracker.log_hyperparams(as_training(pl_module).settings.model_dump())

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Write a checkpoint within a long epoch, between two steps of the optimiser."""
        if batch_idx == 0 or batch_idx % trainer.accumulate_grad_batches:
            return
        due = time.perf_counter() - self._saved > SAVE_EVERY_S
        if trainer.world_size > 1:
            due = trainer.strategy.reduce_boolean_decision(due, all=False)
        if due:
            self._within = as_training(pl_module).progress()
            self._within["seconds"] = time.perf_counter() - self._started
            self._write_checkpoint(trainer, self.run.within)
            self._within, self._saved = None, time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Stop on a signal, or when the loss is no longer a number."""
        self._check_interrupts(trainer)
        if pl_module.device.type == "cpu" or batch_idx % LOOK_EVERY == LOOK_EVERY - 1:
            check_finite(as_training(pl_module).counts["train"].loss, trainer, "training loss")

    def on_validation_batch_end(self, trainer: pl.Trainer, *arguments: object, **named: object) -> None:
        """Stop on a signal."""
        self._check_interrupts(trainer)

    on_test_batch_end = on_validation_batch_end

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reinstall our signal handlers."""
        self.interrupts.install()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The epoch's training ends here."""
        check_finite(as_training(pl_module).counts["train"].loss, trainer, "training loss")
        self._trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch."""
        module = as_training(pl_module)
        record = self._record(trainer, module)
        check_finite(torch.tensor(record.loss), trainer, f"{record.split} loss")
        self.history.append(record)
        if trainer.is_global_zero:
            for tracker in self.trackers.values():
                tracker.log_metrics(_tracked(record), step=record.step)
                tracker.save()
        self._save(trainer, module)
        if trainer.is_global_zero:
            self._write_table()
            if time.perf_counter() - self._drawn > DRAWING_PAUSE * self._drawing_s:
                self._draw()
            if not self.quiet:
                pl_module.print(line(record, trainer.max_epochs or 0))
                sys.stdout.flush()  # into a file or pipe, Python would hold it back until the end
            if self.on_epoch is not None:
                self.on_epoch(record)
        self._check_interrupts(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Draw the curves of a run that is interrupted or fails."""
        if trainer.is_global_zero and self.history:
            with suppress(OSError, CortexGraphError):  # such as a full disk, which may be what happened
                self._draw()

    def _check_interrupts(self, trainer: pl.Trainer) -> None:
        """Stop if a signal came to any process: all stop after the same batch, none waits for another."""
        if trainer.world_size > 1:
            came = self.interrupts.received is not None
            if trainer.strategy.reduce_boolean_decision(came, all=False) and not came:
                self.interrupts.received = signal.SIGINT
        self.interrupts.check()

    # ---- writing -----------------------------------------------------------------

    def _record(self, trainer: pl.Trainer, module: TrainingModule) -> EpochRecord:
        images = int(module.counts["train"].images) * trainer.world_size
        train_loss, trained = module.counts["train"].summed(trainer.world_size)
        loss, metrics = module.counts["evaluation"].summed(trainer.world_size)
        by_step = {name: module.by_step(values) for name, values in metrics.items()}
        now = time.perf_counter()
        return EpochRecord(
            epoch=len(self.history) + 1,
            step=trainer.global_step,
            lr=module.lr(trainer.global_step - 1),  # the schedule already stands at the next batch
            train_loss=train_loss,
            train_score=trained[module.score][-1],
            loss=loss,
            scores=by_step.pop(module.score),
            images_per_s=images / max(1e-9, self._trained - self._started),
            seconds=now - self._started,
            split=module.split,
            score=module.score,
            metrics=by_step,
        )

    def _write_checkpoint(self, trainer: pl.Trainer, path: Path) -> None:
        """Write a checkpoint; every process takes part, and the first one writes."""
        if not trainer.is_global_zero:
            trainer.save_checkpoint(path)
            return
        with replacing(path, durable=True) as temporary:
            trainer.save_checkpoint(temporary)

    def _save(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        record = self.history[-1]
        reported = record is reported_epoch(self.history)
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.run.last)  # every process takes part; only the first one writes
            if reported:
                plain_state(module.evaluated)
            return
        with replacing(self.run.last, durable=True) as temporary:
            trainer.save_checkpoint(temporary)
            if record is best_epoch(self.history):
                with replacing(self.run.best, durable=True) as copy:
                    shutil.copyfile(temporary, copy)
            if reported:
                figures = {"epoch": str(record.epoch), record.score: repr(record.last_score), "split": record.split}
                save_tensors(self.run.weights, plain_state(module.evaluated), {**self.metadata, **figures})
        self.run.within.unlink(missing_ok=True)
        self._saved = time.perf_counter()

    def _draw(self) -> None:
        """Draw the curves so far."""
        start = time.perf_counter()
        draw_curves(self.history, self.title, self.run.curves[:1])
        self._drawn = time.perf_counter()
        self._drawing_s = self._drawn - start

    @property
    def title(self) -> str:
        """Of the curves: the network and its data."""
        return f"{self.metadata['network']} on {Path(self.metadata['data']).name}"

    def _write_table(self) -> None:
        if self.history:
            write_text(self.run.metrics, csv_table([record.row() for record in self.history]), durable=True)
        else:
            self.run.metrics.unlink(missing_ok=True)


def _tracked(record: EpochRecord) -> dict[str, float]:
    """The metrics of an epoch, under the names that trackers show."""
    values = {
        "loss/train": record.train_loss,
        f"loss/{record.split}": record.loss,
        f"{record.score}/train": record.train_score,
        f"{record.score}/{record.split}": record.last_score,
        "learning_rate": record.lr,
        "images_per_s": record.images_per_s,
    }
    values |= {f"{name}/{record.split}": [*each.values()][-1] for name, each in record.metrics.items()}
    if len(record.scores) > 1:
        values |= {f"{record.score}_by_step/{step}": value for step, value in record.scores.items()}
    return values


def plain_state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dict on the processor, in the order of memory that files have.

    Tensors that fsdp has divided among processes are gathered: all of them must call this.
    """
    state = network.state_dict().items()
    whole = {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in state}
    return {name: value.detach().cpu().contiguous().clone() for name, value in whole.items()}


def check_finite(loss: Tensor, trainer: pl.Trainer, name: str) -> None:
    """Stop training in all processes when a loss of one is infinite or not a number; saved files stay.

    Raises CortexGraphError naming epoch and step.
    """
    infinite = not torch.isfinite(loss)
    if trainer.world_size > 1:
        infinite = trainer.strategy.reduce_boolean_decision(infinite, all=False)
    if infinite:
        place = f"epoch {trainer.fit_loop.epoch_progress.current.ready}, step {trainer.global_step}"
        repair = (
            "Training diverged: lower --lr, limit the gradient with --clip 1, or give the areas a norm; "
            "with --precision 16 try bf16 or 32."
        )
        found = f"the {name} is infinite or not a number"
        raise CortexGraphError(Diagnostic("loss-not-finite", place, found, repair=repair))


def line(record: EpochRecord, epochs: int) -> str:
    """One epoch in one line."""
    name = metric_name(record.score)
    train, last = (metric_text(record.score, value, 1) for value in (record.train_score, record.last_score))
    steps = "  ".join(f"t{step} {metric_text(record.score, value, 1)}" for step, value in record.scores.items())
    return (
        f"epoch {record.epoch:>{len(str(epochs))}}/{epochs}  "
        f"loss: train {record.train_loss:.3f}, {record.split} {record.loss:.3f}  "
        f"{name}: train {train}, {record.split} {last}"
        f"{f' ({steps})' if len(record.scores) > 1 else ''}  "
        f"{record.images_per_s:,.0f} images/s  {record.seconds:.1f} s"
    )
