"""Pictures of a recording: mean activity, representational dissimilarity and accuracy over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cortexgraph.data.load import balanced_subset
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.recording.measures import dissimilarity, psychometric, separation
from cortexgraph.recording.plan import Recorded
from cortexgraph.recording.responses import Responses
from cortexgraph.recording.sinks import Sink
from cortexgraph.training.curves import COLOURS, GREY, LEGEND, draw_accuracy_over_time, figure_of, save_figure
from cortexgraph.wording import PLOT_FORMATS

MOST_IMAGES, MOST_COLUMNS = 100, 8
PATTERN_BYTES = 1 << 28
"""Of the patterns of one area at one step: fewer images are compared where they are larger."""

MARKERS, DASHES = "osD^vPX", ("-", "--", ":", "-.")

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class PlotData:
    """What the pictures show.

    Attributes:
        areas: what was recorded.
        labels: class of each image, −1 where it is not known.
        activity: mean over units, [image, step] by area.
        trained: by readout step, whether training reached what it uses.
        accuracy: at the readout steps, if classes are known.
        classes: how many the network tells apart.
    """

    areas: tuple[Recorded, ...]
    labels: npt.NDArray[np.int64]
    activity: Mapping[str, Floats]
    trained: Mapping[int, bool]
    accuracy: tuple[float, ...] | None
    classes: int


@dataclass(frozen=True)
class Dissimilarities:
    """Matrices [image, image] by area and step, of some images in the order of their classes."""

    labels: npt.NDArray[np.int64]
    matrices: Mapping[tuple[str, int], Floats]


def check_format(form: str | None) -> None:
    """Raise DataError for a format that plots do not have."""
    if form is not None and form not in PLOT_FORMATS:
        expected = f"plots are {', '.join(PLOT_FORMATS)}"
        raise DataError(Diagnostic("unknown-format", "plots", f"`{form}` was given", expected, "Give one of these."))


def dissimilarities(data: PlotData, sink: Sink) -> Dissimilarities:
    """The dissimilarity of some images at every step of every area, one step in memory at a time."""
    largest = max(each.bytes_per_image // len(each.steps) for each in data.areas)
    count = min(len(data.labels), MOST_IMAGES, max(2, PATTERN_BYTES // largest))
    images = balanced_subset(data.labels.tolist(), count, seed=0)
    labels = data.labels[images]
    ranks = np.argsort(labels, kind="stable")
    matrices = {
        (each.area, step): dissimilarity(sink.read(index, images, n))[np.ix_(ranks, ranks)]
        for index, each in enumerate(data.areas)
        if prod(each.shape) > 1
        for n, step in enumerate(each.steps)
    }
    return Dissimilarities(labels[ranks], matrices)


def draw_plots(data: PlotData, compared: Dissimilarities, out: Path, form: str, title: str) -> tuple[Path, ...]:
    """Write <out>-activity, <out>-dissimilarity and, where classes are known, <out>-accuracy."""
    shown = {"activity": True, "dissimilarity": bool(compared.matrices), "accuracy": data.accuracy is not None}
    paths = {what: out.with_name(f"{out.stem}-{what}.{form}") for what, is_shown in shown.items() if is_shown}
    _draw_activity(data, title, paths["activity"])
    if compared.matrices:
        _draw_dissimilarity(compared, title, paths["dissimilarity"])
    if data.accuracy is not None:
        steps, trained = list(data.trained), list(data.trained.values())
        draw_accuracy_over_time(steps, data.accuracy, trained, 1 / data.classes, title, [paths["accuracy"]])
    return tuple(paths.values())


def line_style(n: int, name: str) -> dict[str, Any]:
    """How the line of area n looks, unlike that of any of 27 others; matplotlib finds no formula in its name."""
    turn, place = divmod(n, len(COLOURS))
    return {
        "color": COLOURS[place],
        "marker": MARKERS[(place + turn) % len(MARKERS)],
        "linestyle": DASHES[turn % len(DASHES)],
        "markersize": 4,
        "label": _plain(name),
    }


def _draw_activity(data: PlotData, title: str, path: Path) -> None:
    """Mean over units and images, with the standard deviation over images, by area."""
    with figure_of(1, title) as (figure, axes):
        for n, each in enumerate(data.areas):
            style = line_style(n, each.area)
            mean, spread = data.activity[each.area].mean(0), data.activity[each.area].std(0)
            axes[0].plot(each.steps, mean, **style)
            axes[0].fill_between(
                each.steps, mean - spread, mean + spread, color=style["color"], alpha=0.15, linewidth=0
            )
        last = max(each.steps[-1] for each in data.areas)
        axes[0].set(xlabel="step", ylabel="mean activity (± s.d. over images)", xlim=(0.5, last + 0.5))
        axes[0].legend(**LEGEND, ncols=1 + len(data.areas) // 16)
        save_figure(figure, [path])


def _draw_dissimilarity(compared: Dissimilarities, title: str, path: Path) -> None:
    """A matrix for each area and some steps, images in the order of their classes; below, how far classes are apart."""
    areas = list(dict.fromkeys(area for area, _ in compared.matrices))
    steps = sorted({step for _, step in compared.matrices})
    columns = min(len(steps), MOST_COLUMNS)
    shown = [
        steps[round(n * (len(steps) - 1) / max(1, columns - 1))] for n in range(columns)
    ]  # the last step among them
    rows, note = len(areas), f"{len(compared.labels)} images in the order of their classes"
    with figure_of(1, title, size=(1.25 * max(len(shown), 3) + 1.6, 1.25 * rows + 2.9)) as (figure, (whole,)):
        whole.remove()
        parts: Any = figure.subfigures(2, 1, height_ratios=[1.25 * rows + 0.4, 2.5])
        upper, lower = parts
        _draw_matrices(upper, compared, areas, shown)
        if len(shown) < len(steps):
            note += f"; {len(shown)} of {len(steps)} steps are shown"
        upper.supxlabel(note, fontsize=8)
        axis = lower.subplots()
        for n, area in enumerate(areas):
            at = [step for step in steps if (area, step) in compared.matrices]
            values = [separation(compared.matrices[area, step], compared.labels) for step in at]
            axis.plot(at, values, **line_style(n, area))
        axis.set(xlabel="step", ylabel="between − within classes", xlim=(steps[0] - 0.5, steps[-1] + 0.5))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.axhline(0, color=GREY, linestyle=":", linewidth=0.8)
        axis.legend(**LEGEND)
        save_figure(figure, [path])


def _draw_matrices(figure: Any, compared: Dissimilarities, areas: Sequence[str], steps: Sequence[int]) -> None:
    axes = figure.subplots(len(areas), len(steps), squeeze=False)
    highest = max(float(np.nanmax(matrix, initial=0)) for matrix in compared.matrices.values()) or 1.0
    drawn = None
    for row, area in enumerate(reversed(areas)):
        for column, step in enumerate(steps):
            axis = axes[row][column]
            _mark_classes(axis, compared.labels, column == 0, row == len(areas) - 1)
            if row == 0:
                axis.set_title(f"step {step}", fontsize=8)
            if column == 0:
                axis.set_ylabel(line_style(0, area)["label"], fontsize=8)
            matrix = compared.matrices.get((area, step))
            if matrix is None:
                axis.set_frame_on(False)
                axis.text(0.5, 0.5, "silent", ha="center", va="center", fontsize=7, color="#888888")
            else:
                drawn = axis.imshow(matrix, vmin=0, vmax=highest, cmap="viridis", interpolation="nearest")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, aspect=30)
    bar.set_label("1 − Pearson correlation", fontsize=8)


def _mark_classes(axis: Any, labels: npt.NDArray[np.int64], left: bool, below: bool) -> None:
    """A tick where each class begins, and its number in the middle where there is room."""
    starts = np.flatnonzero(np.diff(labels, prepend=labels[:1] - 1))
    middles = (starts + np.append(starts[1:], len(labels)) - 1) / 2
    for shown, ticks in ((left, axis.yaxis), (below, axis.xaxis)):
        ticks.set_ticks(starts - 0.5 if shown else [])
        ticks.set_ticklabels([])
        if shown and len(starts) <= 24:
            ticks.set_ticks(middles, [str(label) if label >= 0 else "?" for label in labels[starts]], minor=True)
            ticks.set_tick_params(which="minor", length=0, labelsize=min(6.0, 70 / len(starts)), pad=1)
        ticks.set_tick_params(which="major", length=3, width=0.5)


# ---- protocols -------------------------------------------------------------------

UNITS = {
    "latency": "half-height latency (steps)",
    "peak": "peak response",
    "sustained": "sustained response / peak",
    "adaptation": "adaptation index",
}


def draw_responses(responses: Responses, path: Path, title: str) -> None:
    """The response of the last area over time by condition, and the measure of the protocol against its first axis.

    An accuracy that is not known is left out.
    """
    timeline = responses.protocol.timeline
    if responses.figure is None:
        with figure_of(1, f"{title}: {timeline.name}", (5, 3.4), integers=False) as (figure, (axis,)):
            _draw_courses(responses, axis)
            save_figure(figure, [path])
        return
    with figure_of(2, f"{title}: {timeline.name}", (9, 3.4), integers=False) as (figure, (left, right)):
        _draw_courses(responses, left)
        if responses.figure == "accuracy":
            _draw_accuracy(responses, right)
        else:
            _draw_measure(responses, right, responses.figure)
        for name, values in [*responses.axes.items()][:1]:
            right.set_xlabel(_plain(name))
            if all(isinstance(value, int) for value in values):
                ticks: Any = right.xaxis.get_major_locator()
                ticks.set_params(integer=True)
        right.legend(**LEGEND, fontsize=7)
        save_figure(figure, [path])


def _plain(text: str) -> str:
    """Text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")


