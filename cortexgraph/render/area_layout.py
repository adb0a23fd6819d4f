"""The layout of an area graph: a row for each level, frames around regions, and the courses of arrows."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import copysign, hypot, inf

from cortexgraph.graph import Area, AreaGraph
from cortexgraph.ops import Shape
from cortexgraph.render.geometry import Box, Curve, Obstacles, Traffic, arc, cheapest, line
from cortexgraph.render.style import elide, residual_blocks, text_width
from cortexgraph.wording import count_of

READOUT = "\0"
"""Before the name of a readout, among the names of areas: no name has a control character."""

NAME_SIZE, SHAPE_SIZE, BODY_SIZE = 11.0, 8.5, 7.5
HEIGHTS = {NAME_SIZE: 14.5, SHAPE_SIZE: 13.0, BODY_SIZE: 12.0}
"""Of lines of a box, by size."""
NARROWEST, NARROW = 92.0, 66.0
WIDEST = 150.0
ENDS = (88.0, 32.0)
"""Size of the boxes of image and readout."""

Line = tuple[str, float, bool]
"""Text, size, and whether it is bold."""


def shape_text(shape: Shape) -> str:
    return " × ".join(str(n) if n else "?" for n in shape)


def box_lines(area: Area, brief: bool, blocks: int = 0) -> list[Line]:
    """The text in the box of an area: its name and shape, and unless it is brief its operations."""
    names = [(part, NAME_SIZE, True) for part in textwrap.wrap(area.name, 24) or [""]]
    if brief:
        return [*names, (shape_text(area.shape), BODY_SIZE, False)]
    parts = [(count_of(blocks, "residual block") * bool(blocks), False)]
    parts += [(link.operation.summary(), link.per_step) for link in area.body] + [(area.cell.summary(), False)]
    lines: list[str] = []
    for part in (text + " per step" * per_step for text, per_step in parts if text):
        if lines and text_width(f"{lines[-1]} · {part}", BODY_SIZE) <= WIDEST:
            lines[-1] += f" · {part}"
        else:
            lines.append(elide(part, BODY_SIZE, WIDEST))
    return [*names, (shape_text(area.shape), SHAPE_SIZE, False), *((line, BODY_SIZE, False) for line in lines)]


def _size(area: Area, brief: bool, blocks: int) -> tuple[float, float]:
    lines = box_lines(area, brief, blocks)
    widths = [text_width(text, size, bold=bold) for text, size, bold in lines]
    if brief:  # the shape stands beside the name
        return 18 + max(widths[:-1]) + widths[-1], 7 + HEIGHTS[NAME_SIZE] * len(widths[:-1])
    return 14 + max(widths), 7 + sum(HEIGHTS[size] for _, size, _ in lines)


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


def _arrows(graph: AreaGraph) -> list[Arrow]:
    """One for each connection, as declared, and one for each readout."""
    total = Counter((c.source, c.target) for c in graph.connections)
    seen = Counter[tuple[str, str]]()
    between = []
    for c in graph.connections:
        ends = (c.source, c.target)
        between.append(Arrow(c.identifier, *ends, c.kind, seen[ends], total[ends], total[c.target, c.source]))
        seen[ends] += 1
    readouts = [readout for readout in graph.readouts if graph.is_area(readout.source)]
    return between + [Arrow(r.identifier, r.source, READOUT + r.name, "readout") for r in readouts]


@dataclass(frozen=True)
class Layout:
    """Boxes by name (inputs, areas, `READOUT` with the names of readouts), rows from the bottom, and arrows."""

    inputs: Sequence[str]
    boxes: Mapping[str, Box]
    rows: Sequence[Sequence[str]]
    arrows: Sequence[Arrow]

    def row(self, name: str) -> int:
        return next(index for index, row in enumerate(self.rows) if name in row)

    def others(self, arrow: Arrow) -> list[Box]:
        """The boxes that an arrow does not join."""
        return [box for name, box in self.boxes.items() if name not in (arrow.tail, arrow.head)]


def place(
    graph: AreaGraph, gap: float, column_gap: float, pitch: float, *, brief: bool, most: int | None = None
) -> Layout:
    """Place the boxes: one centred row for the inputs, one for each level, one for the readouts.

    Areas of one level stand in the order that brings them near the areas below that drive them, those of one region
    side by side; a row of more than `most` is broken. Boxes are wide enough for all parallel arrows, which are `pitch`
    apart; brief ones hold names and shapes only.
    """
    areas, arrows = graph.areas, _arrows(graph)
    ends = [READOUT + readout.name for readout in graph.readouts]
    sizes = {area.name: _size(area, brief, residual_blocks(graph, area.name)) for area in areas} | dict.fromkeys(
        [*graph.input_names, *ends], ENDS
    )
    least = [2 * CORNER + (arrow.twins + arrow.opposite - 1) * pitch for arrow in arrows if arrow.has_parallels]
    width = max([NARROW if brief else NARROWEST, *(sizes[area.name][0] for area in areas), *least])
    rows: list[Sequence[str]] = []
    places: dict[str, float] = {}
    for level in [-inf, *sorted({area.level for area in areas}), inf]:
        row: Sequence[str] = {-inf: graph.input_names, inf: ends}.get(
            level, _ordered(graph, [a.name for a in areas if a.level == level], places)
        )
        for part in _parts(row, most or len(row)):
            rows.append(part)
            places |= {name: n - (len(part) - 1) / 2 for n, name in enumerate(part)}
    y = 0.0
    boxes: dict[str, Box] = {}
    for row in rows:
        height = max(sizes[name][1] for name in row)
        for name in row:
            own = width if graph.is_area(name) else ENDS[0]
            boxes[name] = Box(places[name] * (width + column_gap), y + height / 2, own, sizes[name][1])
        y += height + gap
    return Layout(graph.input_names, boxes, rows, arrows)


def _parts(row: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    """The row in as few parts of at most this many areas as possible, evenly filled."""
    count = -(-len(row) // most)
    size = -(-len(row) // count)
    yield from (row[start : start + size] for start in range(0, len(row), size))


def _ordered(graph: AreaGraph, names: Iterable[str], places: Mapping[str, float]) -> tuple[str, ...]:
    """Order areas by the mean place of the lower areas that they are connected to; ties as declared."""

    def middle(name: str) -> float:
        below = [places[other] for other in [*graph.predecessors(name), *graph.successors(name)] if other in places]
        return round(sum(below) / len(below), 6) if below else 0.0

    region = {name: graph.area(name).region or name for name in names}
    centre = {of: min(middle(name) for name in names if region[name] == of) for of in region.values()}
    declared = {of: index for index, of in enumerate(centre)}
    return tuple(sorted(names, key=lambda name: (centre[region[name]], declared[region[name]], middle(name))))


LANES = tuple(range(20, 320, 10))
LOOP = 15.0
CORNER = 22.0
"""Width at the corners of a box that arrows up and down leave to loops."""
LOW = -0.2
"""Arcs end a little below the middle of a side: loops stand at the upper corner."""


def courses(layout: Layout, spread: float, pitch: float) -> dict[str, Curve]:
    """Route every arrow; the courses by the keys of the arrows.

    An arrow up and an arrow down between two neighbours stand `spread` from the middle, parallel arrows `pitch` apart.
    """
    near = {arrow.key: _near(layout, arrow, spread, pitch) for arrow in layout.arrows}
    curves = {key: curve for key, curve in near.items() if curve is not None}
    arcs = [arrow for arrow in layout.arrows if near[arrow.key] is None]
    arcs.sort(key=lambda arrow: abs(layout.row(arrow.tail) - layout.row(arrow.head)))
    alone = max(map(len, layout.rows)) == 1
    outs = _outs_in_column(layout, arcs, pitch) if alone else _outs(layout, arcs, [*curves.values()])
    ports = _ports(layout, arcs, outs)
    return curves | {
        arrow.key: _arc(layout, arrow, outs[arrow.key], ports[arrow.key, "tail"], ports[arrow.key, "head"])
        for arrow in arcs
    }


def _near(layout: Layout, arrow: Arrow, spread: float, pitch: float) -> Curve | None:
    """The course between neighbouring boxes; None if another box lies between them."""
    tail, head = layout.boxes[arrow.tail], layout.boxes[arrow.head]
    up = layout.row(arrow.head) - layout.row(arrow.tail)
    if arrow.tail == arrow.head:
        return _loop(tail, arrow.twin)
    if up == 0:
        return _level(layout, arrow)
    alone = abs(up) == 1 and (arrow.head.startswith(READOUT) or arrow.tail in layout.inputs)
    direct = _vertical(tail, head, 1 if up > 0 else -1, 0.0 if alone else spread, arrow, pitch)
    return None if abs(up) > 1 and Obstacles(layout.others(arrow)).hits(direct, 14) else direct


def _vertical(tail: Box, head: Box, sign: int, spread: float, arrow: Arrow, pitch: float) -> Curve:
    """A line from the top of one box to the bottom of the other, or down, that leans towards the other box."""
    reach = tail.width / 2 - CORNER
    lean = max(-reach, min(reach, (head.x - tail.x) * 0.22))
    if arrow.has_parallels:  # evenly over the width: arrows up at the left, arrows down at the right
        last = arrow.twins + arrow.opposite - 1
        pitch = min(pitch, 2 * reach / last)
        beside = -sign * pitch * (last / 2 - arrow.twin)
        lean = max(pitch * last / 2 - reach, min(reach - pitch * last / 2, lean))
    else:  # as far apart across the arrow
        beside = -sign * spread * min(hypot(head.x - tail.x, head.y - tail.y) / abs(head.y - tail.y), 2.2)
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


def _outs_in_column(layout: Layout, arcs: Sequence[Arrow], pitch: float) -> dict[str, float]:
    """How far out arcs past areas in one column stand: feedforward left (negative), feedback right.

    Longer arcs stand farther out. Arcs that interleave, or join the same areas, stand at least `pitch` apart.
    """
    outs: dict[str, float] = {}
    placed: list[tuple[int, int, float]] = []
    for arrow in arcs:
        low, high = sorted((layout.row(arrow.tail), layout.row(arrow.head)))
        out = copysign(6.0 + min(pitch + 1, 13.0) * (high - low - 1), _own_side(arrow))
        near = [other for a, b, other in placed if a < high and low < b and not (low < a and b < high)]
        while any(abs(out - other) < pitch for other in near):
            out += _own_side(arrow)
        outs[arrow.key] = out
        placed.append((low, high, out))
    return outs


def _own_side(arrow: Arrow) -> int:
    return 1 if arrow.kind == "feedback" else -1


def _outs(layout: Layout, arcs: Sequence[Arrow], drawn: Sequence[Curve]) -> dict[str, float]:
    """Choose a side and a lane for each arc: feedforward left, feedback right, short arcs first and inside."""
    traffic = Traffic()
    for curve in drawn:
        traffic.add(curve)
    loops = [(layout.boxes[a.tail], _loop_side(a.twin)) for a in layout.arrows if a.tail == a.head]
    corners = [(box.at(side, 1), side) for box, side in loops]
    space = [Box(x + 4 * side, y + 4, 2 * LOOP, 2 * LOOP) for (x, y), side in corners]
    outs: dict[str, float] = {}
    for arrow in arcs:
        obstacles, own = Obstacles([*layout.others(arrow), *space]), _own_side(arrow)
        lanes = [side * out for side in (own, -own) for out in LANES]
        candidates = [(2 * abs(out) + 120 * (out * own < 0), _arc(layout, arrow, out)) for out in lanes]
        best = cheapest(candidates, partial(_trouble, traffic, obstacles))
        outs[arrow.key] = lanes[best]
        traffic.add(candidates[best][1])
    return outs


def _trouble(traffic: Traffic, obstacles: Obstacles, curve: Curve) -> float:
    return 300 * obstacles.hits(curve, 5) + 2 * traffic.share(curve)


def _arc(layout: Layout, arrow: Arrow, out: float, tail_port: float = LOW, head_port: float = LOW) -> Curve:
    side = copysign(1, out)
    return arc(layout.boxes[arrow.tail].at(side, tail_port), layout.boxes[arrow.head].at(side, head_port), out)


def _ports(layout: Layout, arcs: Sequence[Arrow], outs: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """Where the ends of arcs meet the sides of boxes, ordered so that arcs do not cross near a box.

    Ends of arcs that come from below lie lower than those of arcs that go up; within either, the outer arc is
    nearer to the middle.
    """
    ends: dict[tuple[str, bool], list[tuple[float, str, str]]] = {}
    for arrow in arcs:
        out = outs[arrow.key]
        for end, here, there in (("tail", arrow.tail, arrow.head), ("head", arrow.head, arrow.tail)):
            above = layout.row(there) > layout.row(here)
            rank = 1000.0 - abs(out) if above else abs(out) - 1000.0
            ends.setdefault((here, out > 0), []).append((rank, arrow.key, end))
    ports: dict[tuple[str, str], float] = {}
    for ranked in ends.values():
        step = min(0.4, 1.1 / max(1, len(ranked) - 1))
        for n, (_, key, end) in enumerate(sorted(ranked)):
            ports[key, end] = LOW + (n - (len(ranked) - 1) / 2) * step
    return ports
