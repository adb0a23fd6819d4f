"""`record`: stream the states of areas at every step, image by image, to disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cortexgraph.compiler import unroll
from cortexgraph.data import Stimuli
from cortexgraph.files import replacing
from cortexgraph.network import CompiledNetwork
from cortexgraph.recording.measures import mean_activity
from cortexgraph.recording.plan import Recorded, plan
from cortexgraph.recording.plots import PlotData, check_format, draw_plots, plotted
from cortexgraph.recording.sinks import FLOAT_BYTES, SINKS, Sink, Variable, check_sink
from cortexgraph.training.engine import choose_device
from cortexgraph.training.run import TrainedRun, opened
from cortexgraph.unrolling import Order
from cortexgraph.version import __version__
from cortexgraph.wording import quoted

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


@dataclass(frozen=True)
class _Subject:
    """The run that is recorded, its network, and which readout steps training reached."""

    run: TrainedRun
    network: CompiledNetwork
    trained: Mapping[int, bool]


def record(
    run: str | Path | TrainedRun,
    stimuli: Stimuli,
    out: str | Path,
    *,
    areas: Sequence[str] | None = None,
    steps: str | Sequence[int] = "all",
    total_steps: int | None = None,
    order: Order | None = None,
    device: str = "auto",
    batch_size: int = 100,
    plots: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Recording:
    """Record the states of a trained network to disk.

    Memory holds one batch at a time, whatever the number of images. The file appears when it is whole.

    Args:
        run: a run or its folder; its best epoch counts.
        stimuli: the images, brought to the size that the network takes.
        out: a file that ends in .nc (NetCDF) or .npz.
        areas: names; all areas by default.
        steps: `all` at which an area is live, `last`, or a list.
        total_steps, order: of the unrolling; those of the spec by default.
        device: as in `TrainSettings`.
        batch_size: images at a time, at most.
        plots: png, svg or pdf: also draw mean activity, dissimilarity and accuracy over time beside `out`.
        tell: is called with a line about the size before anything is computed, and about progress after each tenth.

    Raises:
        DataError: for a missing or damaged run, or a file that cannot be written.
        CompileError: for an unknown area, or steps that do not exist or at which an area is silent.
    """
    path = Path(out)
    check_format(plots)
    run = opened(run)
    wanted = plan(unroll(run.spec, total_steps, order), areas, steps)
    per_image = sum(each.numbers for each in wanted)
    check_sink(path, per_image * len(stimuli))
    megabytes = per_image * len(stimuli) * FLOAT_BYTES / 1e6
    names = quoted([each.area for each in wanted])
    tell(f"recording {len(stimuli):,} images, {names}: {megabytes:,.1f} MB in {path}")
    states = {each.area: each.steps for each in wanted}
    network = run.compile(total_steps, order, at="all", record=states, memory_format="channels_last")
    subject = _Subject(run, network, run.reached(network))
    target = choose_device(device)
    subject.network.to(target).eval()
    labels = np.array([_index(subject.run.classes, name) for name in stimuli.classes], dtype=np.int64)
    variables = [*_variables(subject, stimuli, wanted, labels)]
    size = max(1, min(batch_size, BATCH_BYTES // (per_image * FLOAT_BYTES)))
    with replacing(path) as temporary, _opened(temporary, variables, _notes(subject, stimuli)) as sink:
        seen = _stream(subject, stimuli, wanted, sink, size, target, tell)
        right = _accuracy(seen.correct, labels, list(subject.trained))
        drawn = PlotData(wanted, labels, seen.activity, subject.trained, right, len(subject.run.classes))
        chosen = plotted(drawn, sink) if plots is not None else None
        sink.close()
    pictures = draw_plots(drawn, chosen, path, plots, run.spec.name) if plots is not None and chosen is not None else ()
    untrained = tuple(step for step, reached in subject.trained.items() if not reached)
    return Recording(path, len(stimuli), wanted, tuple(subject.trained), untrained, right, pictures)


@contextmanager
def _opened(path: Path, variables: Sequence[Variable], notes: Mapping[str, Any]) -> Iterator[Sink]:
    """A sink that, whatever goes wrong, leaves nothing half-written."""
    sink = SINKS[path.suffix](path, variables, notes)
    try:
        sink.open()
        yield sink
    except BaseException:
        sink.discard()
        raise


def _index(classes: tuple[str, ...], name: str) -> int:
    return classes.index(name) if name in classes else -1


def _notes(subject: _Subject, stimuli: Stimuli) -> dict[str, Any]:
    return {
        "network": subject.run.spec.name,
        "spec_sha256": subject.run.spec.digest,
        "data": stimuli.name,
        "cortexgraph": __version__,
    }


def _variables(
    subject: _Subject, stimuli: Stimuli, wanted: Sequence[Recorded], labels: npt.NDArray[np.int64]
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
    reached = np.array([int(value) for value in subject.trained.values()])
    alone = len(subject.run.spec.readouts) == 1
    unrolled = subject.network.unrolled
    for readout in unrolled.areas.readouts:
        at = unrolled.readout_steps(readout.name)
        suffix = "" if alone else f"_{readout.identifier}"
        step, classes = f"readout_step{suffix}", f"class{suffix}"
        notes = {"long_name": f"logits of {readout.name}", "coordinates": "label class_name file"}
        own = {step: (step, np.array(at, dtype=np.int64))}
        if readout.index == 0:
            own[f"trained{suffix}"] = (step, reached)
            notes["coordinates"] += f" trained{suffix}"
        if readout.classes == len(subject.run.classes):
            own[classes] = (classes, np.array(subject.run.classes, dtype=np.str_))
        shape = {"image": count, step: len(at), classes: readout.classes}
        logits.append(Variable(f"logits{suffix}", "", shape, images | own, notes))
    names = {name for one in logits for name in (one.name, *one.dimensions, *one.coordinates)}  # no group may have one
    for each in wanted:
        dimensions = dict(zip(("channel", "y", "x"), each.shape, strict=True))
        steps = {"step": ("step", np.array(each.steps, dtype=np.int64))}
        attributes = {
            "area": each.area,
            "long_name": f"state of {each.area} at the end of each step",
            "coordinates": "label class_name file",  # which tells readers that these are no data
        }
        shape = {"image": count, "step": len(each.steps)} | dimensions
        name = f"area_{each.identifier}" if each.identifier in names else each.identifier
        yield Variable("state", name, shape, images | steps, attributes)
    yield from logits


@dataclass(frozen=True)
class _Seen:
    """What is added up while streaming: mean activity [image, step] by area, predictions [image, step]."""

    activity: dict[str, Floats]
    correct: npt.NDArray[np.int64]


def _stream(
    subject: _Subject,
    stimuli: Stimuli,
    wanted: Sequence[Recorded],
    sink: Sink,
    size: int,
    target: torch.device,
    tell: Callable[[str], None],
) -> _Seen:
    activity: dict[str, list[Floats]] = {each.area: [] for each in wanted}
    predicted: list[npt.NDArray[np.int64]] = []
    # One buffer for all batches: allocated anew for each, they would leave holes in memory that add up.
    buffers = [np.empty((size, len(each.steps), *each.shape), np.float32) for each in wanted]
    start = 0
    with torch.inference_mode():
        for images in stimuli.batches(size):
            logits, states = subject.network(subject.run.prepare(images.to(target)))
            for index, each in enumerate(wanted):
                values = buffers[index][: len(images)]
                for n, step in enumerate(each.steps):
                    values[:, n] = states[each.area, step].float().cpu().numpy()
                sink.append(index, start, values)
                activity[each.area].append(mean_activity(values))
            states.clear()
            parts = [logits] if isinstance(logits, Tensor) else list(logits.values())
            for index, part in enumerate(parts, len(wanted)):
                sink.append(index, start, part.float().cpu().numpy())
            predicted.append(parts[0].argmax(2).cpu().numpy())
            tenths_before, start = 10 * start // len(stimuli), start + len(images)
            if 10 * start // len(stimuli) > tenths_before:
                tell(f"{start:,} of {len(stimuli):,} images")
    return _Seen({area: np.concatenate(parts) for area, parts in activity.items()}, np.concatenate(predicted))


def _accuracy(
    predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], steps: Sequence[int]
) -> tuple[float, ...] | None:
    known = labels >= 0
    if not known.any():
        return None
    return tuple(float((predicted[known, n] == labels[known]).mean()) for n in range(len(steps)))