def _draw_courses(responses: Responses, axis: Any) -> None:
    from matplotlib import colormaps

    area, conditions = responses.areas[-1], responses.protocol.conditions
    for index, condition in enumerate(conditions):
        colour = colormaps["viridis"](index / max(1, len(conditions)))
        course = responses.evoked(area, index).mean(0)
        axis.plot(range(1, responses.steps + 1), course, color=colour, label=_plain(condition.name) or None)
    axis.axhline(0, color=GREY, linestyle=":", linewidth=0.8)
    axis.set(xlabel="step", ylabel=_plain(f"{area.area}: response to the stimulus"))
    axis.xaxis.get_major_locator().set_params(integer=True)
    if conditions[0].values and len(conditions) <= 12:
        axis.legend(frameon=False, fontsize=7)


def _along_first_axis(responses: Responses) -> dict[str, list[int]]:
    """The conditions of each line: those with the same values on all axes but the first."""
    lines: dict[str, list[int]] = {}
    for index, condition in enumerate(responses.protocol.conditions):
        others = ", ".join(f"{name} = {value}" for name, value in [*condition.values.items()][1:])
        lines.setdefault(others, []).append(index)
    return lines


def _levels(responses: Responses, indices: Sequence[int]) -> list[Any]:
    """The value on the first axis under each condition; text where not all are numbers."""
    conditions = [responses.protocol.conditions[n] for n in indices]
    values = [next(iter(condition.values.values()), 0) for condition in conditions]
    return [str(value) for value in values] if any(isinstance(value, str) for value in values) else values


