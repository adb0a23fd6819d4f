"""The figure of an experiment: accuracy, mean and standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

from cortexgraph.experiment.model import ExperimentSpec
from cortexgraph.experiment.table import AS_TRAINED, Row

__all__ = ["draw_figure", "points"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe & Ito: told apart by colour-blind readers too."""
MARKERS = "os^Dv<>P"

Points = dict[str, list[tuple[Any, Row]]]
"""For each series, x and the row."""


def draw_figure(experiment: ExperimentSpec, table: Sequence[Row], paths: Sequence[Path]) -> None:
    """Draw the table as the experiment's `figure` asks."""
    from cortexgraph.training.curves import figure_of, save_figure

    series, over_time = points(experiment, table), experiment.figure.x == "step"
    places = list(dict.fromkeys(x for line in series.values() for x, _ in line))
    numeric = all(isinstance(x, int | float) for x in places)
    with figure_of(1, experiment.description or experiment.name, (6.4, 3.8), integers=over_time) as (figure, (axis,)):
        for number, (name, line) in enumerate(series.items()):
            _draw_line(axis, line, places, numeric, name, number, len(series))
        if experiment.figure.x == "parameters":
            _count_on_a_log_scale(axis)
        if not numeric:
            axis.set_xticks(range(len(places)), [str(x) for x in places], rotation=20 if len(places) > 4 else 0)
        axis.set(xlabel={"step": "step of readout"}.get(experiment.figure.x, experiment.figure.x))
        axis.set_ylabel("test accuracy (%)")
        if len(series) > 1 or next(iter(series), ""):
            axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        save_figure(figure, paths)


def _count_on_a_log_scale(axis: Any) -> None:
    """Parameters: 5 k, 10 k, 20 k."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1000:g} k" if value >= 1000 else f"{value:g}")
    )
    axis.xaxis.set_minor_formatter(NullFormatter())


def points(experiment: ExperimentSpec, table: Sequence[Row]) -> Points:
    """Which rows make which lines: those at the last readout step, unless x is the step."""
    x, wanted = experiment.figure.x, experiment.figure.series
    over_time = x == "step"
    looked = bool(experiment.evaluate) and "evaluation" in (x, wanted)
    chosen = [row for row in table if over_time or row.last]
    if over_time and experiment.evaluate:
        chosen = [row for row in chosen if row.evaluation != AS_TRAINED]
    elif not looked:
        chosen = [row for row in chosen if row.evaluation == AS_TRAINED]
    found: Points = {}
    alike = {axis for axis in chosen[0].values if len({row.values.get(axis) for row in chosen}) == 1}
    for row in chosen:
        parts = _parts(row, several=len({r.evaluation for r in chosen}) > 1)
        parts = {axis: value for axis, value in parts.items() if axis not in alike} or parts
        name = parts.get(wanted, "") if wanted else ", ".join(v for axis, v in parts.items() if axis != x)
        if x == "variant" and not wanted:
            name = parts.get("evaluation", "")
        found.setdefault(name, []).append((_number(_x(row, x)), row))
    return found


def _parts(row: Row, *, several: bool) -> dict[str, str]:
    """What tells a row from others, by axis."""
    return dict(row.values or {"variant": row.variant}) | ({"evaluation": row.evaluation} if several else {})


def _x(row: Row, x: str) -> Any:
    own = {"parameters": row.parameters, "step": row.step, "evaluation": row.evaluation, "variant": row.variant}
    return row.values.get(x, own.get(x, row.variant))


def _number(value: Any) -> Any:
    """A number where the value is one."""
    try:
        return value if isinstance(value, int) else float(value)
    except ValueError:
        return value


def _draw_line(
    axis: Any, line: list[tuple[Any, Row]], places: list[Any], numeric: bool, name: str, number: int, series: int
) -> None:
    """One line with error bars; points that use untrained parameters are hollow."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    shift = 0.0 if numeric else 0.12 * (number - (series - 1) / 2)
    if numeric:
        line = sorted(line, key=lambda point: point[0])
    xs = [x if numeric else places.index(x) + shift for x, _ in line]
    means = [100 * row.mean for _, row in line]
    sds = [0.0 if isnan(row.sd) else 100 * row.sd for _, row in line]
    style = "-" if numeric else "none"
    axis.errorbar(
        xs, means, sds, color=colour, marker=marker, linestyle=style, markersize=4, capsize=2, label=name or None
    )
    hollow = [n for n, (_, row) in enumerate(line) if not row.trained]
    axis.plot(
        [xs[n] for n in hollow], [means[n] for n in hollow], marker, color=colour, markerfacecolor="white", markersize=4
    )
