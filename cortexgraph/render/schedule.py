"""The executed schedule: when each state is computed, how long it is held, and its cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from cortexgraph.codegen import Life, lives
from cortexgraph.render.canvas import PAD, Canvas, Entry, add_legend, add_title, fitted, plain
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.geometry import Box
from cortexgraph.render.scene import Fold, Scene, Span, scene_of
from cortexgraph.render.style import INK, MUTED, STATES, BoxStyle, elide, text_width
from cortexgraph.render.updates import node_key
from cortexgraph.unrolling import Node, UnrolledGraph, macs_of, order_name
from cortexgraph.wording import count_of, count_text


@dataclass(frozen=True)
class Costs:
    """What a schedule costs for one static image.

    Attributes:
        lives: of the states of all executed updates, in the order of execution.
        macs: multiply-accumulate operations by step.
        states: the largest number of states that are held at once.
        numbers: the largest number of activations that are held at once.
    """

    lives: tuple[Life, ...]
    macs: Mapping[int, int]
    states: int
    numbers: int


def costs_of(kept: UnrolledGraph) -> Costs:
    """Costs of the executed statements. A state is held until `forward` reads it for the last time."""
    held, states, numbers = tuple(lives(kept)), Counter[int](), Counter[int]()
    for life in held:
        size = prod(kept.areas.area(life.node.name).shape)
        for counter, ends, amount in ((states, [life.last], 1), (numbers, life.lasts, size)):
            for end in ends:
                counter[life.first] += amount
                counter[end + 1] -= amount
    macs = Counter[int]()
    for node in kept:
        if node.kind in {"update", "evaluation", "readout"} and kept.carried_out(node):
            macs[node.step] += macs_of(kept, node)
    return Costs(held, macs, _most(states), _most(numbers))


def _most(changes: Mapping[int, int]) -> int:
    """The largest sum of the changes up to any place."""
    return max(accumulate(changes[at] for at in sorted(changes)), default=0)


SLOT, NARROW_SLOT, GAP, ROW, CELL = 19.0, 13.5, 7.0, 20.0, 13.0
NAME_SIZE, LONGEST_NAME = 8.5, 110.0
BARS = 34.0
"""Height of the highest bar of multiply-adds."""
LINE_GAP = 10.0
"""Between the lines of a table that does not fit beside itself."""

DONE = BoxStyle("executed, in this order", "#0F4C75", "#0F4C75", "#FFFFFF", width=0.6)
HELD = BoxStyle("held for a later read", "none", "#9CC5E3", INK, width=0)
SHARED = BoxStyle("equal to an earlier one", "#0F4C75", "#FFFFFF", INK, dash="dotted")
UNREAD = BoxStyle("live, never read", "#BDBDBD", "#FFFFFF", INK, width=0.7)
SILENT = BoxStyle("silent (⊥)", "none", "transparent", STATES["silent"].text, width=0)
LOOKS = {"executed": DONE, "held": SHARED, "shared": SHARED, "unread": UNREAD, "silent": SILENT}
MARKS = {"executed": "1", "held": "·", "shared": "=", "silent": "⊥"}
SMALLER = {"executed": 0, "held": 2, "shared": 2, "unread": 6, "silent": 4}
"""Points by which a mark is smaller than `CELL`."""
WORK = BoxStyle("multiply-adds of the step", "none", "#7A7A7A", INK, width=0)
TINTS = ("#F5F5F5", "#FFFFFF")


def draw_timetable(
    full: UnrolledGraph, kept: UnrolledGraph, *, fold: Fold = "auto", width: float | None = None
) -> Drawing:
    """Draw the executed schedule: a column for each group of each step, a row for each area.

    An executed update is a mark with its number in the order of execution; the bar behind it lasts until its value is
    last read. Below stand the multiply-adds of each step, for one static image. `fold` and `width` are as for
    `draw_updates`. `docs/drawing.md` lists the ids and classes in the SVG.

    Raises CompileError if text would be too small to read.
    """
    scene = scene_of(full, kept, fold=fold, pitch=len(full.groups) * SLOT + GAP)
    costs = costs_of(kept)

    def laid_out(points: float | None) -> Canvas:
        canvas = _painted(scene, costs, None)
        return canvas if points is None or canvas.fits(points) else _painted(scene, costs, points - 2 * PAD)

    return fitted(laid_out, width)


def _painted(scene: Scene, costs: Costs, room: float | None) -> Canvas:
    canvas, table = Canvas(scene.full.name, "schedule"), _Table(scene, room)
    for column, span in enumerate(scene.columns, start=1):
        tint = BoxStyle("", "none", TINTS[(column + 1) % 2], INK, width=0)
        canvas.box(canvas.key(f"step-{span}"), table.band(column), "", tint, kind=f"band step-{span.key}")
        _add_heading(canvas, table, column, span)
    holds = _add_bars(canvas, scene, table, costs)
    number = {life.node: n for n, life in enumerate(costs.lives, start=1)}
    for node in scene.shown:
        if node.kind in {"update", "readout"}:
            _add_mark(canvas, scene, table, number, node)
    for line in range(table.lines):
        for row, name in enumerate(table.rows):
            at = (table.left - 5, row * ROW - line * table.height)
            canvas.text(table.key(f"row-{row}", line), at, name, NAME_SIZE, align="right")
    _add_work(canvas, scene, table, costs)
    _add_frame(canvas, scene, table, costs, holds=holds)
    return canvas


class _Table:
    """Positions of rows, columns and marks; `rows` are the names that stand beside them.

    Columns stand in as few lines as fit into the room, evenly filled; `words` is the room for title and legend.
    """

    def __init__(self, scene: Scene, room: float | None) -> None:
        areas, self.groups = scene.full.areas, len(scene.full.groups)
        read = {node.name for node in scene.shown.readouts}
        updated = {name for group in scene.full.groups for name in group}
        readouts = [readout.name for readout in areas.readouts if readout.name in read]
        names = [("update", area.name) for area in areas.areas if area.name in updated]
        self._row = {end: row for row, end in enumerate([*names, *(("readout", name) for name in readouts)])}
        words = {end: end[1] if end[0] == "update" else "readout" for end in self._row}
        if len(areas.readouts) > 1:
            words |= {("readout", name): f"readout {name}" for name in readouts}
        self.rows = [elide(word, NAME_SIZE, LONGEST_NAME) for word in words.values()]
        self.beside = 5 + max(text_width(name, NAME_SIZE) for name in [*self.rows, "multiply-a"])
        free = None if room is None else room - max(self.beside, 5 + text_width("multiply-adds", 7))
        self.words = 250.0 if free is None else min(250.0, free + self.beside)
        fitting = SLOT if free is None else (free - GAP) / self.groups
        self.slot = max(NARROW_SLOT, min(SLOT, fitting))
        self.pitch = self.groups * self.slot + GAP
        self.left = -(self.slot + GAP) / 2
        self.top = (len(self._row) - 0.5) * ROW
        self.lift = 22 if any(span.folded for span in scene.columns) else 12
        self.height = self.top + 2 + ROW / 2 + BARS + 14 + self.lift + LINE_GAP
        count = len(scene.columns)
        most = count if free is None else max(1, int(free // self.pitch))
        self.lines = -(-count // most)
        self.columns = -(-count // self.lines)

    def key(self, part: str, line: int) -> str:
        """The id of what each line repeats."""
        return f"{part}-line-{line + 1}" if line else part

    def line(self, column: int) -> int:
        """The line in which a column stands, from 0."""
        return (column - 1) // self.columns

    def place(self, column: int, group: int) -> float:
        """The x of a group of a step."""
        return (column - 1) % self.columns * self.pitch + group * self.slot

    def at(self, node: Node) -> tuple[float, float]:
        group = self.groups - 1 if node.kind == "readout" else node.group
        y = self._row[node.kind, node.name] * ROW - self.line(node.step) * self.height
        return self.place(node.step, group), y

    def band(self, column: int) -> Box:
        left = self.left + self.place(column, 0)
        bottom, top = -ROW / 2 - BARS - 14, self.top + 2
        y = (bottom + top) / 2 - self.line(column) * self.height
        return Box(left + self.pitch / 2, y, self.pitch, top - bottom)


def _add_heading(canvas: Canvas, table: _Table, column: int, span: Span) -> None:
    """Write the number of the step; where columns are narrow, only of every second, fifth, … step."""
    size, (x, top) = 7.5, table.band(column).at(0, 1)
    room = next(n for n in (1, 2, 5, 10, 20, 50, 100) if n * table.pitch > text_width("1000", size) or n == 100)
    if span.folded:
        canvas.text(f"at-{column}", (x, top + 7), "⋯", size)
        words = f"{span} (× {span.repeats})"
        canvas.text(f"repeats-{column}", (x, top + 17), words, 7, color=MUTED, backed=True)
    elif span.first % room == 0 or column % table.columns in {1, 1 % table.columns}:
        canvas.text(f"at-{column}", (x, top + 7), str(span.first), size)


def _add_bars(canvas: Canvas, scene: Scene, table: _Table, costs: Costs) -> bool:
    """Draw a bar behind each update for as long as its value is held; return whether any is."""
    column = {step: n for n, span in enumerate(scene.columns, 1) for step in range(span.first, span.last + 1)}
    ends: dict[Node, tuple[int, int]] = {}
    last = len(scene.columns), table.groups - 1
    for life in costs.lives:
        held, reader, end = life.node._replace(step=column[life.node.step]), life.reader, last
        if reader is not None:
            end = column[reader.step], reader.group if reader.kind in {"update", "evaluation"} else table.groups - 1
        elif not life.returned:
            continue
        if end > (held.step, held.group):
            ends[held] = max(ends.get(held, end), end)
    for held, (until, group) in ends.items():
        (x, y), name = table.at(held), f"held-{node_key(scene.full, held, scene.span(held).key)}"
        first = table.line(held.step)
        for line in range(first, table.line(until) + 1):  # from the left to the right end of lines between
            start = x if line == first else table.left
            end_x = table.place(until, group) if line == table.line(until) else table.left + table.columns * table.pitch
            bar = Box((start + end_x) / 2, y - (line - first) * table.height, max(end_x - start, 1.0), 5)
            canvas.box(canvas.key(table.key(name, line - first)), bar, "", HELD, kind="held")
    return bool(ends)


def _add_mark(canvas: Canvas, scene: Scene, table: _Table, number: Mapping[Node, int], node: Node) -> None:
    status, span = scene.status_of(node), scene.span(node)
    label = MARKS.get(status, "")
    if status == "executed":
        label = "⋯" if span.folded else str(number.get(scene.origin[node], ""))
    size = CELL - SMALLER[status]
    place = f"area-{scene.full.areas.area(node.name).identifier} " if node.kind == "update" else ""
    words = f"{node.kind} {status} {place}step-{span.key} group-{node.group}"
    key = canvas.key(node_key(scene.full, node, span.key))
    box = Box(*table.at(node), max(size, 15.0 * (len(label) > 3)), size)
    points, shape = 6.5 if len(label) < 3 else 6.0, "circle" if node.kind == "readout" else "box"
    canvas.box(key, box, plain(label), LOOKS[status], kind=words, size=points, shape=shape)


def _add_work(canvas: Canvas, scene: Scene, table: _Table, costs: Costs) -> None:
    """Draw the multiply-adds of each step as bars below the table."""
    most, ground = max(costs.macs.values(), default=0), -ROW / 2 - BARS - 12
    for column, span in enumerate(scene.columns, start=1):
        if work := costs.macs.get(span.first, 0):
            height, x = max(0.5, BARS * work / most), table.band(column).x
            y = ground - table.line(column) * table.height
            bar = Box(x, y + height / 2, min(table.pitch - 6, 40.0), height)
            canvas.box(canvas.key(f"macs-{span.key}"), bar, "", WORK, kind=f"macs step-{span.key}")
            if text_width(count_text(work), 6) < table.pitch:
                canvas.text(f"macs-words-{column}", (x, y + height + 5), count_text(work), 6, color=MUTED)
    for line in range(table.lines):
        for key, words, lower in (("macs", "multiply-adds", 0), ("most", f"≤ {count_text(most)}", 9)):
            at = (table.left - 5, ground + BARS / 2 - lower - line * table.height)
            canvas.text(table.key(key, line), at, words, 7, color=MUTED, align="right")


def _add_frame(canvas: Canvas, scene: Scene, table: _Table, costs: Costs, *, holds: bool) -> None:
    """Title above, legend below."""
    full = scene.full
    left = table.left - table.beside
    width = max(table.beside + table.columns * table.pitch, table.words)
    summary = (
        f"{count_of(full.steps, 'step')}, {len(costs.lives)} updates executed; order: {order_name(full.order)}; "
        f"at most {costs.states} states ({count_text(costs.numbers)} activations) held"
    )
    for line in range(table.lines):
        at = (table.left - 5, table.top + 9 - line * table.height)
        canvas.text(table.key("steps", line), at, "step", 7.5, color=MUTED, align="right")
    add_title(canvas, full.name, summary, left, table.top + table.lift + 7, width)
    bottom = table.band(len(scene.columns)).at(0, -1)[1]
    add_legend(canvas, [*_entries(scene, holds=holds)], left, bottom - 14, width)


def _entries(scene: Scene, *, holds: bool) -> Iterator[Entry]:
    """Legend entries for what occurs in the drawing."""
    states = {scene.status_of(node) for node in scene.shown if node.kind == "update"}
    for status, look in LOOKS.items():
        if status in states:
            yield Entry(status, look, MARKS.get(status, ""))
        if status == "executed" and holds:
            yield Entry("until-read", HELD)
