"""How drawings look: colours that colour-blind readers tell apart (Okabe & Ito 2008), line styles, fonts, sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from cortexgraph.graph import Connection
from cortexgraph.ops.elementwise import GainOperation

__all__ = [
    "BOLD",
    "DELAY",
    "FOLDED",
    "FONT",
    "INHIBITORY",
    "INK",
    "KINDS",
    "MUTED",
    "STATES",
    "BoxStyle",
    "LineStyle",
    "faded",
    "is_inhibitory",
    "role_samples",
    "strong",
    "strong_box",
    "with_role",
]

FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"
BOLD = " bold"
"""Behind the families of a font; `render_dot` makes it a `font-weight` in SVG."""

INK = "#222222"
MUTED = "#666666"
INHIBITORY = "inhibitory (negative gain)"


@dataclass(frozen=True)
class LineStyle:
    """Line of a connection.

    Attributes:
        word: its name in the legend.
        color, dash, width: of the line; `dash` as in DOT.
        head, head_size: shape and size of the arrow head as in DOT.
        fill: colour inside the head, if not that of the line.
    """

    word: str
    color: str
    dash: str = "solid"
    width: float = 1.3
    head: str = "normal"
    head_size: float = 0.6
    fill: str = ""

    @property
    def head_length(self) -> float:
        return (2.5 if self.head == "tee" else 10) * self.head_size


@dataclass(frozen=True)
class BoxStyle:
    """Box of an update: outline, fill and text."""

    word: str
    outline: str
    fill: str
    text: str
    dash: str = "solid"
    width: float = 1.0


KINDS = {
    "feedforward": LineStyle("feedforward", "#0072B2"),
    "lateral": LineStyle("lateral", "#009E73", dash="dotted", width=1.7),
    "feedback": LineStyle("feedback", "#D55E00", dash="dashed"),
    "readout": LineStyle("readout", INK, width=1.0),
    "memory": LineStyle("memory of the cell", "#8A8A8A", width=1.0),
}

STATES = {
    "executed": BoxStyle("executed", INK, "#FFFFFF", INK),
    "held": BoxStyle("held: the state stays", "#555555", "#E3EEF6", "#444444", dash="dotted"),
    "shared": BoxStyle("equal to an earlier one", "#555555", "#E3EEF6", "#444444", dash="dotted"),
    "unread": BoxStyle("live, never read", "#CFCFCF", "#E3E3E3", "#8A8A8A"),
    "silent": BoxStyle("silent (⊥)", "#BBBBBB", "#FFFFFF", "#A0A0A0", dash="dashed"),
}


DELAY = BoxStyle("extra steps of delay", "none", "transparent", INK)
FOLDED = BoxStyle("steps that are alike", INK, "#FFFFFF", INK)


def strong(style: LineStyle) -> LineStyle:
    """The same style with a heavy line, which stands out in greyscale too."""
    return replace(style, width=2.1 * style.width, head_size=style.head_size + 0.15)


def strong_box(style: BoxStyle) -> BoxStyle:
    """The same with a heavy outline."""
    return replace(style, width=2.4 * style.width)


def is_inhibitory(connection: Connection) -> bool:
    """Whether the fixed gains of a connection multiply its result by a negative number."""
    gains = [operation.value for operation in connection.transform.operations if isinstance(operation, GainOperation)]
    return prod(gain for gain in gains if gain is not None) < 0


def with_role(style: LineStyle, *, modulating: bool, inhibitory: bool) -> LineStyle:
    """The line of a connection that modulates (it ends in a circle) or inhibits (it ends in a bar), or both."""
    if modulating:
        return replace(style, word="modulating", head="teeodot" if inhibitory else "odot", head_size=0.7)
    return replace(style, word=INHIBITORY, head="tee", head_size=0.75) if inhibitory else style


def role_samples(*, modulating: bool, inhibitory: bool) -> Iterator[tuple[str, LineStyle]]:
    """The lines that stand in a legend for the roles that occur, with their keys."""
    sample = LineStyle("", INK, width=1.0)
    if modulating:
        yield "modulating", with_role(sample, modulating=True, inhibitory=False)
    if inhibitory:
        yield "inhibitory", with_role(sample, modulating=False, inhibitory=True)


def faded(style: LineStyle) -> LineStyle:
    """The line of a connection that is not evaluated: the same dash, almost without colour."""
    return LineStyle(style.word, "#00000022", style.dash, 0.7, style.head, 0.45, fill="#DCDCDC")
