"""Line widths that say something: the number of parameters, or the measured strength, of a connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import log, sqrt

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.render.style import INK, LineStyle
from cortexgraph.wording import count_text

__all__ = ["PARAMETERS", "STRENGTH", "WEIGHTS", "Scale", "scale_of", "weight_text"]

PARAMETERS, STRENGTH = "parameters", "strength"
WEIGHTS = (PARAMETERS, STRENGTH)
THINNEST, THICKEST = 0.4, 3.4


UNKNOWN = LineStyle("", "#9A9A9A", width=0.5, head_size=0.4)
"""The line of a connection without a value."""


@dataclass(frozen=True)
class Scale:
    """Widths grow with the logarithm of the value, since both numbers range over powers of ten.

    Attributes:
        what: `parameters` or `strength`.
        low, high: the least and greatest value that occurs.
        values: that of each connection that has one, by identifier.
    """

    what: str
    low: float
    high: float
    values: Mapping[str, float]

    def value(self, connection: Connection) -> float | None:
        """The connection's value; None if it has no parameters, or no strength was noted."""
        return self.values.get(connection.identifier)

    def share(self, connection: Connection) -> float:
        """From 0 (the least, or no value) to 1 (the greatest)."""
        return self._share(self.value(connection) or self.low)

    def style(self, connection: Connection, style: LineStyle) -> LineStyle:
        """The line of a connection, as wide as its value says; grey where it has none."""
        if self.value(connection) is None:
            return replace(style, color=UNKNOWN.color, width=UNKNOWN.width, head_size=UNKNOWN.head_size)
        width = THINNEST + (THICKEST - THINNEST) * self.share(connection)
        return replace(style, width=width, head_size=0.35 + 0.11 * width)

    def _share(self, value: float) -> float:
        return log(value / self.low) / log(self.high / self.low) if self.high > self.low else 1.0

    def samples(self) -> Iterator[tuple[float, str]]:
        """Shares with words, for the legend: the least, the middle and the greatest."""
        for value in dict.fromkeys((self.low, sqrt(self.low * self.high), self.high)):
            yield self._share(value), f"{weight_text(value, self.what)} {self.what}"

    def lines(self, connections: Iterable[Connection]) -> Iterator[tuple[str, LineStyle]]:
        """Lines for the legend of some connections, with their keys."""
        if any(self.value(connection) is None for connection in connections):
            yield f"{self.what}-none", replace(UNKNOWN, word=f"no {self.what}")
        for n, (share, word) in enumerate(self.samples()):
            width = THINNEST + (THICKEST - THINNEST) * share
            yield f"{self.what}-{n}", LineStyle(word, INK, width=width, head="none")


def weight_text(value: float, what: str) -> str:
    """The value in three figures at most: `18.4 k`, `0.037`, `2.1e-05`."""
    return count_text(round(value)) if what == PARAMETERS else f"{value:.2g}"


def scale_of(graph: AreaGraph, what: str, counts: Mapping[str, int]) -> Scale:
    """The scale of a network, given its numbers of parameters as `parameter_counts` counts them.

    Raises:
        CompileError: if no connection has a value.
    """
    found = {c.identifier: counts[c.identifier] if what == PARAMETERS else c.strength for c in graph.connections}
    values = {identifier: value for identifier, value in found.items() if value}
    if not values:
        raise CompileError(
            Diagnostic(
                "no-strength" if what == STRENGTH else "no-parameters",
                f"width {what}",
                f"no connection of {graph.name} {'notes a strength' if what == STRENGTH else 'has parameters'}",
                repair="Write `strength` on the connections that were measured." if what == STRENGTH else "",
            )
        )
    return Scale(what, min(values.values()), max(values.values()), values)
