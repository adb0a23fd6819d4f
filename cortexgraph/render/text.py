"""Words and numbers in drawings: how wide they are, and how operations and counts read."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from html import escape

from cortexgraph.graph import Area, AreaGraph
from cortexgraph.ops import Shape
from cortexgraph.wording import count_text

__all__ = ["elide", "html_text", "network_text", "operation_text", "shape_text", "size_text", "text_width", "wrap"]

# Advance widths in em of DejaVu Sans, the widest of the usual sans-serif fonts: what fits in it fits in the others.
_WIDTHS = {
    **dict.fromkeys("ijlI|!'", 0.32),
    **dict.fromkeys("ftr.,:;()[]/- ", 0.4),
    **dict.fromkeys("mwMW%@", 1.0),
}
_BOLD = 1.12


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width in points, estimated from above without asking a font."""
    em = sum(_character_width(character) for character in text)
    return em * size * (_BOLD if bold else 1.0)


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


def elide(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """The text itself if it fits, otherwise its start and an ellipsis."""
    if text_width(text, size, bold=bold) <= width:
        return text
    while text and text_width(text + "…", size, bold=bold) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, size: float, width: float) -> list[str]:
    """The text in lines that fit; a word that is too long has a line of its own, cut."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(elide(word, size, width))
    return lines


def html_text(text: str) -> str:
    """Text inside an HTML-like label."""
    return escape(text).replace("\n", " ")


def shape_text(shape: Shape) -> str:
    return " × ".join(str(n) if n else "?" for n in shape)


def size_text(pair: tuple[int, int]) -> str:
    return f"{pair[0]}×{pair[1]}"


def network_text(graph: AreaGraph, counts: Mapping[str, int], density: str = "") -> str:
    """Numbers of areas, connections and parameters; `counts` as `parameter_counts` gives them, without readouts."""
    total = count_text(sum(counts.values()) + sum(readout.parameters for readout in graph.readouts))
    areas, connections = len(graph.areas), len(graph.connections)
    words = f"{areas} area{'s' * (areas != 1)}, {connections} connection{'s' * (connections != 1)}"
    return f"{words}{density}, {total} parameters"


def operation_text(area: Area) -> str:
    """What an area does with its input, in words: `batch norm per step · relu · leaky 0.5`."""
    parts = [(link.operation.summary(), link.per_step) for link in area.body] + [(area.cell.summary(), False)]
    return " · ".join(words + " per step" * per_step for words, per_step in parts if words)