def _draw_accuracy(responses: Responses, axis: Any) -> None:
    axis.set(ylabel="accuracy (%)", ylim=(0, 100))
    axis.axhline(100 / responses.classes, color=GREY, linestyle=":", label="chance")
    curves = dict(zip(_along_first_axis(responses), responses.curves.values(), strict=False))
    for n, (line, indices) in enumerate(_along_first_axis(responses).items()):
        x, curve = _levels(responses, indices), curves.get(line)
        style = line_style(n, line or "accuracy") | ({"linestyle": "none"} if curve is not None else {})
        axis.plot(x, [100 * responses.read[i][1] for i in indices], **style)
        if curve is not None:
            fine = np.linspace(min(x), max(x), 200)
            axis.plot(fine, 100 * psychometric(fine, curve), color=style["color"], label="psychometric function")
            label = f"threshold {curve.threshold:.3g}"
            axis.axvline(curve.threshold, color=style["color"], linestyle="--", linewidth=0.8, label=label)


def _draw_measure(responses: Responses, axis: Any, measure: str) -> None:
    lines = _along_first_axis(responses)
    places = [(area, line) for area in responses.areas for line in lines]
    for n, (area, line) in enumerate(places):
        x, shown = _levels(responses, lines[line]), [responses.measured(area, i).get(measure) for i in lines[line]]
        y = [float(np.nanmean(v)) if v is not None and np.isfinite(v).any() else np.nan for v in shown]
        axis.plot(x, y, **line_style(n, ", ".join(filter(None, (area.area, line)))))
    axis.set_ylabel(UNITS[measure])
