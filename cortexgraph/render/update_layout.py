"""The layout of an unrolled graph: steps and groups from left to right, areas from bottom to top, and arrows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from cortexgraph.render.geometry import Box, Curve, Obstacles, Point, Traffic, arc, bow, cheapest, line, straight, turn
from cortexgraph.render.style import text_width
from cortexgraph.unrolling import Node, UnrolledGraph

NAME_SIZE, SMALL_SIZE = 10.0, 8.5
HEIGHT = 21.0
TALL, LOW, MANY_ROWS = 50.0, 36.0, 12
"""From one row to the next; lower where there are many."""
NARROWEST, WIDEST = 32.0, 66.0
CROWN = 16.0
LANE = 4.0
"""From one to the next of arrows that run beside each other between two rows."""
LINE_GAP = 12.0
"""Between the lines of a drawing that does not fit beside itself."""
MANY_GROUPS, NARROW_GAP = 8, 20.0
"""With more groups in a step, the states of an area stand closer."""


@dataclass(frozen=True)
class Grid:
    """The places of all nodes, one column for each step.

    Places are numbered through: a step has one for each group of the order.

    Attributes:
        graph: what is drawn.
        starts: the places at which lines of the drawing start, which stand one below the other as those of a text.
        headings: rows of text above each step.
    """

    graph: UnrolledGraph
    starts: tuple[int, ...] = (0,)
    headings: int = 1

    @cached_property
    def groups(self) -> int:
        """Places in each step."""
        return len(self.graph.groups)

    @property
    def places(self) -> int:
        return self.graph.steps * self.groups

    def place(self, node: Node) -> int:
        """A record stands beside the state that it keeps, a readout in the last group."""
        group = node.group if node.kind != "readout" else self.groups - 1
        if node.kind == "record":
            group = max(index for index, names in enumerate(self.graph.groups) if node.name in names)
        return (node.step - 1) * self.groups + group

    def line(self, place: int) -> int:
        """The line that a place stands in, from 0."""
        return max(0, bisect_right(self.starts, place) - 1)

    def x(self, place: int) -> float:
        """Where a place stands if there is one line."""
        step, group = divmod(place, self.groups)
        return step * self.step_pitch + group * self.group_pitch

    def ends(self, line: int) -> tuple[float, float]:
        """Where a line starts and ends, if all stand side by side."""
        last = (*self.starts, self.places)[line + 1] - 1
        return self.x(self.starts[line]) - self.border, self.x(last) + self.border

    def offset(self, line: int) -> tuple[float, float]:
        """How a line is moved from where it stands if there is one."""
        return -self.x(self.starts[line]), -line * (self._height + LINE_GAP)

    @property
    def border(self) -> float:
        """Around a place, to the next step."""
        return (self.width + self.gap) / 2

    @property
    def _height(self) -> float:
        return self.top + HEIGHT + 18 + 10 * self.headings + self._crown

    @cached_property
    def _crown(self) -> float:
        """Room above the highest row for arrows over several steps, if there are no readouts."""
        long = any(head.step > tail.step + 1 for tail, head in self.graph.edges)
        return CROWN if long and not self.read else 0.0

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of each input (from 0) and of each area that occurs."""
        occurring = {node.name for node in self.graph if node.kind in {"image", "update"}}
        names = [*self.graph.areas.input_names, *(area.name for area in self.graph.areas.areas)]
        return {name: row for row, name in enumerate(name for name in names if name in occurring)}

    @property
    def row(self) -> float:
        """From one row to the next."""
        return LOW if len(self.rows) > MANY_ROWS else TALL

    @cached_property
    def width(self) -> float:
        """Width of a box: that of the longest name that still fits."""
        sizes = dict.fromkeys(self.graph.areas.input_names, SMALL_SIZE)
        widths = [text_width(name, sizes.get(name, NAME_SIZE)) + 10 for name in self.rows]
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
        """y of the highest row of readouts; without readouts, that of the highest area."""
        return (len(self.rows) - 1 + len(self.read)) * self.row

    @cached_property
    def read(self) -> dict[str, int]:
        """The readouts that are read at some step, with their rows above the areas."""
        occurring = {node.name for node in self.graph.readouts}
        names = [readout.name for readout in self.graph.areas.readouts if readout.name in occurring]
        return {name: row for row, name in enumerate(names)}

    def box(self, node: Node) -> Box:
        """Where a node stands. A record is a badge on the corner of the state that it keeps."""
        place = self.place(node)
        dx, dy = self.offset(self.line(place))
        x = self.x(place) + dx
        if node.kind == "readout":
            y = (len(self.rows) + self.read.get(node.name, 0)) * self.row
            return Box(x, y + dy, max(self.width, 44.0), HEIGHT)
        box = Box(x, self.rows[node.name] * self.row + dy, self.width, HEIGHT)
        return Box(*box.at(1, 1), 8, 8) if node.kind == "record" else box

    def bands(self, step: int) -> Iterator[tuple[int, Box]]:
        """The backgrounds of a step, with room for its heading: one in each of its lines."""
        first, last = (step - 1) * self.groups, step * self.groups - 1
        for number in range(self.line(first), self.line(last) + 1):
            start, following = (*self.starts, self.places)[number : number + 2]
            dx, dy = self.offset(number)
            left, right = self.x(max(first, start)) - self.border, self.x(min(last, following - 1)) + self.border
            bottom = dy - HEIGHT / 2 - 8
            yield number, Box((left + right) / 2 + dx, bottom + self._height / 2, right - left, self._height)


