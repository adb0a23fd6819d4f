"""`record`: stream the states of areas at every step, image by image, to disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import unroll
from cortexgraph.data import Stimuli
from cortexgraph.errors import CompileError, DataError, Diagnostic, SpecError
from cortexgraph.files import replacing, write_text
from cortexgraph.network import CompiledNetwork
from cortexgraph.protocol.schedule import Protocol, ProtocolLike, load_protocol
from cortexgraph.protocol.video import background
from cortexgraph.recording.measures import mean_activity
from cortexgraph.recording.plan import Recorded, plan
from cortexgraph.recording.plots import PlotData, check_format, dissimilarities, draw_plots, draw_responses
from cortexgraph.recording.responses import Responses, presentations
from cortexgraph.recording.sinks import TABLES, Sink, Variable, check_sink, measures_path, opened_sink
from cortexgraph.spec import load
from cortexgraph.training.engine import choose_device
from cortexgraph.training.evaluation import warn_of_infinite
from cortexgraph.training.losses import logits_per_step, predicted_per_step
from cortexgraph.training.run import TrainedRun, opened
from cortexgraph.unrolling import Order
from cortexgraph.version import __version__
from cortexgraph.wording import count_text, quoted, steps_text

BATCH_BYTES = 1 << 25
"""Of the states of one batch: more images are not computed at a time."""

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Recording:
    """What was written.

    Attributes:
        path: of the file.
        images: how many.
        areas: what was recorded of each.
        readout_steps: steps at which the first readout was read, and which of them training did not reach.
        accuracy: at these steps; None if no image has a class that the network knows.
        plots: the pictures that were drawn.
        responses: of a recording under a protocol: its measures.
        table: of a recording under a protocol: the file that holds them.
    """

    path: Path
    images: int
    areas: tuple[Recorded, ...]
    readout_steps: tuple[int, ...]
    untrained_steps: tuple[int, ...]
    accuracy: tuple[float, ...] | None
    plots: tuple[Path, ...]
    responses: Responses | None = None
    table: Path | None = None


@arguments_explained
def record(
    run: str | Path | TrainedRun,
    stimuli: Stimuli,
    out: str | Path,
    *,
    areas: str | Sequence[str] | None = None,
    steps: str | int | Sequence[int] = "all",
    total_steps: int | None = None,
    order: Order | None = None,
    device: str = "auto",
    batch_size: int = 100,
    plots: str | None = None,
    most_bytes: float = inf,
    tell: Callable[[str], None] = lambda line: None,
    protocol: ProtocolLike | None = None,
) -> Recording:
    """Record the states of a trained network to disk.

    Memory holds one batch at a time, whatever the number of images. The file appears when it is whole.

    Args:
        run: a run or its folder.
        stimuli: the images, brought to the size that the network takes.
        out: a file that ends in .nc (NetCDF) or .npz; with a protocol also .csv or .json, for its measures alone.
        areas: a name or several; all areas by default.
        steps: `all` at which an area is live, `last`, a step or a list.
        total_steps: number of steps T; that of the spec by default.
        order: order of updates; that of the spec by default.
        device: as in `TrainSettings`.
        batch_size: images at a time, at most.
        plots: png, svg or pdf: also draw mean activity, dissimilarity and accuracy over time beside `out`; with a
            protocol, responses and the measure that it names.
        most_bytes: refuse a larger recording if no areas are named.
        tell: is called with a line about the size before anything is computed, and about progress after each tenth.
        protocol: shows every image under each of its conditions, as `cortexgraph.protocol.load_protocol` takes it.
            The steps at which a spec presents its input (`input.present`) do not count then.

    Raises:
        DataError: for a missing or damaged run, a file that cannot be written, or a recording of all areas that takes
            more than `most_bytes`.
        CompileError: for an unknown area, or steps that do not exist or at which an area is silent.
        SpecError: for a protocol that is wrong, or longer than the network runs.
    """
    path = Path(out)
    check_format(plots)
    if batch_size < 1:
        found, repair = f"{batch_size} images at a time were asked for", "Give a positive number."
        raise DataError(Diagnostic("bad-batches", "batch_size", found, "it must be 1 or more", repair))
    run, script = opened(run), None if protocol is None else load_protocol(protocol)
    if script is not None:
        run, total_steps = _staged(run, script, total_steps, steps)
    recorded = plan(unroll(run.spec, total_steps, order), areas, steps)
    shown = stimuli if script is None else presentations(script, stimuli, total_steps or 1)
    image_bytes = sum(each.bytes_per_image for each in recorded)
    _check_size(path, recorded, len(shown), most_bytes if areas is None else inf, script is not None)
    names, only = quoted([each.area for each in recorded]), path.suffix in TABLES
    size_text = f"measures in {path}" if only else f"{image_bytes * len(shown) / 1e6:,.1f} MB in {path}"
    tell(f"recording {len(shown):,} {'images' if script is None else 'presentations'}, {names}: {size_text}")
    states = {each.area: each.steps for each in recorded}
    network = run.compile(total_steps, order, at="all", record=states, memory_format="channels_last")
    network.to(choose_device(device)).eval()
    trained = run.reached(network)
    _check_readout(script, trained)
    labels = run.labels(shown.classes)
    if (labels < 0).all():
        tell("no image is of a class that the network knows: there is no accuracy")
    variables = [*_variables(run, network, trained, shown, recorded, labels, script)]
    notes = {
        "network": run.spec.name,
        "spec_sha256": run.spec.digest,
        "data": stimuli.name,
        "cortexgraph": __version__,
    } | ({} if script is None else {"protocol": script.timeline.name})
    frames = 1 if script is None else network.spec.time.steps
    size = max(
        1, min(batch_size, BATCH_BYTES // max(image_bytes, frames * 4 * prod(network.unrolled.areas.image_shape)))
    )
    base = None if script is None else _background(run, network, script, recorded)
    with nullcontext() if only else _saved(path, variables, notes) as sink:
        activity, predicted, voted = _stream(run, network, shown, recorded, sink, size, tell, base)
        warn_of_infinite([step for step, classes in zip(trained, predicted.T, strict=True) if (classes < 0).any()])
        known = labels >= 0
        right = (predicted[known] == labels[known, None]).mean(0).tolist() if known.any() else None
        data = PlotData(recorded, labels, activity, trained, right, len(run.classes))
        matrices = dissimilarities(data, sink) if plots and script is None and sink is not None else None
    pictures = draw_plots(data, matrices, path, plots, run.spec.name) if plots and matrices is not None else ()
    untrained = tuple(step for step, reached in trained.items() if not reached)
    accuracy = None if right is None or script is not None else tuple(right)
    recording = Recording(path, len(stimuli), recorded, tuple(trained), untrained, accuracy, pictures)
    if script is None:
        return recording
    responses = Responses(
        script,
        recorded,
        network.spec.time.steps,
        activity,
        labels,
        predicted,
        voted,
        tuple(trained),
        len(run.classes),
    )
    return _measured(recording, responses, run.spec.name, plots)


def _staged(
    run: TrainedRun, script: Protocol, total_steps: int | None, steps: str | int | Sequence[int]
) -> tuple[TrainedRun, int]:
    """The run with an input that is presented at every step, and the number of steps T."""
    if steps != "all":
        found, expected = f"the steps {steps} were asked for", "a protocol is measured at all steps"
        raise CompileError(Diagnostic("bad-steps", "steps", found, expected, "Leave --at out."))
    total = script.total_steps(total_steps, run.spec.time.steps)
    present = run.spec.input.present == "always"
    return (run if present else replace(run, spec=load(run.spec, ["input.present=always"]))), total


def _check_size(path: Path, recorded: Sequence[Recorded], count: int, most_bytes: float, tables: bool) -> None:
    """Refuse a file that cannot be written, or that is larger than the user may expect."""
    total = 0 if path.suffix in TABLES else sum(each.bytes_per_image for each in recorded) * count
    if total > most_bytes:
        sizes = [f"{each.area} {count_text(each.bytes_per_image * count)}B" for each in recorded]
        takes = f"the states of all areas for {count:,} images take {count_text(total)}B"
        expected = f"more than {count_text(most_bytes)}B are written only on request"
        repair = f"Choose with --areas ({', '.join(sizes)}), record fewer images or steps, or add --yes."
        if tables:
            repair += f" For the measures alone, name the file {path.with_suffix('.csv').name}."
        raise DataError(Diagnostic("large-recording", str(path), takes, expected, repair))
    check_sink(path, total, tables=tables)


def _check_readout(script: Protocol | None, trained: Mapping[int, bool]) -> None:
    read = script.timeline.figure.read if script is not None else None
    if script is not None and isinstance(read, int) and read not in trained:
        expected = f"the readout has a value at {steps_text([*trained])}"
        found = f"the accuracy at step {read} was asked for"
        raise SpecError(script.timeline.origin.diagnostic("silent-readout", ("figure", "read"), found, expected))


@contextmanager
def _saved(path: Path, variables: Sequence[Variable], notes: Mapping[str, str]) -> Iterator[Sink]:
    """A sink whose file appears when it is whole."""
    with replacing(path) as temporary, opened_sink(temporary, variables, notes) as sink:
        yield sink
        sink.close()


def _background(
    run: TrainedRun, network: CompiledNetwork, script: Protocol, recorded: Sequence[Recorded]
) -> dict[str, Floats]:
    """The states [1, step, channel, y, x] by area while the background alone is shown."""
    grey = background(script, network.spec.time.steps, network.unrolled.areas.image_shape)
    with torch.inference_mode():
        _, states = network(run.prepare(grey.to(next(network.parameters()).device)))
    return {
        each.area: torch.stack([states[each.area, t] for t in each.steps], 1).float().cpu().numpy() for each in recorded
    }


def _measured(recording: Recording, responses: Responses, title: str, plots: str | None) -> Recording:
    """The recording with its measures, which are written as a table and drawn."""
    path = recording.path
    table = measures_path(path)
    write_text(table, responses.text(table.suffix))
    pictures: tuple[Path, ...] = ()
    if plots is not None:
        pictures = (path.with_name(f"{path.stem}-{responses.figure or 'responses'}.{plots}"),)
        draw_responses(responses, pictures[0], title)
    return replace(recording, plots=pictures, responses=responses, table=table)


def _variables(
    run: TrainedRun,
    network: CompiledNetwork,
    trained: Mapping[int, bool],
    stimuli: Stimuli,
    recorded: Sequence[Recorded],
    labels: npt.NDArray[np.int64],
    script: Protocol | None,
) -> Iterator[Variable]:
    """The states of each area, then the logits of each readout."""
    count = len(stimuli)
    images: dict[str, tuple[str, npt.NDArray[Any]]] = {
        "image": ("image", np.arange(count)),
        "label": ("image", labels),
        "class_name": ("image", np.array(stimuli.classes, dtype=np.str_)),
        "file": ("image", np.array(stimuli.files, dtype=np.str_)),
    }
    conditions = script.conditions if script is not None else ()
    for name in conditions[0].values if conditions else ():
        values = np.array([condition.values[name] for condition in conditions])
        images[name] = "image", values.repeat(count // len(conditions))
    about = " ".join(name for name in images if name != "image")  # which tells readers that these are not data
    logits: list[Variable] = []
    unrolled = network.unrolled
    for readout in unrolled.areas.readouts:
        at = unrolled.readout_steps(readout.name)
        suffix = "" if len(run.spec.readouts) == 1 else f"_{readout.identifier}"
        step, classes = f"readout_step{suffix}", f"class{suffix}"
        notes = {"long_name": f"logits of {readout.name}", "coordinates": about}
        own = {step: (step, np.array(at, dtype=np.int64))}
        if readout.index == 0:
            own[f"trained{suffix}"] = (step, np.array([int(value) for value in trained.values()]))
            notes["coordinates"] += f" trained{suffix}"
        if readout.classes == len(run.classes):
            own[classes] = (classes, np.array(run.classes, dtype=np.str_))
        outputs = zip((classes, f"row{suffix}", f"column{suffix}"), readout.outputs, strict=False)
        shape = {"image": count, step: len(at), **dict(outputs)}
        logits.append(Variable(f"logits{suffix}", "", shape, images | own, notes))
    taken = {name for one in logits for name in (one.name, *one.dimensions, *one.coordinates)}  # no group may have one
    for each in recorded:
        steps = {"step": ("step", np.array(each.steps, dtype=np.int64))}
        attributes = {
            "area": each.area,
            "long_name": f"state of {each.area} at the end of each step",
            "coordinates": about,
        }
        shape = {"image": count, "step": len(each.steps)} | dict(zip(("channel", "y", "x"), each.shape, strict=True))
        name = f"area_{each.identifier}" if each.identifier in taken else each.identifier
        yield Variable("state", name, shape, images | steps, attributes)
    yield from logits


def _stream(
    run: TrainedRun,
    network: CompiledNetwork,
    stimuli: Stimuli,
    recorded: Sequence[Recorded],
    sink: Sink | None,
    size: int,
    tell: Callable[[str], None],
    base: Mapping[str, Floats] | None,
) -> tuple[dict[str, Floats], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Mean activity [image, step] by area, and the classes that the first readout predicts.

    With `base`, the activity is the mean of the absolute deviation from these states. The classes are one for each
    step [image, step], and one by the mean of its probabilities over all steps [image].
    """
    activity: dict[str, list[Floats]] = {each.area: [] for each in recorded}
    predicted: list[npt.NDArray[np.int64]] = []
    voted: list[npt.NDArray[np.int64]] = []
    device = next(network.parameters()).device
    # One buffer for all batches: separate buffers would leave holes in memory that add up.
    buffers = [np.empty((size, len(each.steps), *each.shape), np.float32) for each in recorded]
    start, count = 0, len(stimuli)
    with torch.inference_mode():
        for images in stimuli.batches(size):
            logits, states = network(run.prepare(images.to(device)))
            for index, each in enumerate(recorded):
                values = buffers[index][: len(images)]
                for n, step in enumerate(each.steps):
                    values[:, n] = states[each.area, step].float().cpu().numpy()
                if sink is not None:
                    sink.append(index, start, values)
                activity[each.area].append(mean_activity(values if base is None else np.abs(values - base[each.area])))
            states.clear()
            parts = [logits] if isinstance(logits, Tensor) else list(logits.values())
            for index, part in enumerate(parts, len(recorded)):
                if sink is not None:
                    sink.append(index, start, part.float().cpu().numpy())
            predicted.append(predicted_per_step(logits).cpu().numpy())
            votes = logits_per_step(logits).float().softmax(2).mean(1).argmax(1)
            voted.append(votes.reshape(len(votes), -1)[:, 0].cpu().numpy())
            tenths, start = 10 * start // count, start + len(images)
            if 10 * start // count > tenths:
                tell(f"{start:,} of {count:,} images")
    return (
        {area: np.concatenate(parts) for area, parts in activity.items()},
        np.concatenate(predicted),
        np.concatenate(voted),
    )
