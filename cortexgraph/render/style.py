"""How drawings look: colours that colour-blind readers tell apart (Okabe & Ito 2008), lines, boxes, fonts and words."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.ops.elementwise import GainOperation
from cortexgraph.ops.residual import ResidualOperation
from cortexgraph.wording import count_of, count_text

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


def is_inhibitory(connection: Connection) -> bool:
    """Whether the fixed gains of a connection multiply its result by a negative number."""
    gains = [operation.value for operation in connection.transform.operations if isinstance(operation, GainOperation)]
    return prod(gain for gain in gains if gain is not None) < 0


RESIDUAL = BoxStyle("has residual blocks", INK, "#F0E442", INK, width=0.7)


def residual_blocks(graph: AreaGraph, area: str) -> int:
    """Number of residual blocks in the body of an area and in the transforms of what it receives."""
    chains = [graph.area(area).body, *(c.transform for c in graph.connections if c.target == area)]
    return sum(isinstance(operation, ResidualOperation) for chain in chains for operation in chain.operations)


def with_role(style: LineStyle, *, modulating: bool, inhibitory: bool) -> LineStyle:
    """The line of a connection that modulates (it ends in a circle) or inhibits (it ends in a bar), or both."""
    if modulating:
        return replace(style, word="modulating", head="teeodot" if inhibitory else "odot", head_size=0.7)
    return replace(style, word=INHIBITORY, head="tee", head_size=0.75) if inhibitory else style


# ---- words -------------------------------------------------------------------

# Advance widths in em of DejaVu Sans, the widest of the usual sans-serif fonts: what fits in it fits in the others.
_WIDTHS = {**dict.fromkeys("ijlI|!'", 0.32), **dict.fromkeys("ftr.,:;()[]/- ", 0.4), **dict.fromkeys("mwMW%@", 1.0)}


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width in points, estimated from above without asking a font."""
    return sum(map(_character_width, text)) * size * (1.12 if bold else 1.0)


def _character_width(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if character in _WIDTHS:
        return _WIDTHS[character]
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if character.isupper():
        return 0.74
    return 0.64 if character.isascii() or character.islower() else 0.9


def elide(text: str, size: float, width: float) -> str:
    """The text itself if it fits, otherwise its start and an ellipsis."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, size: float, width: float) -> list[str]:
    """The text in lines that fit; a word that is too long stands alone on a line, cut."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(elide(word, size, width))
    return lines


def network_text(graph: AreaGraph, counts: Mapping[str, int], density: str = "") -> str:
    """Numbers of areas, connections and parameters; `counts` as `parameter_counts` gives them, without readouts."""
    total = count_text(sum(counts.values()) + sum(readout.parameters for readout in graph.readouts))
    areas, connections = count_of(len(graph.areas), "area"), count_of(len(graph.connections), "connection")
    return f"{areas}, {connections}{density}, {total} parameters"
