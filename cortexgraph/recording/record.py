"""`record`: stream the states of areas at every step, image by image, to disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import unroll
from cortexgraph.data import Stimuli
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.files import replacing
from cortexgraph.network import CompiledNetwork
from cortexgraph.recording.measures import mean_activity
from cortexgraph.recording.plan import Recorded, plan
from cortexgraph.recording.plots import PlotData, check_format, dissimilarities, draw_plots
from cortexgraph.recording.sinks import Sink, Variable, check_sink, opened_sink
from cortexgraph.training.engine import choose_device
from cortexgraph.training.evaluation import warn_of_infinite
from cortexgraph.training.losses import predicted_per_step
from cortexgraph.training.run import TrainedRun, opened
from cortexgraph.unrolling import Order
from cortexgraph.version import __version__
from cortexgraph.wording import count_text, quoted

__all__ = ["Recording", "record"]

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
    """

    path: Path
    images: int
    areas: tuple[Recorded, ...]
    readout_steps: tuple[int, ...]
    untrained_steps: tuple[int, ...]
    accuracy: tuple[float, ...] | None
    plots: tuple[Path, ...]


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
) -> Recording:
    """Record the states of a trained network to disk.

    Memory holds one batch at a time, whatever the number of images. The file appears when it is whole.

    Args:
        run: a run or its folder.
        stimuli: the images, brought to the size that the network takes.
        out: a file that ends in .nc (NetCDF) or .npz.
        areas: a name or several; all areas by default.
        steps: `all` at which an area is live, `last`, a step or a list.
        total_steps, order: of the unrolling; those of the spec by default.
        device: as in `TrainSettings`.
        batch_size: images at a time, at most.
        plots: png, svg or pdf: also draw mean activity, dissimilarity and accuracy over time beside `out`.
        most_bytes: refuse a larger recording if no areas are named.
        tell: is called with a line about the size before anything is computed, and about progress after each tenth.

    Raises:
        DataError: for a missing or damaged run, a file that cannot be written, or a recording of all areas that takes
            more than `most_bytes`.
        CompileError: for an unknown area, or steps that do not exist or at which an area is silent.
    """
    path = Path(out)
    check_format(plots)
    if batch_size < 1:
        found, repair = f"{batch_size} images at a time were asked for", "Give a positive number."
        raise DataError(Diagnostic("bad-batches", "batch_size", found, "it must be 1 or more", repair))
    run = opened(run)
    recorded = plan(unroll(run.spec, total_steps, order), areas, steps)
    image_bytes = sum(each.bytes_per_image for each in recorded)
    if areas is None and image_bytes * len(stimuli) > most_bytes:
        sizes = [f"{each.area} {count_text(each.bytes_per_image * len(stimuli))}B" for each in recorded]
        takes = f"the states of all areas for {len(stimuli):,} images take {count_text(image_bytes * len(stimuli))}B"
        expected = f"more than {count_text(most_bytes)}B are written only on request"
        repair = f"Choose with --areas ({', '.join(sizes)}), record fewer images or steps, or add --yes."
        raise DataError(Diagnostic("large-recording", str(path), takes, expected, repair))
    check_sink(path, image_bytes * len(stimuli))
    names = quoted([each.area for each in recorded])
    tell(f"recording {len(stimuli):,} images, {names}: {image_bytes * len(stimuli) / 1e6:,.1f} MB in {path}")
    states = {each.area: each.steps for each in recorded}
    network = run.compile(total_steps, order, at="all", record=states, memory_format="channels_last")
    network.to(choose_device(device)).eval()
    trained = run.reached(network)
    indices = run.labels(stimuli.classes)
    labels = np.array([indices.get(name, -1) for name in stimuli.classes], dtype=np.int64)
    variables = [*_variables(run, network, trained, stimuli, recorded, labels)]
    notes = {
        "network": run.spec.name,
        "spec_sha256": run.spec.digest,
        "data": stimuli.name,
        "cortexgraph": __version__,
    }
    size = max(1, min(batch_size, BATCH_BYTES // image_bytes))
    with replacing(path) as temporary, opened_sink(temporary, variables, notes) as sink:
        activity, predicted = _stream(run, network, stimuli, recorded, sink, size, tell)
        warn_of_infinite([step for step, classes in zip(trained, predicted.T, strict=True) if (classes < 0).any()])
        known = labels >= 0
        right = (predicted[known] == labels[known, None]).mean(0).tolist() if known.any() else None
        shown = PlotData(recorded, labels, activity, trained, right, len(run.classes))
        matrices = dissimilarities(shown, sink) if plots is not None else None
        sink.close()
    pictures = draw_plots(shown, matrices, path, plots, run.spec.name) if plots and matrices is not None else ()
    untrained = tuple(step for step, reached in trained.items() if not reached)
    accuracy = None if right is None else tuple(right)
    return Recording(path, len(stimuli), recorded, tuple(trained), untrained, accuracy, pictures)


def _variables(
    run: TrainedRun,
    network: CompiledNetwork,
    trained: Mapping[int, bool],
    stimuli: Stimuli,
    recorded: Sequence[Recorded],
    labels: npt.NDArray[np.int64],
) -> Iterator[Variable]:
    """The states of each area, then the logits of each readout."""
    count = len(stimuli)
    images: dict[str, tuple[str, npt.NDArray[Any]]] = {
        "image": ("image", np.arange(count)),
        "label": ("image", labels),
        "class_name": ("image", np.array(stimuli.classes, dtype=np.str_)),
        "file": ("image", np.array(stimuli.files, dtype=np.str_)),
    }
    logits: list[Variable] = []
    unrolled = network.unrolled
    for readout in unrolled.areas.readouts:
        at = unrolled.readout_steps(readout.name)
        suffix = "" if len(run.spec.readouts) == 1 else f"_{readout.identifier}"
        step, classes = f"readout_step{suffix}", f"class{suffix}"
        notes = {"long_name": f"logits of {readout.name}", "coordinates": "label class_name file"}
        own = {step: (step, np.array(at, dtype=np.int64))}
        if readout.index == 0:
            own[f"trained{suffix}"] = (step, np.array([int(value) for value in trained.values()]))
            notes["coordinates"] += f" trained{suffix}"
        if readout.classes == len(run.classes):
            own[classes] = (classes, np.array(run.classes, dtype=np.str_))
        shape = {"image": count, step: len(at), classes: readout.classes}
        logits.append(Variable(f"logits{suffix}", "", shape, images | own, notes))
    taken = {name for one in logits for name in (one.name, *one.dimensions, *one.coordinates)}  # no group may have one
    for each in recorded:
        steps = {"step": ("step", np.array(each.steps, dtype=np.int64))}
        attributes = {
            "area": each.area,
            "long_name": f"state of {each.area} at the end of each step",
            "coordinates": "label class_name file",  # which tells readers that these are no data
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
    sink: Sink,
    size: int,
    tell: Callable[[str], None],
) -> tuple[dict[str, Floats], npt.NDArray[np.int64]]:
    """Mean activity [image, step] by area, and the classes that the first readout predicts [image, step]."""
    activity: dict[str, list[Floats]] = {each.area: [] for each in recorded}
    predicted: list[npt.NDArray[np.int64]] = []
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
                sink.append(index, start, values)
                activity[each.area].append(mean_activity(values))
            states.clear()
            parts = [logits] if isinstance(logits, Tensor) else list(logits.values())
            for index, part in enumerate(parts, len(recorded)):
                sink.append(index, start, part.float().cpu().numpy())
            predicted.append(predicted_per_step(logits).cpu().numpy())
            tenths, start = 10 * start // count, start + len(images)
            if 10 * start // count > tenths:
                tell(f"{start:,} of {count:,} images")
    return {area: np.concatenate(parts) for area, parts in activity.items()}, np.concatenate(predicted)
