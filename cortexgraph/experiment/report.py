"""The table and the figure of an experiment: accuracy, or another score, mean and deviation over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from cortexgraph.experiment.model import ExperimentSpec
from cortexgraph.experiment.run import Outcome, Result, metric_of
from cortexgraph.files import csv_text
from cortexgraph.training.curves import COLOURS, GREY, LEGEND, figure_of, save_figure
from cortexgraph.training.tasks import ACCURACY, is_share, metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AS_TRAINED = "as trained"
"""The evaluation that every run has: the test images with the weights that it keeps."""

MARKERS = "os^Dv<>"


AXIS_LABELS = {"step": "step of readout", "parameters": "trained parameters"}


@dataclass(frozen=True)
class Row:
    """A variant in one evaluation at one readout step.

    Attributes:
        variant: its name.
        values: its value on each axis.
        evaluation: `as trained`, or one of the experiment.
        step: of readout.
        last: whether it is the last readout step of this evaluation.
        parameters: numbers that were trained.
        scores: accuracy in [0, 1], or another score, one for each seed.
        seconds: of training, mean over seeds.
        trained: whether training reached every parameter that this readout uses.
        epoch: whose weights: of the `last`, or of the one `best on validation` images; evaluations by earlier versions
            took the one `best on test` images.
        metric: what the scores are.
    """

    variant: str
    values: dict[str, str]
    evaluation: str
    step: int
    last: bool
    parameters: int
    scores: tuple[float, ...]
    seconds: float
    trained: bool
    epoch: str = "last"
    metric: str = ACCURACY

    @property
    def unit(self) -> str:
        """What the scores are, for headings: the name of the metric, and that it is in per cent."""
        return f"{metric_name(self.metric)}{' (%)' * is_share(self.metric)}"

    @property
    def factor(self) -> int:
        """By which the scores are shown."""
        return 100 if is_share(self.metric) else 1

    @property
    def mean(self) -> float:
        return mean(self.scores)

    @property
    def sd(self) -> float:
        """Standard deviation over seeds (n − 1); nan for one seed."""
        return stdev(self.scores) if len(self.scores) > 1 else nan


# ---- table -------------------------------------------------------------------


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """One row for each variant, evaluation and readout step, from the runs that succeeded."""
    by_variant: dict[str, list[Result]] = {}
    for outcome in outcomes:
        if outcome.result is not None:
            by_variant.setdefault(outcome.result["variant"], []).append(outcome.result)
    return [row for results in by_variant.values() for row in _rows(sorted(results, key=lambda r: r["seed"]))]


def _rows(results: Sequence[Result]) -> Iterator[Row]:
    by_step: dict[tuple[str, int], list[tuple[float, bool]]] = {}
    for result in results:
        for name, score in result["scores"].items():
            by_step.setdefault((AS_TRAINED, int(name)), []).append((score, True))
        for name, readings in result["evaluations"].items():
            for reading in readings:
                by_step.setdefault((name, reading["step"]), []).append((reading["score"], reading["trained"]))
    for (evaluation, step), values in by_step.items():
        yield Row(
            variant=results[0]["variant"],
            values=results[0]["values"],
            evaluation=evaluation,
            epoch=_epoch(results[0].get("chosen_on"), evaluation),
            step=step,
            last=step == max(other for name, other in by_step if name == evaluation),
            parameters=results[0]["parameters"],
            scores=tuple(score for score, _ in values),
            metric=metric_of(results[0]),
            seconds=mean(result["seconds"] for result in results),
            trained=all(trained for _, trained in values),
        )


def _epoch(chosen_on: str | None, evaluation: str) -> str:
    """Whose weights an evaluation used; `chosen_on` is None in results of earlier versions."""
    if chosen_on is None and evaluation != AS_TRAINED:
        return "best on test"
    return "best on validation" if chosen_on == "validation" else "last"


def table_text(table: Sequence[Row]) -> str:
    """The table as CSV, a column for each axis, accuracies and other shares in [0, 1]."""
    axes = list(dict.fromkeys(axis for row in table for axis in row.values))
    score = table[0].metric
    figures = ["parameters", "seeds", f"{score}_mean", f"{score}_sd", "seconds", "trained"]
    lines: list[list[object]] = [[*(axes or ["variant"]), "evaluation", "epoch", "step", *figures]]
    for row in table:
        names = [row.values.get(axis, "") for axis in axes] or [row.variant]
        sd = "" if isnan(row.sd) else f"{row.sd:.5f}"
        numbers = [row.parameters, len(row.scores), f"{row.mean:.5f}", sd, f"{row.seconds:.1f}", int(row.trained)]
        lines.append([*names, row.evaluation, row.epoch, row.step, *numbers])
    return csv_text(lines)


# ---- figure ------------------------------------------------------------------

Point = tuple[float | str, Row]


def draw_figure(
    experiment: ExperimentSpec, table: Sequence[Row], paths: Sequence[Path], chance: float | None = None
) -> None:
    """Draw the table as the experiment's `figure` asks; a dotted line is the accuracy of guessing, in [0, 1]."""
    x = experiment.figure.x
    heading, lines = _lines(experiment, table)
    places = list(dict.fromkeys(place for line in lines.values() for place, _ in line))
    numeric = not any(isinstance(place, str) for place in places)
    whole = numeric and all(float(place).is_integer() for place in places)
    title = experiment.description or experiment.name
    with figure_of(1, title, (6.4, 3.8), integers=whole) as (figure, (axis,)):
        for number, (name, line) in enumerate(lines.items()):
            shift = 0.0 if numeric else 0.12 * (number - (len(lines) - 1) / 2)
            xs = [float(place) if numeric else places.index(place) + shift for place, _ in line]
            points = sorted(zip(xs, (row for _, row in line), strict=True), key=lambda point: point[0])
            style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
            style["linestyle"] = "-" if numeric and experiment.search is None else "none"
            _draw_line(axis, points, name, style)
        if x == "parameters":
            _count_on_a_log_scale(axis)
        if not numeric:
            axis.set_xticks(range(len(places)), list(map(str, places)), rotation=20 if len(places) > 4 else 0)
        if chance is not None:
            axis.axhline(100 * chance, color=GREY, linestyle=":", linewidth=1, label="chance", zorder=0)
        if is_share(table[0].metric):
            low, high = axis.get_ylim()
            axis.set(ylim=(max(0.0, low), min(101.0, high)))
        if numeric and len(places) == 1:
            axis.set(xlim=(0.9 * float(places[0]) - 0.5, 1.1 * float(places[0]) + 0.5))
        axis.set(xlabel=AXIS_LABELS.get(x, x), ylabel=f"test {table[0].unit}")
        if list(lines) != [""] or chance is not None:
            axis.legend(**LEGEND, fontsize=8, title=heading, title_fontsize=8)
        save_figure(figure, paths)


