"""`train`: from a spec, images and settings to a folder with a trained network."""

from __future__ import annotations

import hashlib
import json
import shlex
import signal
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from cortexgraph.checks.shapes import batch_norm_over_one_value
from cortexgraph.codegen import Checkpoint, read_checkpoint
from cortexgraph.compiler import build, compile_spec
from cortexgraph.data import ImageData
from cortexgraph.drawing import draw, draw_unrolled
from cortexgraph.errors import CompileError, CortexGraphError, DataError, Diagnostic
from cortexgraph.files import write_text
from cortexgraph.graph import resolved
from cortexgraph.network import CompiledNetwork
from cortexgraph.spec import NetworkSpec, SpecLike
from cortexgraph.training.curves import draw_curves
from cortexgraph.training.engine import (
    DEFAULT_TRACKERS,
    Interrupted,
    Interrupts,
    StopTraining,
    check_trackers,
    choose_device,
    is_first_process,
    make_trackers,
    make_trainer,
    quiet_lightning,
)
from cortexgraph.training.images import check_fit, data_card, images_text
from cortexgraph.training.module import TrainingModule
from cortexgraph.training.recorder import Recorder
from cortexgraph.training.run_folder import RunFolder, write_json
from cortexgraph.training.settings import TrainSettings
from cortexgraph.training.summary import Summary, count_parameters, summarise, summary_text

__all__ = ["train"]

DECIDING = ("sha256", "mean", "std", "augment")
"""What of the data decides the run's weights."""


