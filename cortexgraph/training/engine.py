"""The Lightning trainer that the settings ask for."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import RichProgressBar

from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.training.settings import DEVICE_PATTERN, TrainSettings

__all__ = ["choose_device", "is_first_process", "make_trainer", "quiet_lightning"]

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


class EpochBar(RichProgressBar):  # type: ignore[misc, unused-ignore]
    """Lightning's bar, with epochs counted from 1 as everywhere else."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"


def choose_device(device: str) -> torch.device:
    """The device of `auto`, `cpu`, `mps`, `cuda` or `cuda:N`.

    Raises:
        CortexGraphError: if there is no device of this name, or this machine has none such.
    """
    if not re.fullmatch(DEVICE_PATTERN, device):
        expected, repair = "auto, cpu, mps, cuda and cuda:N are known", "Give one of these."
        raise CortexGraphError(Diagnostic("bad-device", "device", f"{device!r} was given", expected, repair))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", chosen.index or 0)
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (chosen.index or 0) >= found:
            raise _no_device(device, f"torch sees {found} GPU{'s' * (found != 1)} here")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise _no_device(device, "torch sees no Apple GPU here")
    return chosen


def _no_device(device: str, expected: str) -> CortexGraphError:
    return CortexGraphError(
        Diagnostic("no-device", "device", f"{device} was asked for", expected, "Give --device auto, or cpu.")
    )


def is_first_process() -> bool:
    """Whether this is the process that the user started; with several devices Lightning starts more of them."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0


def make_trainer(
    settings: TrainSettings, device: torch.device, folder: Path, callbacks: list[pl.Callback], *, quiet: bool
) -> pl.Trainer:
    """A trainer that only trains: saving, logging and tables are the callbacks' business.

    Raises:
        CortexGraphError: for a precision or a number of devices that this machine does not offer.
    """
    _check(settings, device)
    bar = not quiet and sys.stdout.isatty()
    several = settings.devices > 1
    return pl.Trainer(
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=[device.index] if device.type == "cuda" and not several else settings.devices,
        strategy=_strategy(settings),
        precision=PRECISIONS[settings.precision],  # type: ignore[arg-type, unused-ignore]
        max_epochs=settings.epochs,
        gradient_clip_val=settings.clip or None,
        deterministic=settings.deterministic or None,
        benchmark=not settings.deterministic,
        callbacks=[*callbacks, *([EpochBar(leave=False)] if bar else [])],
        enable_progress_bar=bar,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _strategy(settings: TrainSettings) -> str:
    if settings.devices == 1:
        return "auto"
    # With several readouts and the loss over the last, some parameters may be read and yet get no gradient.
    return "ddp_find_unused_parameters_true" if settings.loss_over == "last" else "ddp"


def _check(settings: TrainSettings, device: torch.device) -> None:
    if settings.precision == "16" and device.type == "cpu":
        raise CortexGraphError(
            Diagnostic(
                "no-precision",
                "precision",
                "16 was asked for",
                "a processor computes in 32 or bf16",
                "Give --precision bf16.",
            )
        )
    if device.type == "cuda" and settings.devices > torch.cuda.device_count():
        raise _no_device(f"{settings.devices} × cuda", f"torch sees {torch.cuda.device_count()} GPUs here")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Leave out Lightning's announcements and tips; warnings about what goes wrong stay."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # The gradient scaler of 16-bit training may skip the first step, which is as it should be.
            warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler.step\(\)` before")
            # Lightning reads a name that torch is renaming.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")
            yield
    finally:
        log.setLevel(level)
