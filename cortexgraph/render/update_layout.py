"""The layout of an unrolled graph: steps and groups from left to right, areas from bottom to top, and arrows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from cortexgraph.render.geometry import Box, Curve, Obstacles, Traffic, arc, bow, cheapest, line, straight, turn
from cortexgraph.render.style import text_width
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["NAME_SIZE", "SMALL_SIZE", "Grid", "routes"]

NAME_SIZE, SMALL_SIZE = 10.0, 8.5
HEIGHT = 21.0
TALL, LOW, MANY_ROWS = 50.0, 36.0, 12
"""From one row to the next; lower where there are many."""
NARROWEST, WIDEST = 32.0, 66.0
LINE_GAP = 12.0
"""Between the lines of a drawing that does not fit beside itself."""
MANY_GROUPS, NARROW_GAP = 8, 20.0
"""Beyond so many groups in a step, the states of an area stand closer."""


@dataclass(frozen=True)
class Grid:
    """The places of all nodes, one column for each step.

    Attributes:
        graph: what is drawn.
        columns: how many columns stand side by side; the next ones stand below, as lines of a text do.
        headings: lines above each column.
    """

    graph: UnrolledGraph
    columns: int = 10**9
    headings: int = 1

    def line(self, step: int) -> int:
        """The line that a step stands in, from 0."""
        return (step - 1) // self.columns

    def offset(self, step: int) -> tuple[float, float]:
        """From the first column to that of a step."""
        line, place = divmod(step - 1, self.columns)
        return place * self.step_pitch, -line * (self._height + LINE_GAP)

    @property
    def _height(self) -> float:
        return self.top + HEIGHT + 18 + 10 * self.headings

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of the image (0) and of each area, as far as they occur."""
        occurring = {node.name for node in self.graph if node.kind in {"image", "update"}}
        names = [IMAGE, *(area.name for area in self.graph.areas.areas)]
        return {name: row for row, name in enumerate(name for name in names if name in occurring)}

    @property
    def row(self) -> float:
        """From one row to the next."""
        return LOW if len(self.rows) > MANY_ROWS else TALL

    @cached_property
    def width(self) -> float:
        """Width of a box: that of the longest name that still fits."""
        widths = [text_width(name, SMALL_SIZE if name == IMAGE else NAME_SIZE) + 10 for name in self.rows]
        return max([NARROWEST, *(min(width, WIDEST) for width in widths)])

    @cached_property
    def gap(self) -> float:
        """Free space between a state and the next state of the same area; arrows that skip rows turn here."""
        rows = self.rows
        ends = [(rows.get(c.source), rows.get(c.target)) for c in self.graph.areas.connections]
        skips = [pair for pair in ends if None not in pair and abs((pair[0] or 0) - (pair[1] or 0)) > 1]
        return 34.0 + 4 * min(len(skips), 12)

    @cached_property
    def group_pitch(self) -> float:
        """From one group of a step to the next: narrow, but no two states of one area may touch."""
        count = len(self.graph.groups)
        if count == 1:
            return 0.0
        pitch = min(0.9 * self.width, max(0.3 * self.width, 2.4 * self.width / (count - 1)))
        last: dict[str, int] = {}
        for index, group in enumerate(self.graph.groups):
            for name in group:
                if name in last:
                    gap = self.gap if count <= MANY_GROUPS else NARROW_GAP
                    pitch = max(pitch, (self.width + gap) / (index - last[name]))
                last[name] = index
        return pitch

    @cached_property
    def step_pitch(self) -> float:
        return (len(self.graph.groups) - 1) * self.group_pitch + self.width + self.gap

    @property
    def top(self) -> float:
        """y of the highest row of readouts; that of the highest area where there are none."""
        return (len(self.rows) - 1 + len(self.read)) * self.row

    @cached_property
    def read(self) -> dict[str, int]:
        """The readouts that are read at some step, with their rows above the areas."""
        occurring = {node.name for node in self.graph.readouts}
        names = [readout.name for readout in self.graph.areas.readouts if readout.name in occurring]
        return {name: row for row, name in enumerate(names)}

    def box(self, node: Node) -> Box:
        """Where a node stands. A record is a badge on the corner of the state that it keeps."""
        (x, y), groups = self.offset(node.step), self.graph.groups
        match node.kind:
            case "readout":
                y += (len(self.rows) + self.read.get(node.name, 0)) * self.row
                return Box(x + (len(groups) - 1) * self.group_pitch, y, max(self.width, 44.0), HEIGHT)
            case "record":
                last = max(index for index, group in enumerate(groups) if node.name in group)
                return Box(*self.box(Node("update", node.name, node.step, last)).at(1, 1), 8, 8)
        return Box(x + node.group * self.group_pitch, y + self.rows[node.name] * self.row, self.width, HEIGHT)

    def band(self, step: int) -> Box:
        """The background of a step, with room for its heading."""
        x, y = self.offset(step)
        left, bottom = x - (self.width + self.gap) / 2, y - HEIGHT / 2 - 8
        return Box(left + self.step_pitch / 2, bottom + self._height / 2, self.step_pitch, self._height)


BOWS = (12.0, 16.0, 20.0, 25.0, 30.0, 36.0, 44.0, 54.0, 66.0)
REACH = 3
"""Steps after the tail whose boxes an arrow must avoid; a longer arrow goes on as it began."""

