"""The executed schedule: what is computed when, how long it is held, and what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from cortexgraph.passes import statuses
from cortexgraph.render.canvas import Canvas, Entry, add_legend, add_title, plain
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.geometry import Box
from cortexgraph.render.scene import Fold, Scene, Span, scene_of
from cortexgraph.render.style import INK, MUTED, STATES, BoxStyle, elide, text_width
from cortexgraph.render.updates import node_key
from cortexgraph.unrolling import Node, UnrolledGraph, macs_of, order_name
from cortexgraph.wording import count_of, count_text

__all__ = ["Costs", "costs_of", "draw_timetable"]


@dataclass(frozen=True)
class Costs:
    """What a schedule costs for one static image.

    Attributes:
        number: of each executed update its place in the order of execution, from 1.
        last_read: for each executed update that is read, the last update or readout that reads it.
        macs: multiply-accumulate operations by step.
        states: the largest number of states that are held at once.
        numbers: the largest number of activations that are held at once.
    """

    number: Mapping[Node, int]
    last_read: Mapping[Node, Node]
    macs: Mapping[int, int]
    states: int
    numbers: int


def costs_of(full: UnrolledGraph, kept: UnrolledGraph) -> Costs:
    """Costs of what is executed. A state is held from its update to its last read."""
    status = statuses(full, kept)
    done = [node for node in full if status[node].word == "executed"]
    executed = [node for node in done if node.kind == "update"]
    place = {node: n for n, node in enumerate(full)}
    last: dict[Node, Node] = {}
    for head in done:  # in the order of execution
        for source in full.predecessors(head):
            tail = source
            while (like := status[tail].like) is not None:
                tail = like
            if tail.kind == "update" and status[tail].word == "executed":
                last[tail] = head
    states, numbers = Counter[int](), Counter[int]()
    for node in executed:
        size = prod(full.areas.area(node.name).shape)
        for at, sign in ((place[node], 1), (place[last.get(node, node)] + 1, -1)):
            states[at] += sign
            numbers[at] += sign * size
    macs = Counter[int]()
    for node in kept:
        if node.kind in {"update", "evaluation", "readout"} and kept.carried_out(node):
            macs[node.step] += macs_of(kept, node)
    return Costs({node: n for n, node in enumerate(executed, start=1)}, last, macs, _most(states), _most(numbers))


def _most(changes: Mapping[int, int]) -> int:
    """The largest sum of the changes up to any place."""
    return max(accumulate(changes[at] for at in sorted(changes)), default=0)


SLOT, GAP, ROW, CELL = 19.0, 7.0, 20.0, 13.0
NAME_SIZE, LONGEST_NAME = 8.5, 110.0
BARS = 34.0
"""Height of the highest bar of multiply-adds."""

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

    An executed update is a mark with its number in the order of execution; the bar behind it lasts until its value
    is last read. Below stand the multiply-adds of each step, for one static image. `docs/drawing.md` lists the ids and
    classes in the SVG.

    Args:
        full: the graph before passes.
        kept: the graph after passes.
        fold: whether steps that look alike are drawn once: `auto`, `always` or `never`.
        width: of the printed drawing, in points.

    Raises:
        CompileError: if text would be too small to read.
    """
    scene = scene_of(full, kept, fold=fold, pitch=len(full.groups) * SLOT + GAP)
    canvas, table, costs = Canvas(full.name, "schedule"), _Table(scene), costs_of(full, kept)
    for column, span in enumerate(scene.columns, start=1):
        tint = BoxStyle("", "none", TINTS[(column + 1) % 2], INK, width=0)
        canvas.box(canvas.key(f"step-{span}"), table.band(column), "", tint, kind=f"band step-{span.key}")
        _add_heading(canvas, table, column, span)
    _add_bars(canvas, scene, table, costs)
    for node in scene.shown:
        if node.kind in {"update", "readout"}:
            _add_mark(canvas, scene, table, costs, node)
    for row, name in enumerate(table.rows):
        canvas.text(f"row-{row}", (table.left - 5, row * ROW), name, NAME_SIZE, align="right")
    _add_work(canvas, scene, table, costs)
    _add_frame(canvas, scene, table, costs)
    return canvas.drawing(width)


class _Table:
    """Positions of rows, columns and marks; `rows` are the names that stand beside them."""

    def __init__(self, scene: Scene) -> None:
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
        self.pitch = self.groups * SLOT + GAP
        self.left = -(SLOT + GAP) / 2
        self.top = (len(self._row) - 0.5) * ROW

    def at(self, node: Node) -> tuple[float, float]:
        group = self.groups - 1 if node.kind == "readout" else node.group
        return (node.step - 1) * self.pitch + group * SLOT, self._row[node.kind, node.name] * ROW

    def band(self, column: int) -> Box:
        left = self.left + (column - 1) * self.pitch
        bottom, top = -ROW / 2 - BARS - 14, self.top + 2
        return Box(left + self.pitch / 2, (bottom + top) / 2, self.pitch, top - bottom)


