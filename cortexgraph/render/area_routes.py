"""Arrows of an area graph: straight between neighbours, arcs at the sides otherwise, loops at a corner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import hypot
from typing import Literal

from cortexgraph.graph import AreaGraph
from cortexgraph.render.area_layout import READOUT, Layout
from cortexgraph.render.geometry import Box, Curve, line
from cortexgraph.render.routes import Obstacles, Traffic, arc, cheapest
from cortexgraph.spec import IMAGE

__all__ = ["Arrow", "arrows", "courses"]

LANES = tuple(range(20, 320, 10))
LOOP = 15.0
LOW = -0.2
"""Arcs end a little below the middle of a side: loops stand at the upper corner."""


@dataclass(frozen=True)
class Arrow:
    """An arrow to draw; `twin` counts the arrows before it that join the same two boxes in the same direction."""

    key: str
    tail: str
    head: str
    kind: str
    twin: int = 0


@dataclass(frozen=True)
class Side:
    """The side on which an arc stands (−1 left, 1 right), and how far out."""

    sign: Literal[-1, 1]
    out: float


def arrows(graph: AreaGraph) -> list[Arrow]:
    """One for each connection, as declared, and one for each readout."""
    found: list[Arrow] = []
    seen: dict[tuple[str, str], int] = {}
    for c in graph.connections:
        twin = seen[c.source, c.target] = seen.get((c.source, c.target), -1) + 1
        found.append(Arrow(c.identifier, c.source, c.target, c.kind, twin))
    readouts = [readout for readout in graph.readouts if graph.is_area(readout.source)]
    found += [Arrow(readout.identifier, readout.source, READOUT + readout.name, "readout") for readout in readouts]
    return found


def courses(graph: AreaGraph, layout: Layout, spread: float) -> dict[str, Curve]:
    """The course of every arrow by its key.

    Args:
        graph: the areas.
        layout: where they stand.
        spread: how far the arrows up and down between two neighbours stand apart.
    """
    every = arrows(graph)
    found: dict[str, Curve] = {}
    waiting = []
    for arrow in every:
        curve = _near(layout, arrow, spread)
        if curve is None:
            waiting.append(arrow)
        else:
            found[arrow.key] = curve
    waiting.sort(key=lambda arrow: abs(layout.row(arrow.tail) - layout.row(arrow.head)))
    if max(map(len, layout.rows)) == 1:
        sides = {arrow.key: _beside_column(layout, arrow) for arrow in waiting}
    else:
        sides = _sides(layout, waiting, [*found.values()], _loops(layout, every))
    return found | dict(_arcs(layout, waiting, sides))


def _near(layout: Layout, arrow: Arrow, spread: float) -> Curve | None:
    """The course between neighbours; None if something lies between."""
    tail, head = layout.boxes[arrow.tail], layout.boxes[arrow.head]
    up = layout.row(arrow.head) - layout.row(arrow.tail)
    if arrow.tail == arrow.head:
        return _loop(tail, arrow.twin)
    if abs(up) == 1:
        alone = arrow.head.startswith(READOUT) or arrow.tail == IMAGE
        return _vertical(tail, head, up, 0.0 if alone else -up * spread, arrow.twin)
    if up == 0:
        return _level(layout, arrow)
    direct = _vertical(tail, head, 1 if up > 0 else -1, -spread if up > 0 else spread, arrow.twin)
    others = [box for name, box in layout.boxes.items() if name not in (arrow.tail, arrow.head)]
    return None if Obstacles(others).hits(direct, 14) else direct


def _vertical(tail: Box, head: Box, up: int, beside: float, twin: int) -> Curve:
    """From the top of one box to the bottom of the other, or down; leaning towards the other box."""
    reach = tail.width / 2 - 22  # a loop may stand at the corner
    lean = max(-reach, min(reach, (head.x - tail.x) * 0.22))
    slant = hypot(head.x - tail.x, head.y - tail.y) / abs(head.y - tail.y)
    beside = (beside + twin * (9 if beside >= 0 else -9)) * min(slant, 2.2)  # as far apart across the arrow
    sign = 1 if up > 0 else -1
    out, into = (max(-reach, min(reach, beside + turn)) for turn in (lean, -lean))
    if head.width < tail.width:  # the readout: an oval
        into = 0.0
    return line((tail.x + out, tail.at(0, sign)[1]), (head.x + into, head.at(0, -sign)[1]))


def _level(layout: Layout, arrow: Arrow) -> Curve:
    """Between two areas of one level: straight if they are neighbours, otherwise over or under those between."""
    tail, head = layout.boxes[arrow.tail], layout.boxes[arrow.head]
    row = layout.rows[layout.row(arrow.tail)]
    between = abs(row.index(arrow.tail) - row.index(arrow.head)) - 1
    sign = 1 if head.x > tail.x else -1
    if between == 0:
        place = sign * (0.2 + 0.3 * arrow.twin)
        return line(tail.at(sign, place), head.at(-sign, place))
    ends = tail.at(0.6 * sign, sign), head.at(-0.6 * sign, sign)
    return arc(*ends, sign * (10 + 4.0 * between + 5 * arrow.twin), upright=False)


def _loop(box: Box, twin: int) -> Curve:
    """A small loop at the upper right corner."""
    size = LOOP + 7 * twin
    x, y = box.at(1, 1)
    inset = 14 + 5 * twin
    start, end = (x - inset, y), (x, y - inset)
    return Curve((start, (x - inset - 1, y + 1.6 * size), (x + 1.6 * size, y - inset - 1), end))


def _loops(layout: Layout, every: Sequence[Arrow]) -> list[Box]:
    """The room that loops take."""
    corners = [layout.boxes[arrow.tail].at(1, 1) for arrow in every if arrow.tail == arrow.head]
    return [Box(x + 4, y + 4, 2 * LOOP, 2 * LOOP) for x, y in corners]


def _beside_column(layout: Layout, arrow: Arrow) -> Side:
    """Of areas in one column: feedforward left, feedback right, the farther the longer, so that none covers another."""
    rows = abs(layout.row(arrow.tail) - layout.row(arrow.head))
    return Side(1 if arrow.kind == "feedback" else -1, 6.0 + 13.0 * (rows - 1) + 9.0 * arrow.twin)


def _sides(layout: Layout, waiting: Sequence[Arrow], drawn: Sequence[Curve], loops: Sequence[Box]) -> dict[str, Side]:
    """A side and a lane for each arc: short arcs first and inside, feedforward left, feedback right."""
    traffic = Traffic()
    for curve in drawn:
        traffic.add(curve)
    found: dict[str, Side] = {}
    for arrow in waiting:
        boxes = [box for name, box in layout.boxes.items() if name not in (arrow.tail, arrow.head)]
        obstacles = Obstacles([*boxes, *loops])
        own: Literal[-1, 1] = 1 if arrow.kind == "feedback" else -1

        signs: tuple[Literal[-1, 1], ...] = (own, -1 if own == 1 else 1)
        sides = [Side(sign, out) for sign in signs for out in LANES]
        known = [(2 * side.out + 120 * (side.sign != own), _side_arc(layout, arrow, side)) for side in sides]
        best = sides[cheapest(known, partial(_trouble, traffic, obstacles))]
        found[arrow.key] = best
        traffic.add(_side_arc(layout, arrow, best))
    return found


def _trouble(traffic: Traffic, obstacles: Obstacles, curve: Curve) -> float:
    return 300 * obstacles.hits(curve, 5) + 2 * traffic.share(curve)


def _side_arc(layout: Layout, arrow: Arrow, side: Side, ports: tuple[float, float] = (LOW, LOW)) -> Curve:
    tail, head = layout.boxes[arrow.tail], layout.boxes[arrow.head]
    return arc(tail.at(side.sign, ports[0]), head.at(side.sign, ports[1]), side.sign * side.out)


def _arcs(layout: Layout, waiting: Sequence[Arrow], sides: Mapping[str, Side]) -> Iterator[tuple[str, Curve]]:
    ports = _ports(layout, waiting, sides)
    for arrow in waiting:
        both = ports[arrow.key, "tail"], ports[arrow.key, "head"]
        yield arrow.key, _side_arc(layout, arrow, sides[arrow.key], both)


def _ports(layout: Layout, waiting: Sequence[Arrow], sides: Mapping[str, Side]) -> dict[tuple[str, str], float]:
    """Where on the side of its box each end of an arc stands, so that arcs of one side do not cross near it.

    Ends of arcs that come from below lie lower than those of arcs that go up; within either, the outer arc is
    nearer to the middle.
    """
    ends: dict[tuple[str, int], list[tuple[float, str, str]]] = {}
    for arrow in waiting:
        side = sides[arrow.key]
        for end, here, there in (("tail", arrow.tail, arrow.head), ("head", arrow.head, arrow.tail)):
            above = layout.row(there) > layout.row(here)
            rank = 1000.0 - side.out if above else side.out - 1000.0
            ends.setdefault((here, side.sign), []).append((rank, arrow.key, end))
    found: dict[tuple[str, str], float] = {}
    for ranked in ends.values():
        step = min(0.4, 1.1 / max(1, len(ranked) - 1))
        for n, (_, key, end) in enumerate(sorted(ranked)):
            found[key, end] = LOW + (n - (len(ranked) - 1) / 2) * step
    return found
