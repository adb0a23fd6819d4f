"""`train`: from a spec, images and settings to a folder with a trained network."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from safetensors.torch import load_file
from torch import Tensor

from cortexgraph.arguments import arguments_explained
from cortexgraph.checks.shapes import batch_norm_over_one_value
from cortexgraph.codegen import MemoryFormat, read_checkpoint
from cortexgraph.compiler import build, compile_spec
from cortexgraph.data import ImageData
from cortexgraph.errors import CompileError, CortexGraphError, DataError, Diagnostic
from cortexgraph.files import write_text
from cortexgraph.graph import AreaGraph, resolved
from cortexgraph.network import CompiledNetwork
from cortexgraph.spec import NetworkSpec, SpecLike
from cortexgraph.training import engine, images, loaders
from cortexgraph.training.curves import draw_curves
from cortexgraph.training.job import (
    Job,
    begin_extension,
    checkpoint_to_resume,
    finish_extension,
    withdrawn_if_nothing_was_trained,
)
from cortexgraph.training.module import TrainingModule
from cortexgraph.training.processes import (
    is_first_process,
    on_these_machines,
    resumed_on_these_machines,
    training_together,
)
from cortexgraph.training.reached import check_losses
from cortexgraph.training.recorder import Recorder, plain_state
from cortexgraph.training.records import EpochRecord, Started, Summary, summary_text
from cortexgraph.training.run_folder import LAYOUT, RunFolder, tensors_digest, write_json
from cortexgraph.training.settings import MACHINES, TrainSettings
from cortexgraph.training.starting import Source, Start, freeze, load_weights, whiten
from cortexgraph.training.synchronised import synchronise_norms


@arguments_explained
def train(
    spec: SpecLike,
    data: ImageData,
    settings: TrainSettings | None = None,
    out: str | Path = "run",
    *,
    resume: bool = False,
    extend: int = 0,
    init_from: Source | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    logger: Sequence[str] = engine.DEFAULT_TRACKERS,
    origin: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> Summary:
    """Train a network and leave a self-contained folder.

    The folder holds the resolved spec, the emitted source, drawings, metrics (CSV and TensorBoard), checkpoints, the
    weights, curves and a summary. The weights are those of the epoch that is best on the validation images, or of the
    last epoch where none are set aside (`TrainSettings.validation`). Equal arguments give equal weights on the same
    machine.

    Args:
        spec: the network, or its path or zoo name.
        data: the images.
        settings: how to train; if none are given, the defaults, or those of the run that is resumed or extended.
        out: the folder, made here; no other process may write into it meanwhile.
        resume: resume the interrupted run, or extension of a run, in `out` after its last finished epoch, bit for bit.
        extend: continue the finished run in `out` for this many epochs. The schedule starts again over them. The run
            stays as it is until they are finished.
        init_from: weights to start from: a run or its folder, the name of a trained network that ships, a file, or a
            state dict. Readouts for other classes stay new. `initial.safetensors` keeps the initial weights.
        overwrite: replace a run in `out`; files that are not a run's stay.
        quiet: print nothing.
        logger: what tracks the metrics besides the table, which is always written: `tensorboard`, `wandb`, `mlflow`.
        origin: the arguments of `load_data` that made `data`, kept so that `cortexgraph eval` finds it again.
        command: the command line, kept in the summary; a resumed run keeps that which started it.
        on_epoch: is called with the record of each epoch once it is saved; an exception of it ends training.

    Raises:
        GraphError, CompileError: if the spec does not compile.
        DataError: if the data or the initial weights do not fit the network, or `out` is not free (or not resumable).
        CortexGraphError: for a device that does not exist, a tracker that is not installed, or when training diverges.
        Interrupted: on Ctrl-C or SIGTERM, when the folder is ready to be resumed.
    """
    run = RunFolder(out)
    if init_from is not None and (resume or extend):
        found, repair = "a run that is resumed or extended has its own weights", "Leave `init_from` out."
        raise DataError(Diagnostic("run-folder", str(out), found, repair=repair))
    options = {"quiet": quiet, "logger": logger, "origin": origin, "command": command, "on_epoch": on_epoch}
    if extend or (resume and run.is_being_extended):
        run.check_startable(resume=resume, extend=bool(extend), overwrite=overwrite)
        return _extended(run, spec, data, settings, extend, options)
    if settings is None:
        settings = resumed_on_these_machines(run.train_settings()) if resume and run.is_run else TrainSettings()
    spec = resolved(graph := build(spec))
    settings = on_these_machines(settings)
    engine.check_trackers(logger, run.path)
    whole = data
    data, rows = prepared(graph, whole, settings, run.read_validation() if resume else [])
    card = images.data_card(images.normalised(whole, settings), origin)
    device = engine.choose_device(settings.device, settings.devices)
    computed = settings.model_copy(update={"precision": engine.choose_precision(settings.precision, device)})
    run.check_startable(resume=resume, overwrite=overwrite)
    with torch.random.fork_rng([device.index] if device.type == "cuda" else []), engine.quiet_lightning():
        network, start = _initial_network(spec, settings, data, init_from, run.read_initial() if resume else None)
        check_losses(network.unrolled, settings.loss_over)
        frozen = freeze(network, settings.freeze)
        started = Started(
            cortexgraph_run=LAYOUT,
            settings=settings.model_dump(mode="json", exclude=MACHINES),
            machines=settings.model_dump(mode="json", include=MACHINES),
            spec_sha256=spec.digest,
            logger=list(logger),
            command=shlex.join(command),
            init_from=start.name if start else "",
            initial=tensors_digest(plain_state(network)) if start else "",
        )
        job = Job(run, spec, network, data, rows, card, computed, started, device, start, frozen)
        recorder = Recorder(run, engine.Interrupts(), quiet=quiet, on_epoch=on_epoch)
        return _carried_out(job, recorder, logger, resume=resume, overwrite=overwrite)


def prepared(
    graph: AreaGraph, data: ImageData, settings: TrainSettings, stored: list[int]
) -> tuple[ImageData, list[int]]:
    """The images as the network trains on them, and the rows of those that are set aside for validation.

    Rows that a resumed run has `stored` are taken if they are rows of the data. Raises what `train` does about images
    that do not fit the network or the settings.
    """
    images.check_fit(graph.spec, data, settings.loss)
    images.check_frames(graph.spec, data)
    data = images.normalised(data, settings)
    rows = stored if stored and max(stored) < len(data.train) else images.validation_rows(data, settings)
    data = images.set_aside(data, rows)
    images.check_augmentation(graph.spec, data, settings)
    loaders.check_batches(data, settings)
    if findings := list(batch_norm_over_one_value(graph, min(settings.batch_size, len(data.train)))):
        raise CompileError(findings)
    return data, rows


def _initial_network(
    spec: NetworkSpec,
    settings: TrainSettings,
    data: ImageData,
    init_from: Source | None,
    stored: Mapping[str, Tensor] | None,
) -> tuple[CompiledNetwork, Start | None]:
    """The network as training starts: new weights from the seed, or those of another network or a stored run."""
    torch.manual_seed(settings.seed)
    checkpoint = None if settings.checkpoint == "none" else read_checkpoint(settings.checkpoint, settings.batch_size)
    is_free = settings.strategy != "fsdp"  # which divides contiguous tensors alone
    layout: MemoryFormat = "channels_last" if settings.channels_last and is_free else "contiguous"
    video, tbptt = data.train.frames is not None, settings.tbptt or None
    network = compile_spec(spec, memory_format=layout, checkpoint=checkpoint, video=video, tbptt=tbptt)
    if stored is not None:
        network.load_state_dict(dict(stored))
    elif init_from is None:
        whiten(network, data)
    return network, None if init_from is None else load_weights(network, init_from, data.classes)


def _carried_out(job: Job, recorder: Recorder, logger: Sequence[str], *, resume: bool, overwrite: bool) -> Summary:
    """Train, or resume, and write the results; `summary.json`, which marks a finished run, last."""
    run, quiet = job.run, recorder.quiet
    batches = job.settings.accumulate * loaders.run_length(job.data, job.settings) // job.settings.epochs
    trainer = engine.make_trainer(job.settings, job.device, run.path, [recorder], batches, quiet=quiet)
    with run.locked():
        newest = job.begin(resume=resume, overwrite=overwrite, quiet=quiet)
        path, last = newest or (None, None)
        if is_first_process():  # others may be here before the folder is
            recorder.metadata = job.metadata
        step = last["global_step"] if last else 0
        versions = last["callbacks"]["Recorder"].get("trackers", {}) if last else {}
        names = logger if is_first_process() else ()
        with engine.tracking(names, run.path, job.spec.name, step, versions) as recorder.trackers:
            if job.settings.processes > 1:
                synchronise_norms(job.network, job.device)
            module = TrainingModule(job.network, job.data, job.settings, job.frozen.modules)
            tested = _fit(trainer, recorder, module, path)
        summary = replace(job, run=recorder.run).summary(recorder.history, tested)
        if trainer.is_global_zero:
            draw_curves(recorder.history, recorder.title, run.curves)
            write_text(run.summary_text, summary_text(summary), durable=True)
            write_json(run.summary, summary)
    return summary


def _extended(
    run: RunFolder,
    spec: SpecLike,
    data: ImageData,
    settings: TrainSettings | None,
    epochs: int,
    options: dict[str, Any],
) -> Summary:
    """Extend a run, or without epochs resume its extension."""
    first = is_first_process()
    with run.locked():
        if epochs and first:
            run.check_startable(extend=True)  # another process may have been here meanwhile
            network, stored = resolved(build(spec)), settings or run.train_settings()
            started = Started(
                cortexgraph_run=LAYOUT,
                settings=stored.model_dump(mode="json", exclude=MACHINES),
                spec_sha256=network.digest,
            )
            checkpoint_to_resume(run, started, network, images.data_card(images.normalised(data, stored)))
            begin_extension(run, epochs, shlex.join(options["command"]))
        while not first and not run.is_being_extended:  # the first process begins it
            time.sleep(0.1)
        if settings is not None and settings.restarts == run.train_settings().restarts:
            settings = None  # those of the run, which its extension changes
        if not run.extension.summary.exists():
            with withdrawn_if_nothing_was_trained(run) if epochs else nullcontext():
                summary = train(spec, data, settings, run.extension.path, resume=True, **options)
        elif not first:  # the first process may have moved the extension already
            summary = (run.extension if run.extension.summary.exists() else run).read_summary()
        return finish_extension(run) if first else summary


# ---- run ---------------------------------------------------------------------


def _together(run: RunFolder, settings: TrainSettings) -> AbstractContextManager[None]:
    """The processes of this machine, which train within the block."""
    repair = f"Resume it with `cortexgraph train --resume --out {run.path}`, with as many devices as there are."
    return training_together(settings.devices, settings.processes, repair)


def _fit(
    trainer: pl.Trainer, recorder: Recorder, module: TrainingModule, checkpoint: Path | None
) -> dict[str, dict[int, float]] | None:
    """Train; with validation images, evaluate the epoch that is best on them on the test images: metrics by step."""
    interrupts = recorder.interrupts
    try:
        with interrupts.handled(), _together(recorder.run, module.settings):
            trainer.fit(module, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
            if module.split == "test":
                return None
            module.load_evaluated(load_file(recorder.run.weights))
            trainer.test(module, verbose=False)
            metrics = module.counts["evaluation"].summed(trainer.world_size)[1]
            return {name: module.by_step(values) for name, values in metrics.items()}
    except engine.StopTraining:
        done = len(recorder.history)
        kept = "they are saved." if done else "resuming starts again."
        if recorder.run.within.exists():
            kept = "resuming goes on within the next one."
        message = f"Stopped after {done} of {module.settings.epochs} epochs; {kept}"
        raise engine.Interrupted(message, interrupts.received or signal.SIGINT) from None
    except torch.OutOfMemoryError:
        found = f"its memory does not hold a batch of {module.settings.batch_size} images"
        repair = "Lower --batch-size, use --precision bf16, --checkpoint sqrt, or fewer steps."
        raise CortexGraphError(Diagnostic("out-of-memory", "device", found, repair=repair)) from None
    except Exception as error:
        if checkpoint is None or recorder.has_begun or isinstance(error, CortexGraphError):
            raise
        raise recorder.run.damaged(checkpoint, "does not fit the run") from error  # whatever Lightning met in it