def _add_heading(canvas: Canvas, table: _Table, column: int, span: Span) -> None:
    """Write the number of the step; where columns are narrow, only of every second, fifth, … step."""
    size, (x, top) = 7.5, table.band(column).at(0, 1)
    room = next(n for n in (1, 2, 5, 10, 20, 50, 100) if n * table.pitch > text_width("1000", size) or n == 100)
    if span.folded:
        canvas.text(f"at-{column}", (x, top + 7), "⋯", size)
        words = f"{span} (× {span.repeats})"
        canvas.text(f"repeats-{column}", (x, top + 17), words, 7, color=MUTED, backed=True)
    elif span.first % room == 0 or column == 1:
        canvas.text(f"at-{column}", (x, top + 7), str(span.first), size)


def _add_bars(canvas: Canvas, scene: Scene, table: _Table, costs: Costs) -> None:
    """Draw a bar behind each update for as long as its value is held."""
    column = {step: n for n, span in enumerate(scene.columns, 1) for step in range(span.first, span.last + 1)}
    ends: dict[Node, float] = {}
    for source, reader in costs.last_read.items():
        if reader.kind == "update":
            held = source._replace(step=column[source.step])
            ends[held] = max(ends.get(held, 0.0), table.at(reader._replace(step=column[reader.step]))[0])
    for held, end in ends.items():
        x, y = table.at(held)
        key = canvas.key(f"held-{node_key(scene.full, held, scene.span(held).key)}")
        canvas.box(key, Box((x + end) / 2, y, max(end - x, 1.0), 5), "", HELD, kind="held")


def _add_mark(canvas: Canvas, scene: Scene, table: _Table, costs: Costs, node: Node) -> None:
    status, span = scene.status_of(node), scene.span(node)
    label = MARKS.get(status, "")
    if status == "executed":
        label = "⋯" if span.folded else str(costs.number.get(scene.origin[node], ""))
    size = CELL - SMALLER[status]
    place = f"area-{scene.full.areas.area(node.name).identifier} " if node.kind == "update" else ""
    words = f"{node.kind} {status} {place}step-{span.key} group-{node.group}"
    key, box = (
        canvas.key(node_key(scene.full, node, span.key)),
        Box(*table.at(node), max(size, 15.0 * (len(label) > 3)), size),
    )
    points, shape = 6.5 if len(label) < 3 else 6.0, "circle" if node.kind == "readout" else "box"
    canvas.box(key, box, plain(label), LOOKS[status], kind=words, size=points, shape=shape)


def _add_work(canvas: Canvas, scene: Scene, table: _Table, costs: Costs) -> None:
    """Draw the multiply-adds of each step as bars below the table."""
    most, ground = max(costs.macs.values(), default=0), -ROW / 2 - BARS - 12
    for column, span in enumerate(scene.columns, start=1):
        if work := costs.macs.get(span.first, 0):
            height, x = max(0.5, BARS * work / most), table.band(column).x
            bar = Box(x, ground + height / 2, min(table.pitch - 6, 40.0), height)
            canvas.box(canvas.key(f"macs-{span.key}"), bar, "", WORK, kind=f"macs step-{span.key}")
            if text_width(count_text(work), 6) < table.pitch:
                canvas.text(f"macs-words-{column}", (x, ground + height + 5), count_text(work), 6, color=MUTED)
    for key, words, lower in (("macs", "multiply-adds", 0), ("most", f"≤ {count_text(most)}", 9)):
        canvas.text(key, (table.left - 5, ground + BARS / 2 - lower), words, 7, color=MUTED, align="right")


def _add_frame(canvas: Canvas, scene: Scene, table: _Table, costs: Costs) -> None:
    full = scene.full
    left = table.left - 5 - max(text_width(name, NAME_SIZE) for name in [*table.rows, "multiply-a"])
    width = max(table.band(len(scene.columns)).at(1, 0)[0] - left, 250.0)
    summary = (
        f"{count_of(full.steps, 'step')}, {len(costs.number)} updates executed; order: {order_name(full.order)}; "
        f"at most {costs.states} states ({count_text(costs.numbers)} activations) held"
    )
    canvas.text("steps", (table.left - 5, table.top + 9), "step", 7.5, color=MUTED, align="right")
    lift = 29 if any(span.folded for span in scene.columns) else 19
    add_title(canvas, full.name, summary, left, table.top + lift, width)
    add_legend(canvas, [*_entries(scene)], left, table.band(1).at(0, -1)[1] - 14, width)


def _entries(scene: Scene) -> Iterator[Entry]:
    """Legend entries for what occurs in the drawing."""
    states = {scene.status_of(node) for node in scene.shown if node.kind == "update"}
    for status, look in LOOKS.items():
        if status in states:
            yield Entry(status, look, MARKS.get(status, ""))
        if status == "executed":
            yield Entry("held", HELD)
