"""Regions in the drawing of an area graph: a frame around the areas that are parts of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cortexgraph.graph import AreaGraph
from cortexgraph.render.area_layout import Layout
from cortexgraph.render.geometry import Box

__all__ = ["Region", "regions_of"]

BESIDE, ABOVE, BELOW = 25.0, 19.0, 7.0
"""Room between a frame and its areas: loops stand at the upper right corners, the name at the upper left."""


@dataclass(frozen=True)
class Region:
    """A frame with its areas; a region whose areas stand apart has several."""

    name: str
    part: int
    areas: tuple[str, ...]
    box: Box


def regions_of(graph: AreaGraph, layout: Layout) -> list[Region]:
    """A frame for each region; one for each of its rows where another area would stand within the frame."""
    members: dict[str, list[str]] = {}
    for area in graph.areas:
        if area.region:
            members.setdefault(area.region, []).append(area.name)
    frames = {name: _frame(layout, areas) for name, areas in members.items()}
    found: list[Region] = []
    for name, areas in members.items():
        others = [box for other, box in layout.boxes.items() if other not in areas]
        others += [frame for other, frame in frames.items() if other != name]
        parts = [areas] if not any(_overlap(frames[name], box) for box in others) else [*_rows(layout, areas)]
        found += [Region(name, n, tuple(part), _frame(layout, part)) for n, part in enumerate(parts)]
    return found


def _rows(layout: Layout, areas: Sequence[str]) -> Iterator[list[str]]:
    for row in layout.rows:
        if part := [name for name in row if name in areas]:
            yield part


def _frame(layout: Layout, areas: Sequence[str]) -> Box:
    corners = [layout.boxes[name].at(side, side) for name in areas for side in (-1, 1)]
    left, right = min(x for x, _ in corners) - BESIDE, max(x for x, _ in corners) + BESIDE
    bottom, top = min(y for _, y in corners) - BELOW, max(y for _, y in corners) + ABOVE
    return Box((left + right) / 2, (bottom + top) / 2, right - left, top - bottom)


def _overlap(a: Box, b: Box) -> bool:
    return abs(a.x - b.x) < (a.width + b.width) / 2 and abs(a.y - b.y) < (a.height + b.height) / 2
