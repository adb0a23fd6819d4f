"""Where areas stand in the drawing of an area graph: levels from bottom to top, one row each."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cortexgraph.graph import Area, AreaGraph
from cortexgraph.render.geometry import Box
from cortexgraph.render.text import elide, operation_text, shape_text, text_width
from cortexgraph.spec import IMAGE

__all__ = ["NAME_SIZE", "READOUT", "SHAPE_SIZE", "Layout", "place", "words_of", "wrapped"]

READOUT = "\0"
"""Before the name of a readout, among the names of areas: no name has a control character."""

NAME_SIZE, SHAPE_SIZE, BODY_SIZE = 11.0, 8.5, 7.5
NARROWEST, NARROW = 92.0, 66.0
WIDEST = 150.0
ENDS = (88.0, 32.0)
"""Size of the boxes of image and readout."""


def words_of(area: Area) -> str:
    """What the area does with its input, as far as it fits a box of moderate width."""
    return elide(operation_text(area), BODY_SIZE, WIDEST)


def wrapped(name: str) -> list[str]:
    """A long name in lines."""
    return textwrap.wrap(name, 24) or [""]


@dataclass(frozen=True)
class Layout:
    """Boxes by name (`image`, the areas, `READOUT` with the names of readouts), and the rows, from the bottom."""

    boxes: Mapping[str, Box]
    rows: tuple[tuple[str, ...], ...]

    def row(self, name: str) -> int:
        return next(index for index, row in enumerate(self.rows) if name in row)


def place(graph: AreaGraph, gap: float, column_gap: float, *, brief: bool = False) -> Layout:
    """A row for the image, for each level, and for the readouts; rows are centred.

    Areas of one level stand in the order that brings them near the areas below that drive them, those of one region
    side by side.

    Args:
        graph: the network.
        gap: free space between rows.
        column_gap: free space between the areas of a row.
        brief: whether boxes hold names and shapes only.
    """
    areas = graph.areas
    width = max([NARROWEST if not brief else NARROW, *(_width(area, brief) for area in areas)])
    heights = {area.name: _height(area, brief) for area in areas} | {IMAGE: ENDS[1]}
    ends = {READOUT + readout.name: ENDS[1] for readout in graph.readouts}
    heights |= ends
    levels = sorted({area.level for area in areas})
    rows: list[tuple[str, ...]] = [(IMAGE,)]
    places: dict[str, float] = {IMAGE: 0.0}
    for level in levels:
        names = _ordered(graph, [area.name for area in areas if area.level == level], places)
        rows.append(names)
        places |= {name: n - (len(names) - 1) / 2 for n, name in enumerate(names)}
    rows.append(tuple(ends))
    places |= {name: n - (len(ends) - 1) / 2 for n, name in enumerate(ends)}
    y = 0.0
    boxes: dict[str, Box] = {}
    for names in rows:
        height = max(heights[name] for name in names)
        for name in names:
            box = Box(places[name] * (width + column_gap), y + height / 2, width, heights[name])
            boxes[name] = Box(box.x, box.y, *ENDS) if name == IMAGE or name in ends else box
        y += height + gap
    return Layout(boxes, tuple(rows))


def _ordered(graph: AreaGraph, names: Iterable[str], places: Mapping[str, float]) -> tuple[str, ...]:
    """By the mean place of the lower areas that they are joined to; ties as declared."""

    def middle(name: str) -> float:
        below = [places[other] for other in [*graph.predecessors(name), *graph.successors(name)] if other in places]
        return round(sum(below) / len(below), 6) if below else 0.0

    region = {name: graph.area(name).region or name for name in names}
    centre = {of: min(middle(name) for name in names if region[name] == of) for of in region.values()}
    declared = {of: index for index, of in enumerate(centre)}
    return tuple(sorted(names, key=lambda name: (centre[region[name]], declared[region[name]], middle(name))))


def _height(area: Area, brief: bool) -> float:
    lines = 14.5 * len(wrapped(area.name))
    return 7 + lines if brief else 20 + lines + (12 if operation_text(area) else 0)


def _width(area: Area, brief: bool) -> float:
    name = max(text_width(line, NAME_SIZE, bold=True) for line in wrapped(area.name))
    if brief:
        return 18 + name + text_width(shape_text(area.shape), BODY_SIZE)
    return 14 + max(name, text_width(shape_text(area.shape), SHAPE_SIZE), text_width(words_of(area), BODY_SIZE))
