"""The layout of an area graph: a row for each level, frames around regions, and the courses of arrows."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import hypot
from typing import Literal

from cortexgraph.graph import Area, AreaGraph
from cortexgraph.render.geometry import Box, Curve, Obstacles, Traffic, arc, cheapest, line
from cortexgraph.render.text import elide, operation_text, shape_text, text_width
from cortexgraph.spec import IMAGE

__all__ = [
    "NAME_SIZE",
    "READOUT",
    "SHAPE_SIZE",
    "Arrow",
    "Layout",
    "arrows",
    "courses",
    "place",
    "words_of",
    "wrapped",
]

READOUT = "\0"
"""Before the name of a readout, among the names of areas: no name has a control character."""

NAME_SIZE, SHAPE_SIZE, BODY_SIZE = 11.0, 8.5, 7.5
NARROWEST, NARROW = 92.0, 66.0
WIDEST = 150.0
ENDS = (88.0, 32.0)
"""Size of the boxes of image and readout."""


def words_of(area: Area) -> str:
    """The operations of an area in words, shortened to the width of a box."""
    return elide(operation_text(area), BODY_SIZE, WIDEST)


def wrapped(name: str) -> list[str]:
    """Break a long name into lines."""
    return textwrap.wrap(name, 24) or [""]


@dataclass(frozen=True)
class Layout:
    """Boxes by name (`image`, the areas, `READOUT` with the names of readouts), and the rows, from the bottom."""

    boxes: Mapping[str, Box]
    rows: tuple[tuple[str, ...], ...]

    def row(self, name: str) -> int:
        return next(index for index, row in enumerate(self.rows) if name in row)


def place(graph: AreaGraph, gap: float, column_gap: float, pitch: float, *, brief: bool = False) -> Layout:
    """Place the boxes: one centred row for the image, one for each level, one for the readouts.

    Areas of one level stand in the order that brings them near the areas below that drive them, those of one region
    side by side.

    Args:
        graph: the network.
        gap: free space between rows.
        column_gap: free space between the areas of a row.
        pitch: from one parallel arrow to the next; boxes are wide enough for all.
        brief: whether boxes hold names and shapes only.
    """
    areas = graph.areas
    parallel = [arrow.twins + arrow.opposite - 1 for arrow in arrows(graph) if arrow.has_parallels]
    least = [2 * CORNER + last * pitch for last in parallel]
    width = max([NARROWEST if not brief else NARROW, *(_width(area, brief) for area in areas), *least])
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
    """Order areas by the mean place of the lower areas that they are connected to; ties as declared."""

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


LANES = tuple(range(20, 320, 10))
LOOP = 15.0
CORNER = 22.0
"""Width at the corners of a box that arrows up and down leave to loops."""
LOW = -0.2
"""Arcs end a little below the middle of a side: loops stand at the upper corner."""


@dataclass(frozen=True)
class Arrow:
    """An arrow to draw.

    Attributes:
        key: identifier of the connection or readout.
        tail, head: names of the boxes that it joins.
        kind: of the connection, or `readout`.
        twin: number of arrows before it with the same tail and head.
        twins: number of arrows with the same tail and head.
        opposite: number of arrows from the head to the tail.
    """

    key: str
    tail: str
    head: str
    kind: str
    twin: int = 0
    twins: int = 1
    opposite: int = 0

    @property
    def has_parallels(self) -> bool:
        """Whether arrows in one direction lie side by side, so that those between the two boxes share their width."""
        return self.twins > 1 or self.opposite > 1


@dataclass(frozen=True)
class Side:
    """The side on which an arc stands (−1 left, 1 right), and how far out."""

    sign: Literal[-1, 1]
    out: float


def arrows(graph: AreaGraph) -> list[Arrow]:
    """The arrows of a graph: one for each connection, as declared, and one for each readout."""
    total = Counter((c.source, c.target) for c in graph.connections)
    seen = Counter[tuple[str, str]]()
    between = []
    for c in graph.connections:
        ends = (c.source, c.target)
        between.append(Arrow(c.identifier, *ends, c.kind, seen[ends], total[ends], total[c.target, c.source]))
        seen[ends] += 1
    readouts = [readout for readout in graph.readouts if graph.is_area(readout.source)]
    return between + [Arrow(r.identifier, r.source, READOUT + r.name, "readout") for r in readouts]


def courses(graph: AreaGraph, layout: Layout, spread: float, pitch: float) -> dict[str, Curve]:
    """Route every arrow; the courses by the keys of the arrows.

    Args:
        graph: the areas.
        layout: where they stand.
        spread: how far an arrow up and an arrow down between two neighbours stand from the middle.
        pitch: from one parallel arrow to the next.
    """
    all_arrows = arrows(graph)
    curves: dict[str, Curve] = {}
    arcs = []
    for arrow in all_arrows:
        curve = _near(layout, arrow, spread, pitch)
        if curve is None:
            arcs.append(arrow)
        else:
            curves[arrow.key] = curve
    arcs.sort(key=lambda arrow: abs(layout.row(arrow.tail) - layout.row(arrow.head)))
    if max(map(len, layout.rows)) == 1:
        sides = _column_sides(layout, arcs, pitch)
    else:
        sides = _sides(layout, arcs, [*curves.values()], _loops(layout, all_arrows))
    return curves | dict(_arcs(layout, arcs, sides))


def _near(layout: Layout, arrow: Arrow, spread: float, pitch: float) -> Curve | None:
    """The course between neighbouring boxes; None if another box lies between them."""
    tail, head = layout.boxes[arrow.tail], layout.boxes[arrow.head]
    up = layout.row(arrow.head) - layout.row(arrow.tail)
    if arrow.tail == arrow.head:
        return _loop(tail, arrow.twin)
    if abs(up) == 1:
        alone = arrow.head.startswith(READOUT) or arrow.tail == IMAGE
        return _vertical(tail, head, up, 0.0 if alone else -up * spread, arrow, pitch)
    if up == 0:
        return _level(layout, arrow)
    direct = _vertical(tail, head, 1 if up > 0 else -1, -spread if up > 0 else spread, arrow, pitch)
    others = [box for name, box in layout.boxes.items() if name not in (arrow.tail, arrow.head)]
    return None if Obstacles(others).hits(direct, 14) else direct


def _vertical(tail: Box, head: Box, up: int, beside: float, arrow: Arrow, pitch: float) -> Curve:
    """A line from the top of one box to the bottom of the other, or down, that leans towards the other box."""
    reach = tail.width / 2 - CORNER
    lean = max(-reach, min(reach, (head.x - tail.x) * 0.22))
    slant = hypot(head.x - tail.x, head.y - tail.y) / abs(head.y - tail.y)
    sign = 1 if up > 0 else -1
    if arrow.has_parallels:  # evenly over the width: arrows up at the left, arrows down at the right
        last = arrow.twins + arrow.opposite - 1
        pitch = min(pitch, 2 * reach / last)
        beside = -sign * pitch * (last / 2 - arrow.twin)
        lean = max(pitch * last / 2 - reach, min(reach - pitch * last / 2, lean))
    else:
        beside *= min(slant, 2.2)  # as far apart across the arrow
    out, into = (max(-reach, min(reach, beside + turn)) for turn in (lean, -lean))
    if head.width < tail.width:  # the readout: an oval
        into = 0.0
    return line((tail.x + out, tail.at(0, sign)[1]), (head.x + into, head.at(0, -sign)[1]))


def _level(layout: Layout, arrow: Arrow) -> Curve:
    """An arrow within a row: straight between neighbours, otherwise an arc over or under the boxes between."""
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
    """A small loop at the upper right corner, the second one at the upper left."""
    side, (out, inset) = _loop_side(twin), (LOOP + 9 * (twin // 2), 14 + 9 * (twin // 2))
    x, y = box.at(side, 1)
    start, end = (x - side * inset, y), (x, y - inset)
    return Curve((start, (start[0] - side, y + 1.6 * out), (x + side * 1.6 * out, end[1] - 1), end))


def _loop_side(twin: int) -> int:
    return -1 if twin % 2 else 1


def _loops(layout: Layout, all_arrows: Sequence[Arrow]) -> list[Box]:
    """The space that loops occupy, as boxes."""
    loops = [arrow for arrow in all_arrows if arrow.tail == arrow.head]
    corners = [(layout.boxes[arrow.tail].at(_loop_side(arrow.twin), 1), _loop_side(arrow.twin)) for arrow in loops]
    return [Box(x + 4 * side, y + 4, 2 * LOOP, 2 * LOOP) for (x, y), side in corners]


def _column_sides(layout: Layout, arcs: Sequence[Arrow], pitch: float) -> dict[str, Side]:
    """Sides of arcs past areas in one column: feedforward left, feedback right, the farther out the longer.

    Arcs that interleave, or join the same areas, stand at least `pitch` apart.
    """
    sides: dict[str, Side] = {}
    placed: list[tuple[int, int, Side]] = []
    for arrow in arcs:
        low, high = sorted((layout.row(arrow.tail), layout.row(arrow.head)))
        sign: Literal[-1, 1] = 1 if arrow.kind == "feedback" else -1
        near = [
            side.out
            for a, b, side in placed
            if side.sign == sign and a < high and low < b and not (low < a and b < high)
        ]
        out = 6.0 + 13.0 * (high - low - 1)
        while any(abs(out - other) < pitch for other in near):
            out += 1.0
        sides[arrow.key] = Side(sign, out)
        placed.append((low, high, sides[arrow.key]))
    return sides


def _sides(layout: Layout, arcs: Sequence[Arrow], drawn: Sequence[Curve], loops: Sequence[Box]) -> dict[str, Side]:
    """Choose a side and a lane for each arc: feedforward left, feedback right, short arcs first and inside."""
    traffic = Traffic()
    for curve in drawn:
        traffic.add(curve)
    chosen: dict[str, Side] = {}
    for arrow in arcs:
        boxes = [box for name, box in layout.boxes.items() if name not in (arrow.tail, arrow.head)]
        obstacles = Obstacles([*boxes, *loops])
        own: Literal[-1, 1] = 1 if arrow.kind == "feedback" else -1

        signs: tuple[Literal[-1, 1], ...] = (own, -1 if own == 1 else 1)
        sides = [Side(sign, out) for sign in signs for out in LANES]
        candidates = [(2 * side.out + 120 * (side.sign != own), _side_arc(layout, arrow, side)) for side in sides]
        best = sides[cheapest(candidates, partial(_trouble, traffic, obstacles))]
        chosen[arrow.key] = best
        traffic.add(_side_arc(layout, arrow, best))
    return chosen


def _trouble(traffic: Traffic, obstacles: Obstacles, curve: Curve) -> float:
    return 300 * obstacles.hits(curve, 5) + 2 * traffic.share(curve)


def _side_arc(layout: Layout, arrow: Arrow, side: Side, ports: tuple[float, float] = (LOW, LOW)) -> Curve:
    tail, head = layout.boxes[arrow.tail], layout.boxes[arrow.head]
    return arc(tail.at(side.sign, ports[0]), head.at(side.sign, ports[1]), side.sign * side.out)


def _arcs(layout: Layout, arcs: Sequence[Arrow], sides: Mapping[str, Side]) -> Iterator[tuple[str, Curve]]:
    ports = _ports(layout, arcs, sides)
    for arrow in arcs:
        both = ports[arrow.key, "tail"], ports[arrow.key, "head"]
        yield arrow.key, _side_arc(layout, arrow, sides[arrow.key], both)


def _ports(layout: Layout, arcs: Sequence[Arrow], sides: Mapping[str, Side]) -> dict[tuple[str, str], float]:
    """Where the ends of arcs meet the sides of boxes, ordered so that arcs do not cross near a box.

    Ends of arcs that come from below lie lower than those of arcs that go up; within either, the outer arc is
    nearer to the middle.
    """
    ends: dict[tuple[str, int], list[tuple[float, str, str]]] = {}
    for arrow in arcs:
        side = sides[arrow.key]
        for end, here, there in (("tail", arrow.tail, arrow.head), ("head", arrow.head, arrow.tail)):
            above = layout.row(there) > layout.row(here)
            rank = 1000.0 - side.out if above else side.out - 1000.0
            ends.setdefault((here, side.sign), []).append((rank, arrow.key, end))
    ports: dict[tuple[str, str], float] = {}
    for ranked in ends.values():
        step = min(0.4, 1.1 / max(1, len(ranked) - 1))
        for n, (_, key, end) in enumerate(sorted(ranked)):
            ports[key, end] = LOW + (n - (len(ranked) - 1) / 2) * step
    return ports
