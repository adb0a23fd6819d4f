"""Titles and legends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cortexgraph.render.canvas import Canvas, plain
from cortexgraph.render.geometry import Box, line
from cortexgraph.render.style import INK, MUTED, BoxStyle, LineStyle
from cortexgraph.render.text import text_width, wrap

__all__ = ["Entry", "add_legend", "add_title"]

SIZE = 8.0
SAMPLE = 26.0
ROW = 15.0


@dataclass(frozen=True)
class Entry:
    """One entry: what it looks like, and the word for it.

    Attributes:
        key: end of its id.
        sample: the look.
        mark: a sign inside a box.
        shape: of a box, as in DOT: `box`, `circle`, `diamond`.
        size: of what is no box, in points.
    """

    key: str
    sample: LineStyle | BoxStyle
    mark: str = ""
    shape: str = "box"
    size: float = 8.0

    @property
    def width(self) -> float:
        return SAMPLE + 5 + text_width(self.sample.word, SIZE) + 14


def add_legend(canvas: Canvas, entries: Sequence[Entry], left: float, top: float, width: float) -> None:
    """Lines, then boxes, from left to right in as many rows as the width asks for."""
    y = top
    for kind in (LineStyle, BoxStyle):
        group = [entry for entry in entries if isinstance(entry.sample, kind)]
        widths = _columns([entry.width for entry in group], width)
        for n, entry in enumerate(group):
            row, place = divmod(n, len(widths))
            _add_entry(canvas, entry, left + sum(widths[:place]), y - row * ROW)
        y -= -(-len(group) // max(1, len(widths))) * ROW


def _columns(widths: Sequence[float], width: float) -> list[float]:
    """Widths of the columns: as few rows as fit, evenly filled."""
    for rows in range(1, len(widths) + 1):
        count = -(-len(widths) // rows)
        columns = [max(widths[place::count]) for place in range(count)]
        if sum(columns) <= width or count == 1:
            return columns
    return []


def _add_entry(canvas: Canvas, entry: Entry, x: float, y: float) -> None:
    key = canvas.key(f"legend-{entry.key}")
    if isinstance(entry.sample, LineStyle):
        for end, at in (("tail", x), ("head", x + SAMPLE)):
            canvas.corner(f"{key}-{end}", (at, y))
        canvas.line(key, f"{key}-tail", f"{key}-head", line((x, y), (x + SAMPLE, y)), entry.sample, kind="legend")
    else:
        square = entry.shape != "box"
        box = Box(x + SAMPLE / 2, y, entry.size, entry.size) if square else Box(x + SAMPLE / 2, y, 18, 11)
        canvas.box(key, box, plain(entry.mark), entry.sample, kind="legend", size=7, shape=entry.shape)
    canvas.text(f"legend-{entry.key}-word", (x + SAMPLE + 5, y), entry.sample.word, SIZE, align="left")


def add_title(canvas: Canvas, title: str, subtitle: str, left: float, bottom: float, width: float) -> None:
    """The name of the network, and lines about it, above the drawing."""
    lines = wrap(subtitle, SIZE, width)
    for n, words in enumerate(reversed(lines)):
        canvas.text(f"subtitle-{n}", (left, bottom + 6 + 10 * n), words, SIZE, color=MUTED, align="left")
    canvas.text("title", (left, bottom + 10 + 10 * len(lines)), title, 11, color=INK, bold=True, align="left")
