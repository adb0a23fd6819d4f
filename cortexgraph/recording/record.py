"""`record`: stream the states of areas at every step, image by image, to disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from cortexgraph.graph import Readout
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
Ints = npt.NDArray[np.int64]
Activity = dict[str, Floats]
Coordinates = dict[str, tuple[str, npt.NDArray[Any]]]
"""Values along the axis of that name, by name."""


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
    _check_size(path, recorded, len(shown), most_bytes if areas is None else inf, script is not None)
    tell(_announcement(path, recorded, len(shown), "images" if script is None else "presentations"))
    states = {each.area: each.steps for each in recorded}
    network = run.compile(total_steps, order, at="all", record=states, memory_format="channels_last")
    network.to(choose_device(device)).eval()
    session = _Session(run, network, shown, recorded, script, run.reached(network), run.labels(shown.classes))
    _check_readout(script, session.trained)
    if (session.labels < 0).all():
        tell("no image is of a class that the network knows: there is no accuracy")
    with session.saved(path, stimuli.name) as sink:
        activity, predicted, voted = session.stream(sink, batch_size, tell)
        known, trained = session.labels >= 0, session.trained
        warn_of_infinite([step for step, classes in zip(trained, predicted.T, strict=True) if (classes < 0).any()])
        right = (predicted[known] == session.labels[known, None]).mean(0).tolist() if known.any() else None
        data = PlotData(recorded, session.labels, activity, trained, right, len(run.classes))
        matrices = dissimilarities(data, sink) if plots and script is None and sink is not None else None
    pictures = draw_plots(data, matrices, path, plots, run.spec.name) if plots and matrices is not None else ()
    untrained = tuple(step for step, reached in trained.items() if not reached)
    accuracy = None if right is None or script is not None else tuple(right)
    recording = Recording(path, len(stimuli), recorded, tuple(trained), untrained, accuracy, pictures)
    if script is None:
        return recording
    total, classes, readouts = network.spec.time.steps, len(run.classes), tuple(trained)
    responses = Responses(script, recorded, total, activity, session.labels, predicted, voted, readouts, classes)
    return _measured(recording, responses, run.spec.name, plots)


def _announcement(path: Path, recorded: Sequence[Recorded], count: int, noun: str) -> str:
    """What is about to be recorded, and how large the file will be."""
    size = f"{sum(each.bytes_per_image for each in recorded) * count / 1e6:,.1f} MB in {path}"
    names = quoted([each.area for each in recorded])
    return f"recording {count:,} {noun}, {names}: {f'measures in {path}' if path.suffix in TABLES else size}"


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


@dataclass(frozen=True)
class _Session:
    """A recording that is checked and about to begin.

    Attributes:
        run, network: the network returns the states.
        shown: the images, or the videos of a protocol.
        recorded: what is kept of each area.
        script: the protocol, if there is one.
        trained: by readout step, whether training reached what it uses.
        labels: class of each of `shown`, −1 where it is not known.
    """

    run: TrainedRun
    network: CompiledNetwork
    shown: Stimuli
    recorded: Sequence[Recorded]
    script: Protocol | None
    trained: Mapping[int, bool]
    labels: npt.NDArray[np.int64]

    @contextmanager
    def saved(self, path: Path, data: str) -> Iterator[Sink | None]:
        """A sink whose file appears when it is whole; none for a table of measures."""
        if path.suffix in TABLES:
            yield None
            return
        spec = self.run.spec
        notes = {"network": spec.name, "spec_sha256": spec.digest, "data": data, "cortexgraph": __version__}
        notes |= {} if self.script is None else {"protocol": self.script.timeline.name}
        with replacing(path) as temporary, opened_sink(temporary, [*self._variables()], notes) as sink:
            yield sink
            sink.close()

    def _variables(self) -> Iterator[Variable]:
        """The states of each area, then the logits of each readout."""
        images = self._coordinates()
        about = " ".join(name for name in images if name != "image")  # which tells readers that these are not data
        logits = [self._logits(readout, images, about) for readout in self.network.unrolled.areas.readouts]
        taken = {name for one in logits for name in (one.name, *one.dimensions, *one.coordinates)}  # no group has one
        for each in self.recorded:
            steps = {"step": ("step", np.array(each.steps, dtype=np.int64))}
            long_name = f"state of {each.area} at the end of each step"
            notes = {"area": each.area, "long_name": long_name, "coordinates": about}
            place = dict(zip(("channel", "y", "x"), each.shape, strict=True))
            name = f"area_{each.identifier}" if each.identifier in taken else each.identifier
            shape = {"image": len(self.shown), "step": len(each.steps)} | place
            yield Variable("state", name, shape, images | steps, notes)
        yield from logits

    def _coordinates(self) -> Coordinates:
        """What is known of each image, and under a protocol its condition."""
        count, conditions = len(self.shown), self.script.conditions if self.script is not None else ()
        values = {"image": np.arange(count), "label": self.labels}
        values |= {"class_name": np.array(self.shown.classes, dtype=np.str_)}
        values |= {"file": np.array(self.shown.files, dtype=np.str_)}
        for name in conditions[0].values if conditions else ():
            values[name] = np.array([each.values[name] for each in conditions]).repeat(count // len(conditions))
        return {name: ("image", each) for name, each in values.items()}

    def _logits(self, readout: Readout, images: Coordinates, about: str) -> Variable:
        """The variable of the logits of a readout."""
        at, known = self.network.unrolled.readout_steps(readout.name), self.run.classes
        suffix = "" if len(self.run.spec.readouts) == 1 else f"_{readout.identifier}"
        step, classes = f"readout_step{suffix}", f"class{suffix}"
        notes = {"long_name": f"logits of {readout.name}", "coordinates": about}
        own: Coordinates = {step: (step, np.array(at, dtype=np.int64))}
        if readout.index == 0:
            own[f"trained{suffix}"] = (step, np.array([int(value) for value in self.trained.values()]))
            notes["coordinates"] += f" trained{suffix}"
        if readout.classes == len(known):
            own[classes] = (classes, np.array(known, dtype=np.str_))
        outputs = zip((classes, f"row{suffix}", f"column{suffix}"), readout.outputs, strict=False)
        shape = {"image": len(self.shown), step: len(at), **dict(outputs)}
        return Variable(f"logits{suffix}", "", shape, images | own, notes)

    def _background(self) -> dict[str, Floats] | None:
        """The states [1, step, channel, y, x] by area while the background of a protocol alone is shown."""
        if self.script is None:
            return None
        grey = background(self.script, self.network.spec.time.steps, self.network.unrolled.areas.image_shape)
        with torch.inference_mode():
            _, states = self.network(self.run.prepare(grey.to(next(self.network.parameters()).device)))
        each_step = {each.area: torch.stack([states[each.area, t] for t in each.steps], 1) for each in self.recorded}
        return {area: values.float().cpu().numpy() for area, values in each_step.items()}

    def _batch_size(self, most: int) -> int:
        """How many images at a time, so that their states, and the videos of a protocol, are not too large."""
        frames = 1 if self.script is None else self.network.spec.time.steps
        shown = frames * 4 * prod(self.network.unrolled.areas.image_shape)
        return max(1, min(most, BATCH_BYTES // max(sum(each.bytes_per_image for each in self.recorded), shown)))

    def stream(self, sink: Sink | None, batch_size: int, tell: Callable[[str], None]) -> tuple[Activity, Ints, Ints]:
        """Mean activity [image, step] by area, and the classes that the first readout predicts.

        Under a protocol, the activity is the mean of the absolute deviation from the states of the background. The
        classes are one for each step [image, step], and one by the mean of its probabilities over all steps [image].
        """
        recorded, network, base = self.recorded, self.network, self._background()
        activity: dict[str, list[Floats]] = {each.area: [] for each in recorded}
        predicted, voted = list[Ints](), list[Ints]()
        size, device = self._batch_size(batch_size), next(network.parameters()).device
        # One buffer for all batches: separate buffers would leave holes in memory that add up.
        buffers = [np.empty((size, len(each.steps), *each.shape), np.float32) for each in recorded]
        start, count = 0, len(self.shown)
        with torch.inference_mode():
            for images in self.shown.batches(size):
                logits, states = network(self.run.prepare(images.to(device)))
                for index, each in enumerate(recorded):
                    values = buffers[index][: len(images)]
                    for n, step in enumerate(each.steps):
                        values[:, n] = states[each.area, step].float().cpu().numpy()
                    if sink is not None:
                        sink.append(index, start, values)
                    deviation = values if base is None else np.abs(values - base[each.area])
                    activity[each.area].append(mean_activity(deviation))
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
        joined = {area: np.concatenate(parts) for area, parts in activity.items()}
        return joined, np.concatenate(predicted), np.concatenate(voted)