def train(
    spec: SpecLike,
    data: ImageData,
    settings: TrainSettings | None = None,
    out: str | Path = "run",
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    logger: Sequence[str] = DEFAULT_TRACKERS,
    origin: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
) -> Summary:
    """Train a network and leave a self-contained folder.

    The folder holds the resolved spec, the emitted source, drawings, metrics (CSV and TensorBoard), checkpoints, the
    best epoch's weights, curves and a summary. Equal arguments give equal weights on the same machine.

    Args:
        spec: the network, or its path or zoo name.
        data: the images.
        settings: how to train; the defaults if none are given.
        out: the folder, made here; no other process may write into it meanwhile.
        resume: resume the interrupted run in `out` after its last finished epoch, bit for bit.
        overwrite: replace a run in `out`; files that are not a run's stay.
        quiet: print nothing.
        logger: what tracks the metrics besides the table, which is always written: `tensorboard`, `wandb`, `mlflow`.
        origin: the arguments of `load_data` that made `data`, kept so that `cortexgraph eval` finds it again.
        command: the command line, kept in the summary; a resumed run keeps that which started it.

    Raises:
        GraphError, CompileError: if the spec does not compile.
        DataError: if the data does not fit the network, or `out` is not free (or not resumable).
        CortexGraphError: for a device that is not there, a tracker that is not installed, or when training diverges.
        Interrupted: on Ctrl-C or SIGTERM, when the folder is ready to be resumed.
    """
    spec, settings, run = resolved(graph := build(spec)), settings or TrainSettings(), RunFolder(out)
    check_trackers(logger)
    check_fit(spec, data)
    if findings := list(
        batch_norm_over_one_value(graph, min(settings.batch_size, len(data.train)) // settings.devices)
    ):
        raise CompileError(findings)
    device = choose_device(settings.device)
    if first := is_first_process():
        run.check_startable(resume=resume, overwrite=overwrite)
    card = data_card(data, origin)
    with torch.random.fork_rng([device.index] if device.type == "cuda" else []), quiet_lightning():
        torch.manual_seed(settings.seed)
        network = compile_spec(
            spec,
            memory_format="channels_last" if settings.channels_last else "contiguous",
            checkpoint=_checkpoint(settings),
        )
        recorder = Recorder(run, Interrupts(), _metadata(spec, data), _identity(spec, settings, card), quiet=quiet)
        trainer = make_trainer(settings, device, run.path, [recorder], quiet=quiet)
        with run.locked() if first else nullcontext():
            if first:
                run.check_startable(resume=resume, overwrite=overwrite)  # another process may have been here meanwhile
            step = _resumed_step(run, spec, settings, card, recorder.identity) if resume else 0
            if first:
                stored = {"settings": settings.model_dump(), "spec_sha256": spec.digest, "logger": list(logger)}
                run.remove_leftovers() if resume else run.start(stored | {"command": shlex.join(command)}, spec, card)
                _describe(run, spec, network, card)
            recorder.trackers = make_trackers(logger, run.path, spec.name, step)
            if first and not quiet:
                _announce(spec, data, settings, network, _device_name(device, settings.devices))
            _fit(trainer, recorder, TrainingModule(network, data, settings), run.last if step else None)
            summary = summarise(
                spec,
                settings,
                network,
                recorder.history,
                run=run.path,
                card=card,
                device=_device_name(device, settings.devices),
                command=run.read_settings().get("command", shlex.join(command)) if first else "",
            )
            if trainer.is_global_zero:
                _finish(run, summary, recorder)
    return summary


def _checkpoint(settings: TrainSettings) -> Checkpoint | None:
    return None if settings.checkpoint == "none" else read_checkpoint(settings.checkpoint, settings.batch_size)


def _metadata(spec: NetworkSpec, data: ImageData) -> dict[str, str]:
    return {"network": spec.name, "spec_sha256": spec.digest, "data": data.name, "format": "pt"}


def _identity(spec: NetworkSpec, settings: TrainSettings, card: Mapping[str, Any]) -> str:
    """A digest of all that decides the run's weights."""
    parts = [spec.digest, settings.model_dump(mode="json"), [card[name] for name in DECIDING]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


# ---- start -------------------------------------------------------------------


def _announce(
    spec: NetworkSpec, data: ImageData, settings: TrainSettings, network: CompiledNetwork, device: str
) -> None:
    """Say once, before training, what is trained on what."""
    print(f"{data.name}: {images_text(data, settings)}")
    print(
        f"{spec.name}: {count_parameters(network):,} parameters trained for {settings.epochs} "
        f"epoch{'s' * (settings.epochs != 1)} in batches of {settings.batch_size} on {device}",
        flush=True,
    )


def _describe(run: RunFolder, spec: NetworkSpec, network: CompiledNetwork, card: dict[str, Any]) -> None:
    """Write what is known before training, as far as it is not there."""
    run.checkpoints.mkdir(exist_ok=True)
    if not run.spec.exists():
        run.write_spec(spec)
    if not run.data.exists():
        write_json(run.data, card)
    if not run.source.exists():
        write_text(run.source, network.source)
    for name, make in (("areas", draw), ("unrolled", draw_unrolled)):
        paths = [run.path / f"{name}.{suffix}" for suffix in ("svg", "pdf")]
        if not all(path.exists() for path in paths):
            drawing = make(spec)
            for path in paths:
                drawing.save(path)


def _resumed_step(
    run: RunFolder, spec: NetworkSpec, settings: TrainSettings, card: Mapping[str, Any], identity: str
) -> int:
    """The step from which a resumed run goes on; 0 if it was interrupted before the end of its first epoch.

    Raises:
        DataError: if spec, settings or data are not those that it was started with, or a file is damaged.
    """
    before, now = run.train_settings().model_dump(), settings.model_dump()
    findings = [
        _changed(f"settings.{name}", before[name], value) for name, value in now.items() if before[name] != value
    ]
    digest = run.read_settings().get("spec_sha256", "")
    if digest != spec.digest:
        findings.append(_changed("spec", digest, spec.digest))
    kept = run.read_json(run.data) if run.data.exists() else card
    findings += [
        _changed(f"data.{name}", kept[name], card[name])
        for name in DECIDING
        if name in kept and kept[name] != card[name]
    ]
    if findings:
        raise DataError(findings)
    if not run.last.exists():
        return 0
    last = run.read_last()
    if last["callbacks"]["Recorder"].get("identity", identity) != identity:
        raise run.damaged(run.settings, "or data.json is not what the run was started with")
    return int(last["global_step"])


def _changed(place: str, before: object, now: object) -> Diagnostic:
    short = [value[:16] if isinstance(value, str) and len(value) == 64 else value for value in (before, now)]
    return Diagnostic(
        "resume-changed",
        place,
        f"it is {short[1]} now",
        f"the run was started with {short[0]}",
        "Resume with what the run was started with (leave options out), or start another run.",
    )


# ---- run ---------------------------------------------------------------------


def _fit(trainer: Any, recorder: Recorder, module: TrainingModule, checkpoint: Path | None) -> None:
    interrupts = recorder.interrupts
    try:
        with interrupts.handled():
            trainer.fit(module, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    except StopTraining:
        done = len(recorder.history)
        kept = "they are saved." if done else "resuming starts again."
        message = f"Stopped after {done} of {module.settings.epochs} epochs; {kept}"
        raise Interrupted(message, interrupts.received or signal.SIGINT) from None
    except torch.OutOfMemoryError:
        raise CortexGraphError(
            Diagnostic(
                "out-of-memory",
                "device",
                f"its memory does not hold a batch of {module.settings.batch_size} images",
                repair="Lower --batch-size, use --precision bf16, --checkpoint sqrt, or fewer steps.",
            )
        ) from None


def _finish(run: RunFolder, summary: Summary, recorder: Recorder) -> None:
    """Write what is known at the end; `summary.json`, the mark of a finished run, last."""
    title = f"{summary.name} on {Path(summary.data).name}"
    draw_curves(recorder.history, title, [run.path / "curves.png", run.path / "curves.svg"])
    write_text(run.summary_text, summary_text(summary))
    write_json(run.summary, summary.as_json())


def _device_name(device: torch.device, count: int) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{count} × {name}" if count > 1 else name