Pattern = tuple[Node, Node]
"""The ends of an arrow, as if its tail stood in step 1: arrows of one pattern have one course."""


def routes(grid: Grid) -> Iterator[tuple[Node, Node, Curve, bool]]:
    """Every edge of the graph, with its course and whether that reaches its head.

    An arrow into another line is cut at the end of its line, and begins again where the line of its head begins.
    """
    flat = Grid(grid.graph)
    courses = _courses(flat, dict.fromkeys(_pattern(*edge) for edge in grid.graph.edges))
    for tail, head in grid.graph.edges:
        course, pitch = courses[_pattern(tail, head)], grid.step_pitch
        if grid.line(tail.step) == grid.line(head.step):
            yield tail, head, course.shifted(*grid.offset(tail.step)), True
            continue
        border = (grid.width + grid.gap) / 2
        end = (grid.line(tail.step) + 1) * grid.columns + 1 - tail.step
        start = grid.line(head.step) * grid.columns + 1 - tail.step
        yield tail, head, course.cut(end * pitch - border, after=False).shifted(*grid.offset(tail.step)), False
        x, y = grid.offset(head.step)
        back = x - (head.step - tail.step) * pitch
        yield tail, head, course.cut(start * pitch - border, after=True).shifted(back, y), True


def _pattern(tail: Node, head: Node) -> Pattern:
    return tail._replace(step=1), head._replace(step=head.step - tail.step + 1)


def _courses(grid: Grid, patterns: Iterable[Pattern]) -> dict[Pattern, Curve]:
    """The course of each pattern: straight lines are laid first, the others keep clear of them."""
    traffic = Traffic(grid.step_pitch)
    courses: dict[Pattern, Curve] = {}
    blocked: list[tuple[float, Pattern, Obstacles]] = []
    boxes = _boxes(grid)
    for tail, head in patterns:
        course, last = straight(grid.box(tail), grid.box(head)), min(head.step, 1 + REACH) + 1
        near = [box for node, box in boxes.items() if node.step <= last and node not in (tail, head)]
        obstacles = Obstacles(near)
        if head.kind == "record" or not obstacles.hits(course):
            courses[tail, head] = course
            traffic.add(course)
        else:
            blocked.append((course.length, (tail, head), obstacles))
    for _, pattern, obstacles in sorted(blocked, key=lambda entry: entry[:2]):
        courses[pattern] = _around(grid, grid.box(pattern[0]), grid.box(pattern[1]), obstacles, traffic)
        traffic.add(courses[pattern])
    return courses


def _boxes(grid: Grid) -> dict[Node, Box]:
    """The boxes of some steps, whether or not the drawing ends there, so that every repetition of an arrow fits."""
    nodes = [
        Node("image", IMAGE, 1),
        *(Node("update", n, 1, g) for g, group in enumerate(grid.graph.groups) for n in group),
    ]
    every = [node._replace(step=step) for step in range(REACH + 3) for node in nodes if node.name in grid.rows]
    return {node: grid.box(node) for node in every}


def _around(grid: Grid, start: Box, end: Box, obstacles: Obstacles, traffic: Traffic) -> Curve:
    """The cheapest course: short, clear of boxes, and not along other arrows."""

    candidates = [*_candidates(start, end), *_lanes(grid, start, end)]
    return candidates[cheapest(candidates, lambda curve: traffic.share(curve) + 200 * obstacles.hits(curve))][1]


def _lanes(grid: Grid, start: Box, end: Box) -> Iterator[tuple[float, Curve]]:
    """For arrows over several steps: between two rows, with a turn at either end."""
    slant = 0.45 if end.y > start.y else -0.45
    tail, head = start.at(1, slant), end.at(-1, -slant)
    left, right = tail[0] + grid.gap, head[0] - grid.gap
    if right > left:
        for row in range(len(grid.rows)):
            between = (row + 0.5) * grid.row
            out, into = turn(tail, (left, between)), turn((right, between), head)
            yield 30.0, out + line(out.tip, into.points[0]) + into


def _candidates(start: Box, end: Box) -> Iterator[tuple[float, Curve]]:
    """Courses, each with a penalty in points of length."""
    yield 0.0, straight(start, end)
    level = start.y == end.y
    slant = 0.45 if end.y > start.y else -0.45
    (x0, y0), (x1, y1) = start.at(1, slant), end.at(-1, -slant)
    if x1 - x0 > 12 and not level:
        for share in (0.5, 0.65, 0.35, 0.8, 0.2):
            yield 5.0, turn((x0, y0), (x1, y1), share)
    if level:
        for out in (13.0, 16.0, 19.0, 22.0):
            yield 0.0, arc(start.at(0.5, 1), end.at(-0.5, 1), out, upright=False)
    for bulge in BOWS:
        for sign in (1, -1):
            yield (90.0 if level else 10.0) + bulge / 4, bow(start, end, sign * bulge)
    if abs(start.x - end.x) < start.width / 2:
        for side in (-1, 1):
            for out in (8.0, 11.0, 14.0, 18.0):
                yield 12.0 + out, arc(start.at(side, 0), end.at(side, 0), side * out)
