"""The Lightning trainer that the settings ask for: devices, trackers, signals."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy

from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.extras import is_installed
from cortexgraph.training.processes import cluster_environment, is_first_process
from cortexgraph.training.progress import EpochBar, ProgressLines
from cortexgraph.training.settings import DEVICE_PATTERN, TrainSettings
from cortexgraph.wording import listed, quoted, suggest

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
NATIVE_BF16 = re.compile(r"\b(avx512_bf16|amx_bf16|bf16)\b")
"""Flags of processors (x86, ARM) with instructions for bf16."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
GLIBC_TRIM_THRESHOLD, GLIBC_MMAP_MAX = 2**17, 2**16
"""Numbers of mallopt(3), and their values by default."""
TRACKERS = {"csv": "", "tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""What keeps the metrics, and the package that each needs. The table, csv, is always written."""
DEFAULT_TRACKERS = ("csv", "tensorboard")
MLFLOW_SERVER = os.environ.get("MLFLOW_TRACKING_URI")
"""The user's own; read once, because MLflow sets the variable to the database of each run."""


# ---- devices -----------------------------------------------------------------------


def choose_device(device: str, count: int = 1) -> torch.device:
    """The device of `auto`, `cpu`, `mps`, `cuda` or `cuda:N`, or the first of several.

    Raises CortexGraphError if this machine does not have the device, or has fewer.
    """
    if not re.fullmatch(DEVICE_PATTERN, device):
        expected, repair = "auto, cpu, mps, cuda and cuda:N are known", "Give one of these."
        raise CortexGraphError(Diagnostic("bad-device", "device", f"{device!r} was given", expected, repair))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", chosen.index or 0)
        _check_gpus(f"{count} × cuda" if count > 1 else device, max(count, chosen.index + 1))
    if chosen.type == "mps" and (count > 1 or not torch.backends.mps.is_available()):
        raise _no_device(device, "an Apple GPU is one device" if count > 1 else "torch sees no Apple GPU here")
    return chosen


def _check_gpus(device: str, needed: int) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if needed > count:
        raise _no_device(device, f"torch sees {count} GPU{'s' * (count != 1)} here")


def _no_device(device: str, expected: str) -> CortexGraphError:
    repair = "Give --device auto, or cpu."
    return CortexGraphError(Diagnostic("no-device", "device", f"{device} was asked for", expected, repair))


def reuse_freed_memory(reuse: bool = True) -> None:
    """Let the C library of this process keep the memory that is freed, in place of returning it (glibc on Linux).

    Every training step frees and requests the same large tensors. By default glibc unmaps each one of more than 32 MiB,
    and the system then has to clear its pages again for the next.
    """
    allocate = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if allocate is not None:
        allocate(M_MMAP_MAX, 0 if reuse else GLIBC_MMAP_MAX)
        allocate(M_TRIM_THRESHOLD, 2**31 - 1 if reuse else GLIBC_TRIM_THRESHOLD)


def choose_precision(precision: str, device: torch.device) -> str:
    """32, bf16 or 16; for `auto`, bf16 where the device computes it natively (on a processor, on Linux), else 32.

    Where it is emulated, bf16 is slower than 32.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = device.type == "cpu" and bool(NATIVE_BF16.search(_processor()))
    return "bf16" if native else "32"


def _processor() -> str:
    """What Linux says of the processor."""
    file = Path("/proc/cpuinfo")
    return file.read_text() if file.exists() else ""


# ---- the trainer -------------------------------------------------------------------


def make_trainer(
    settings: TrainSettings,
    device: torch.device,
    folder: Path,
    callbacks: list[pl.Callback],
    batches: int | None = None,
    *,
    quiet: bool,
) -> pl.Trainer:
    """A trainer that only trains: the callbacks save, log and make tables.

    An epoch has this number of batches, or as many as the loader gives. Raises CortexGraphError for a precision that
    this machine does not offer.
    """
    if settings.precision == "16" and device.type == "cpu":
        expected, repair = "a processor computes in 32 or bf16", "Give --precision bf16."
        raise CortexGraphError(Diagnostic("no-precision", "precision", "16 was asked for", expected, repair))
    bar = not quiet and sys.stdout.isatty()
    shown = [] if quiet else [EpochBar() if bar else ProgressLines()]
    return pl.Trainer(
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=[device.index] if device.type == "cuda" and settings.processes == 1 else settings.devices,
        num_nodes=settings.nodes,
        strategy=_strategy(settings),
        plugins=cluster_environment(),
        accumulate_grad_batches=settings.accumulate,
        limit_train_batches=batches,
        precision=PRECISIONS[settings.precision],  # type: ignore[arg-type, unused-ignore]
        max_epochs=settings.epochs,
        gradient_clip_val=settings.clip or None,
        deterministic=settings.deterministic or None,
        benchmark=not settings.deterministic,
        callbacks=[*callbacks, *shown],
        enable_progress_bar=bar,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _strategy(settings: TrainSettings) -> str | Strategy:
    """How Lightning shares the work of an update among processes."""
    if settings.processes == 1:
        return "auto"
    if settings.strategy == "fsdp":
        return ModelParallelStrategy(settings.processes, 1, save_distributed_checkpoint=False)
    # With several readouts and the loss over some steps, some parameters may be read and yet get no gradient.
    return "ddp_find_unused_parameters_true" if settings.loss_over != "all" else "ddp"


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Leave out Lightning's announcements and tips; warnings about errors stay."""
    logs = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # The gradient scaler of 16-bit training may skip the first step, which is as it should be.
            warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler.step\(\)` before")
            # Lightning reads a name that torch is renaming.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")
            # Where SLURM is installed, Lightning advises srun to everyone, also for training on the login node.
            warnings.filterwarnings("ignore", r"The `srun` command is available")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


# ---- trackers ----------------------------------------------------------------------


class Events(TensorBoardLogger):  # type: ignore[misc, unused-ignore]
    """Lightning's logger without its file of hyperparameters, which `settings.json` holds."""

    def save(self) -> None:
        """Write what was logged."""
        self.experiment.flush()


class WandbRun(WandbLogger):  # type: ignore[misc, unused-ignore]
    """Lightning's logger, which ends the run that it began: the next training in this process gets another one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._began = import_module("wandb").run is None

    def finalize(self, status: str) -> None:
        """End the run."""
        super().finalize(status)
        if self._began and self._experiment is not None:
            self._experiment.finish(exit_code=int(status != "success"))


def check_trackers(names: Sequence[str], folder: Path) -> None:
    """Raise CortexGraphError with all findings unless trackers are installed and can write into the run's folder."""
    findings = []
    for name in names:
        package = TRACKERS.get(name)
        if package is None:
            expected = f"the trackers are {listed(list(TRACKERS))}"
            repair = suggest(name, TRACKERS, "Give some of these, with commas.")
            findings.append(Diagnostic("unknown-tracker", "logger", f"{name!r} was given", expected, repair))
        elif package and not is_installed(package):
            found = f"{name} needs the package `{package}`"
            repair = f"Run `pip install {package}`, or leave {name} out."
            findings.append(Diagnostic("missing-extra", "logger", found, "it is not installed", repair))
    if "mlflow" in names and not MLFLOW_SERVER and (signs := set(str(folder.resolve())) & set("?#%")):
        found = f"the path has {quoted(sorted(signs))}, which mlflow cannot write to"
        findings.append(Diagnostic("run-folder", str(folder), found, repair="Name another, or leave mlflow out."))
    if findings:
        raise CortexGraphError(findings)


@contextmanager
def tracking(
    names: Sequence[str], folder: Path, network: str, step: int, versions: Mapping[str, str]
) -> Iterator[dict[str, Logger]]:
    """Lightning's loggers by name, closed after the block, however it ends; `metrics.csv` is the recorder's.

    Training goes on from a step: TensorBoard's values of later ones were lost with an interruption, and are hidden.
    `versions` are what the trackers call the run that goes on.
    """
    run = folder.resolve().name
    mlflow = MLFLOW_SERVER or f"sqlite:///{folder.resolve() / 'mlflow.db'}"  # MLflow refuses plain folders now
    makers: dict[str, Callable[[str | None], Logger]] = {
        "tensorboard": lambda _: Events(folder, name="", version="tensorboard", purge_step=step + 1),
        "wandb": lambda version: WandbRun(name=run, project=network, save_dir=folder, id=version),
        "mlflow": lambda version: MLFlowLogger(
            experiment_name=network, run_name=run, tracking_uri=mlflow, run_id=version
        ),
    }
    if "tensorboard" in names:
        _wait_for_a_later_name(folder / "tensorboard")
    trackers = {name: makers[name](versions.get(name)) for name in dict.fromkeys(names) if name in makers}
    status = "failed"
    with ExitStack() as closing:
        for tracker in trackers.values():
            closing.callback(lambda tracker: tracker.finalize(status), tracker)
        try:
            yield trackers
            status = "success"
        except (StopTraining, KeyboardInterrupt):
            status = "KILLED"  # as MLflow calls it
            raise


def _wait_for_a_later_name(folder: Path) -> None:
    """Wait until an event file of this second would be named after those in the folder.

    TensorBoard reads the files of a folder by name. A name starts with the second; the rest does not rise (process
    9 comes after process 10), and a resumed run read before what it goes on from loses all its steps.
    """
    names = [path.name.split(".") for path in folder.glob("events.out.tfevents.*")]
    while any(int(parts[3]) == int(time.time()) for parts in names if parts[3].isdecimal()):
        time.sleep(0.02)


# ---- signals -----------------------------------------------------------------------

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopTraining(BaseException):
    """Leaves Lightning's loops from within; Lightning itself ends the process on a KeyboardInterrupt."""


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal and can be resumed.

    Attributes:
        signal: its number.
        exit_code: what a shell expects: 128 + signal.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal = signal_number
        self.exit_code = 128 + signal_number


class Interrupts:
    """Remembers that Ctrl-C or SIGTERM came, to stop after the batch; the second one ends the process at once.

    Attributes:
        received: number of the signal that came, if one did.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def install(self) -> None:
        """Handle Ctrl-C and SIGTERM (signals belong to the main thread: elsewhere nothing happens)."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._handle)

    def check(self) -> None:
        """Raise StopTraining if a signal came."""
        if self.received is not None:
            raise StopTraining

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals within a block, and restore the handlers after it."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.install()
        try:
            yield
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            print("Stopped at once; epochs that are saved can be continued with --resume.", file=sys.stderr, flush=True)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received = number
        if is_first_process():
            print("\nStopping after this batch; once more to stop at once.", file=sys.stderr, flush=True)
