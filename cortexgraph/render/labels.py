"""What the arrows of an area graph say: labels beside them, and the width of their lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import log, sqrt

import numpy as np
import numpy.typing as npt

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.ops import Operation, Resize
from cortexgraph.render.canvas import Canvas
from cortexgraph.render.geometry import Array, Box, Curve
from cortexgraph.render.style import INK, KINDS, LineStyle, text_width
from cortexgraph.wording import count_text

PARAMETERS, STRENGTH = "parameters", "strength"
WEIGHTS = (PARAMETERS, STRENGTH)
THINNEST, THICKEST = 0.4, 3.4
UNKNOWN = LineStyle("", INK, width=0.5, head_size=0.4)
"""The line of a connection without a value, in a pale colour of its kind."""
PALE = "66"
"""Opacity, behind a colour."""


@dataclass(frozen=True)
class Scale:
    """Widths grow with the logarithm of the value, since both numbers range over powers of ten.

    Attributes:
        what: `parameters` or `strength`.
        values: that of each connection that has one, by identifier; not empty.
    """

    what: str
    values: Mapping[str, float]

    def share(self, connection: Connection) -> float | None:
        """From 0 (the least) to 1 (the greatest); None where it has no parameters, or no strength was noted."""
        value = self.values.get(connection.identifier)
        return None if value is None else self._share(value)

    def _share(self, value: float) -> float:
        low, high = min(self.values.values()), max(self.values.values())
        return log(value / low) / log(high / low) if high > low else 1.0

    def style(self, connection: Connection, style: LineStyle) -> LineStyle:
        """The line of a connection, as wide as its value says; pale without a value."""
        share = self.share(connection)
        if share is None:
            return replace(style, color=style.color + PALE, width=UNKNOWN.width, head_size=UNKNOWN.head_size)
        width = THINNEST + (THICKEST - THINNEST) * share
        return replace(style, width=width, head_size=0.35 + 0.11 * width)

    def samples(self) -> Iterator[tuple[float, str]]:
        """Shares with words, for the legend: the least, the middle and the greatest."""
        low, high = min(self.values.values()), max(self.values.values())
        for value in dict.fromkeys((low, sqrt(low * high), high)):
            yield self._share(value), f"{_value_text(value, self.what)} {self.what}"

    def lines(self, connections: Iterable[Connection]) -> Iterator[tuple[str, LineStyle]]:
        """Lines for the legend of some connections, with their keys."""
        if any(self.share(connection) is None for connection in connections):
            yield f"{self.what}-none", replace(UNKNOWN, word=f"no {self.what} (pale)", color=INK + PALE)
        for n, (share, word) in enumerate(self.samples()):
            width = THINNEST + (THICKEST - THINNEST) * share
            yield f"{self.what}-{n}", LineStyle(word, INK, width=width, head="none")


def _value_text(value: float, what: str) -> str:
    """The value in three figures at most: `18.4 k`, `0.037`, `2.1e-05`."""
    return count_text(round(value)) if what == PARAMETERS else f"{value:.2g}"


def scale_of(graph: AreaGraph, what: str, counts: Mapping[str, int]) -> Scale:
    """The scale of a network, given its numbers of parameters; CompileError if no connection has a value."""
    numbers = {c.identifier: counts[c.identifier] if what == PARAMETERS else c.strength for c in graph.connections}
    values = {identifier: value for identifier, value in numbers.items() if value}
    if not values:
        code, found, repair = "no-parameters", f"no connection of {graph.name} has parameters", ""
        if what == STRENGTH:
            code, found = "no-strength", f"no connection of {graph.name} notes a strength"
            repair = "Write `strength` on the connections that were measured."
        raise CompileError(Diagnostic(code, f"width {what}", found, repair=repair))
    return Scale(what, values)


LABELS = ("kernel", "delay", "parameters", "strength")
"""What can be written beside arrows."""

SIZE, LEAD = 7.5, 9.0
PLACES = (0.36, 0.44, 0.3, 0.52, 0.6, 0.68, 0.24, 0.18, 0.76, 0.84, 0.4, 0.48, 0.56, 0.64, 0.33, 0.27, 0.72, 0.8)
LOOP_PLACES = (0.5, 0.36, 0.64, 0.22, 0.78)
COVERED, BOXED = 20.0, 10.0
"""What a covered sample of another arrow counts, and a covered square point of a box or label."""
MARGIN = 1.5
"""Between a label and what it must not cover."""
BESIDE = 60.0
"""What it counts that a label stands beside its arrow."""
SEEN, HIDDEN = 0.45, 100.0
"""The share of its own arrow that a label may cover, and what it counts to cover more."""
EMPTY = np.zeros((0, 2))


def label_width(connection: Connection, words: Collection[str], parameters: int) -> float:
    """Width of the label of a connection in points; 0 without a label."""
    return max((text_width(line, SIZE) for line in _lines(connection, words, parameters)), default=0.0)


def label_height(connection: Connection, words: Collection[str], parameters: int) -> float:
    """Height of the label of a connection in points; 0 where it has none."""
    return LEAD * len(_lines(connection, words, parameters))


def _lines(connection: Connection, words: Collection[str], parameters: int) -> list[str]:
    """Some of: the delay; kernel, stride or resize; the number of parameters; the measured strength."""
    lines = {
        "delay": f"+{connection.delay}" * (connection.delay > 0),
        "kernel": " ".join(_geometry(connection.transform.operations)),
        "parameters": count_text(parameters),
        "strength": "" if connection.strength is None else _value_text(connection.strength, STRENGTH),
    }
    return [line for word, line in lines.items() if line and word in words]


def _geometry(chain: Sequence[Operation]) -> Iterator[str]:
    """Kernel, stride and resize of a transform: `3×3`, `/2`, `↕nearest`."""
    for operation in chain:
        kernel, stride = getattr(operation, "kernel", None), getattr(operation, "stride", (1, 1))
        if kernel:
            yield f"{kernel[0]}×{kernel[1]}"
        if stride != (1, 1):
            yield f"/{stride[0]}" if stride[0] == stride[1] else f"/{stride[0]}×{stride[1]}"
        if isinstance(operation, Resize):
            yield f"↕{type(operation).__name__.lower()}"


def add_labels(
    canvas: Canvas,
    graph: AreaGraph,
    boxes: Iterable[Box],
    curves: Mapping[str, Curve],
    counts: Mapping[str, int],
    words: Collection[str],
) -> None:
    """Write labels of these words beside arrows; each keeps clear of earlier ones, of boxes and of other arrows."""
    samples, taken = {key: curve.samples(64) for key, curve in curves.items()}, [*boxes]
    for connection in graph.connections:
        key = connection.identifier
        lines = _lines(connection, words, counts[key])
        if not lines:
            continue
        size = label_width(connection, words, counts[key]), label_height(connection, words, counts[key])
        others = np.concatenate([*(points for other, points in samples.items() if other != key), EMPTY])
        _, label = min(_places(connection, curves[key], *size), key=partial(_cost, taken, others, samples[key]))
        taken.append(label)
        for n, line in enumerate(lines):
            at = (label.x, label.y + ((len(lines) - 1) / 2 - n) * LEAD)
            canvas.text(f"{key}-label-{n}", at, line, SIZE, color=KINDS[connection.kind].color, backed=True)


def _covered(label: Box, samples: Array) -> npt.NDArray[np.bool_]:
    """Which samples of arrows a label hides."""
    across, up = np.abs(samples - label.centre).T
    covered: npt.NDArray[np.bool_] = (across < label.width / 2 + 1) & (up < label.height / 2 + 1)
    return covered


def _places(connection: Connection, curve: Curve, width: float, height: float) -> list[tuple[float, Box]]:
    """Where a label may stand, each place with a penalty: on the arrow, or else beside it; or outside a loop."""
    if connection.source != connection.target:
        on = [Box(*curve.at(t), width, height) for t in PLACES]
        beside = [replace(box, x=box.x + side * (width / 2 + 2)) for side in (1, -1) for box in on]
        return [*((0.0, box) for box in on), *((BESIDE, box) for box in beside)]
    points = [(curve.at(t), out) for out in (1.0, 6.0, 12.0, 20.0) for t in LOOP_PLACES]
    side = 1 if curve.tip[0] > curve.points[0][0] else -1
    return [(0.0, Box(x + side * (width / 2 + out), y + height / 2 + out, width, height)) for (x, y), out in points]


def _cost(taken: Iterable[Box], others: Array, own: Array, place: tuple[float, Box]) -> float:
    """The penalty of a place, and how much a label there would hide of boxes, other labels and arrows."""
    penalty, label = place
    covered = np.count_nonzero(_covered(label, others))
    if _covered(label, own).mean() > SEEN:
        penalty += HIDDEN
    around = Box(label.x, label.y, label.width + 2 * MARGIN, label.height + 2 * MARGIN)
    return penalty + COVERED * float(covered) + BOXED * sum(around.overlap(other) for other in taken)
