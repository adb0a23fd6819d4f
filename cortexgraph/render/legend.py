"""Titles and legends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cortexgraph.render.canvas import Canvas, plain
from cortexgraph.render.geometry import Box, line
from cortexgraph.render.style import INK, MUTED, BoxStyle, LineStyle
from cortexgraph.render.text import elide, text_width

__all__ = ["Entry", "add_legend", "add_title"]

SIZE = 8.0
SAMPLE = 26.0
ROW = 15.0


@dataclass(frozen=True)
class Entry:
    """One entry: what it looks like, and the word for it."""

    key: str
    sample: LineStyle | BoxStyle
    mark: str = ""
    round: bool = False

    @property
    def width(self) -> float:
        return SAMPLE + 5 + text_width(self.sample.word, SIZE) + 14


def add_legend(canvas: Canvas, entries: Sequence[Entry], left: float, top: float, width: float) -> None:
    """Entries from left to right in as many rows as the width asks for, in columns of one width."""
    if not entries:
        return
    column = max(entry.width for entry in entries)
    columns = max(1, int(width // column))
    rows = -(-len(entries) // columns)
    columns = -(-len(entries) // rows)  # fill the rows evenly
    for n, entry in enumerate(entries):
        row, place = divmod(n, columns)
        _add_entry(canvas, entry, left + place * column, top - row * ROW)


def _add_entry(canvas: Canvas, entry: Entry, x: float, y: float) -> None:
    key = canvas.key(f"legend-{entry.key}")
    if isinstance(entry.sample, LineStyle):
        for end, at in (("tail", x), ("head", x + SAMPLE)):
            canvas.corner(f"{key}-{end}", (at, y))
        canvas.line(key, f"{key}-tail", f"{key}-head", line((x, y), (x + SAMPLE, y)), entry.sample, kind="legend")
    else:
        box = Box(x + SAMPLE / 2, y, 8, 8) if entry.round else Box(x + SAMPLE / 2, y, 18, 11)
        shape = "circle" if entry.round else "box"
        canvas.box(key, box, plain(entry.mark), entry.sample, kind="legend", size=7, shape=shape)
    canvas.text(f"legend-{entry.key}-word", (x + SAMPLE + 5, y), entry.sample.word, SIZE, align="left")


def add_title(canvas: Canvas, title: str, subtitle: str, left: float, bottom: float, width: float) -> None:
    """The name of the network, and a line about it, above the drawing."""
    canvas.text("subtitle", (left, bottom + 6), elide(subtitle, SIZE, width), SIZE, color=MUTED, align="left")
    canvas.text("title", (left, bottom + 20), title, 11, color=INK, bold=True, align="left")