def _lines(experiment: ExperimentSpec, table: Sequence[Row]) -> tuple[str, dict[str, list[Point]]]:
    """What names the lines, where an axis of the grid does, and the points of each: those of the last readout step,
    unless x is the step.
    """
    x, series = experiment.figure.x, experiment.figure.series
    chosen = [row for row in table if x == "step" or row.last]
    if x == "step" and experiment.evaluate:
        chosen = [row for row in chosen if row.evaluation != AS_TRAINED]
    several = len({row.evaluation for row in chosen}) > 1
    parts = [
        (row.values or {"variant": row.variant}) | ({"evaluation": row.evaluation} if several else {}) for row in chosen
    ]
    constant = {axis for axis in parts[0] if len({part.get(axis) for part in parts}) == 1}
    axes: dict[str, None] = {}
    lines: dict[str, list[Point]] = {}
    for row, part in zip(chosen, parts, strict=True):
        varied = {axis: value for axis, value in part.items() if axis not in constant} or part
        if series:
            shown = [series, *["evaluation"] * (several and x != "evaluation")]
        elif x == "variant" or experiment.search is not None:
            shown = ["evaluation"]
        else:
            shown = [axis for axis in varied if axis != x]
        shown = [axis for axis in dict.fromkeys(shown) if axis in varied]
        axes |= dict.fromkeys(shown)
        lines.setdefault(", ".join(varied[axis] for axis in shown), []).append((_place(row, x), row))
    return ", ".join(axes) if axes.keys() & experiment.grid.keys() else "", lines


def _place(row: Row, x: str) -> float | str:
    """Where a row stands on the axis x: a number if it is one."""
    columns = {"parameters": str(row.parameters), "step": str(row.step), "evaluation": row.evaluation}
    value = row.values.get(x, columns.get(x, row.variant))
    try:
        return float(value)
    except ValueError:
        return value


def _draw_line(axis: Axes, points: Sequence[tuple[float, Row]], name: str, style: Mapping[str, Any]) -> None:
    """One line with error bars; points that use untrained parameters are hollow."""
    xs, means = [x for x, _ in points], [row.factor * row.mean for _, row in points]
    sds = [0.0 if isnan(row.sd) else row.factor * row.sd for _, row in points]
    axis.errorbar(xs, means, sds, markersize=4, capsize=2, label=name or None, **style)
    hollow = [n for n, (_, row) in enumerate(points) if not row.trained]
    outline = {**style, "linestyle": "none", "markerfacecolor": "white", "markersize": 4}
    axis.plot([xs[n] for n in hollow], [means[n] for n in hollow], **outline)


def _count_on_a_log_scale(axis: Axes) -> None:
    """Parameters: 5 k, 10 k, 20 k."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n / 1000:g} k" if n >= 1000 else f"{n:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