LANES_PENALTY = 30.0
BOWS = (12.0, 16.0, 20.0, 25.0, 30.0, 36.0, 44.0, 54.0, 66.0)
REACH = 3
"""Steps after the tail whose boxes an arrow must avoid; a longer arrow goes on as it began."""

Pattern = tuple[Node, Node]
"""The ends of an arrow, as if its tail stood in step 1."""

Courses = tuple[Curve, ...]
"""Of the arrows of one pattern: one course, or several in turn where that of the next step would run along it."""


def routes(grid: Grid) -> Iterator[tuple[Node, Node, Curve, bool]]:
    """Every edge of the graph, with its course and whether that reaches its head.

    An arrow into another line is cut at the end of its line, and begins again where the line of its head begins.
    """
    courses = _courses(Grid(grid.graph), dict.fromkeys(_pattern(*edge) for edge in grid.graph.edges))
    for tail, head in grid.graph.edges:
        in_turn = courses[_pattern(tail, head)]
        course = in_turn[tail.step % len(in_turn)].shifted((tail.step - 1) * grid.step_pitch)
        first, last = grid.line(grid.place(tail)), grid.line(grid.place(head))
        if first == last:
            yield tail, head, course.shifted(*grid.offset(first)), True
        else:
            yield tail, head, course.cut(grid.ends(first)[1], after=False).shifted(*grid.offset(first)), False
            yield tail, head, course.cut(grid.ends(last)[0], after=True).shifted(*grid.offset(last)), True


def _pattern(tail: Node, head: Node) -> Pattern:
    return tail._replace(step=1), head._replace(step=head.step - tail.step + 1)


def _courses(grid: Grid, patterns: Iterable[Pattern]) -> dict[Pattern, Courses]:
    """The courses of each pattern: straight lines are laid first, the others keep clear of them."""
    traffic = Traffic(grid.step_pitch)
    courses: dict[Pattern, Courses] = {}
    blocked: list[tuple[float, Pattern, Obstacles]] = []
    boxes = _boxes(grid)
    for tail, head in patterns:
        course, last = straight(grid.box(tail), grid.box(head)), min(head.step, 1 + REACH) + 1
        near = [box for node, box in boxes.items() if node.step <= last and node not in (tail, head)]
        obstacles = Obstacles(near)
        if head.kind == "record" or not obstacles.hits(course):
            courses[tail, head] = (course,)
            traffic.add(course)
        else:
            blocked.append((course.length, (tail, head), obstacles))
    for _, pattern, obstacles in sorted(blocked, key=lambda entry: entry[:2]):
        courses[pattern] = _around(grid, grid.box(pattern[0]), grid.box(pattern[1]), obstacles, traffic)
        for course in courses[pattern]:
            traffic.add(course)
    return courses


def _boxes(grid: Grid) -> dict[Node, Box]:
    """The boxes of some steps, whether or not the drawing ends there, so that every repetition of an arrow fits."""
    nodes = [
        *(Node("image", name, 1) for name in grid.graph.areas.input_names),
        *(Node("update", n, 1, g) for g, group in enumerate(grid.graph.groups) for n in group),
    ]
    every = [node._replace(step=step) for step in range(REACH + 3) for node in nodes if node.name in grid.rows]
    return {node: grid.box(node) for node in every}


def _around(grid: Grid, start: Box, end: Box, obstacles: Obstacles, traffic: Traffic) -> Courses:
    """The cheapest courses: short, clear of boxes, and not along other arrows."""
    candidates: list[tuple[float, Courses]] = [(penalty, (curve,)) for penalty, curve in _candidates(start, end)]
    candidates += [(LANES_PENALTY, courses) for courses in _lanes(grid, start, end)]
    middle = [(penalty, courses[len(courses) // 2]) for penalty, courses in candidates]
    return candidates[cheapest(middle, lambda curve: traffic.share(curve) + 200 * obstacles.hits(curve))][1]


def _lanes(grid: Grid, start: Box, end: Box) -> Iterator[Courses]:
    """For arrows over several steps: between two rows, with a turn at either end; beside those of the next steps."""
    slant = 0.45 if end.y > start.y else -0.45
    tail, head = start.at(1, slant), end.at(-1, -slant)
    left, right = tail[0] + grid.gap, head[0] - grid.gap
    count = max(1, ceil((right - left) / grid.step_pitch))
    pitch = min(LANE, (grid.row - HEIGHT - 8) / count)
    for row in range(len(grid.rows) if right > left else 0):
        between = [(row + 0.5) * grid.row + (n - (count - 1) / 2) * pitch for n in range(count)]
        yield tuple(_lane(tail, head, left, right, y) for y in between)


def _lane(tail: Point, head: Point, left: float, right: float, y: float) -> Curve:
    out, into = turn(tail, (left, y)), turn((right, y), head)
    return out + line(out.tip, into.points[0]) + into


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
