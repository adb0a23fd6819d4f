"""The matrix of connections: for graphs too dense for arrows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.render.canvas import PAD, Canvas, Entry, add_legend, add_title, fitted, plain
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.geometry import Box
from cortexgraph.render.labels import Scale, scale_of
from cortexgraph.render.style import (
    DELAY,
    INHIBITORY,
    INK,
    KINDS,
    MUTED,
    BoxStyle,
    elide,
    is_inhibitory,
    network_text,
    text_width,
)
from cortexgraph.unrolling import parameter_counts

CELL, DELAYED_CELL, LARGEST_CELL = 15.0, 17.0, 20.0
"""Sides of cells; where delays stand beside marks; and beside marks of different sizes."""
MOVED = 1.5
"""How far marks stand from the middle where there are delays."""
NAME_SIZE, SMALL_SIZE, LONGEST_NAME = 8.0, 7.0, 90.0
TIER = 10.0
SMALLEST, LARGEST, PLAIN = 3.0, 12.0, 8.5
"""Sides of marks."""
SHAPES = {"feedforward": ("square", 0.9), "lateral": ("circle", 1.0), "feedback": ("diamond", 1.3)}
"""Shapes of marks, and the factors that give the shapes of one weight like areas."""
ROWS = ("#FFFFFF", "#F4F4F4")
GATE = "#FFFFFF"
NONE = BoxStyle("", "#8A8A8A", "#FFFFFF", INK, width=0.6)


def draw_connections(graph: AreaGraph, *, scale: str | None = None, width: float | None = None) -> Drawing:
    """Draw the connections as a matrix: a row for each source, a column for each target.

    Areas stand from low to high, from the upper left to the lower right: feedforward connections above the diagonal,
    feedback below it. Colour and shape show the kind; a modulating connection is hollow; a delay stands beside the
    mark, whose area shows a scale of `WEIGHTS`. `docs/drawing.md` lists the ids and classes in the SVG.

    Raises CompileError if no connection has a value for the scale, or text would be too small to read.
    """
    counts = parameter_counts(graph)
    sizes = scale_of(graph, scale, counts) if scale else None

    def laid_out(points: float | None) -> Canvas:
        """As it is, with narrow words above and below, or with larger small text, which may be printed smaller."""
        canvas = _painted(graph, counts, sizes, None)
        for small in (SMALL_SIZE, NAME_SIZE):
            if points is not None and not canvas.fits(points):
                canvas = min(canvas, _painted(graph, counts, sizes, points, small), key=lambda each: each.needed)
        return canvas

    return fitted(laid_out, width)


def _painted(
    graph: AreaGraph, counts: Mapping[str, int], sizes: Scale | None, width: float | None, small: float = SMALL_SIZE
) -> Canvas:
    canvas, inputs = Canvas(graph.name, "matrix"), graph.input_names
    names = {name: elide(name, NAME_SIZE, LONGEST_NAME) for name in (*inputs, *(area.name for area in graph.areas))}
    delayed = any(connection.delay for connection in graph.connections)
    cells = _Cells(CELL if not delayed else DELAYED_CELL if sizes is None else LARGEST_CELL)
    _add_cells(canvas, cells, len(inputs), len(names))
    tiers = _add_names(canvas, cells, len(inputs), [*names.values()], small)
    place = {name: n for n, name in enumerate(names)}
    ends: dict[tuple[int, int], list[Connection]] = {}
    for connection in graph.connections:
        ends.setdefault((place[connection.source], place[connection.target] - len(inputs)), []).append(connection)
    for cell, connections in ends.items():
        for connection, box in zip(connections, _shared(cells.box(*cell), len(connections)), strict=True):
            _add_mark(canvas, connection, box, sizes, MOVED * delayed)
    longest = max(text_width(name, NAME_SIZE) for name in [*names.values(), "from ↓"])
    left, top = -cells.side / 2 - longest - 4, cells.side / 2 + max(22, 12 + TIER * tiers)
    least = 272.0 if width is None else min(272.0, width - 2 * PAD)
    extent = max(len(graph.areas) * cells.side + longest + 4, least)
    joined = len({(c.source, c.target) for c in graph.connections if graph.is_area(c.source)})
    pairs = len(graph.areas) ** 2
    heading = network_text(graph, counts, f" ({joined} of {pairs} pairs of areas, {joined / pairs:.0%})")
    add_title(canvas, graph.name, heading, left, top + 8, extent)
    add_legend(canvas, [*_entries(graph.connections, sizes, small)], left, -len(names) * cells.side - 2, extent)
    return canvas


@dataclass(frozen=True)
class _Cells:
    """Squares, each for what one area sends to another."""

    side: float

    def box(self, row: int, column: int) -> Box:
        return Box(column * self.side, -row * self.side, self.side, self.side)


def _shared(cell: Box, count: int) -> Iterator[Box]:
    """Places of several marks in one cell, along its diagonal."""
    for n in range(count):
        offset = (n - (count - 1) / 2) * 0.5 / count
        yield Box(cell.x + offset * cell.width, cell.y - offset * cell.height, cell.width, cell.height)


def _add_cells(canvas: Canvas, cells: _Cells, inputs: int, senders: int) -> None:
    """Tint alternate rows, and mark the diagonal below the rows of the inputs."""
    for row in range(senders):
        left, right = cells.box(row, 0), cells.box(row, senders - inputs - 1)
        strip = Box((left.x + right.x) / 2, left.y, right.x - left.x + cells.side, cells.side)
        canvas.box(canvas.key(f"row-{row}"), strip, "", BoxStyle("", "none", ROWS[row % 2], INK, width=0), kind="text")
        if row >= inputs:
            look = BoxStyle("", "#BBBBBB", "#E6E6E6", INK, width=0.4)
            canvas.box(canvas.key(f"diagonal-{row}"), cells.box(row, row - inputs), "", look, kind="text")


def _add_names(canvas: Canvas, cells: _Cells, inputs: int, names: Sequence[str], small: float) -> int:
    """Write senders at the left and receivers above, in several tiers where names are long; return how many."""
    left, top = cells.box(0, 0).at(-1, 1)
    for row, name in enumerate(names):
        canvas.text(f"from-{row}", (left - 4, -row * cells.side), name, NAME_SIZE, align="right")
    receivers = names[inputs:]
    longest = max(text_width(name, NAME_SIZE) for name in receivers)
    tiers = min(len(receivers), int(-(-(longest + 3) // cells.side)))
    for column, name in enumerate(receivers):
        x, up = column * cells.side, 4 + TIER * (column % tiers)
        if up > 4:
            lead = BoxStyle("", "none", "#BBBBBB", INK, width=0)
            canvas.box(canvas.key(f"lead-{column}"), Box(x, top + up / 2, 0.5, up - 1), "", lead, kind="text")
        canvas.text(f"to-{column}", (x, top + up + 4), name, NAME_SIZE, backed=True)
    canvas.text("from", (left - 4, top + 5), "from ↓", small, color=MUTED, align="right")
    canvas.text("to", (left - 4, top + 16), "to →", small, color=MUTED, align="right")
    return tiers


def _add_mark(canvas: Canvas, connection: Connection, cell: Box, scale: Scale | None, moved: float) -> None:
    """Draw a mark, moved to the lower left where a delay may stand at the upper right."""
    (shape, growth), kind = SHAPES[connection.kind], connection.kind
    share, look = scale.share(connection) if scale else None, _look(kind)
    side = PLAIN if scale is None else SMALLEST + (LARGEST - SMALLEST) * (share or 0.0)
    words = [kind, f"connection-{connection.identifier}"]
    if scale is not None and share is None:
        look = NONE
    if connection.role == "modulate":
        look, words = replace(look, fill=GATE, text=look.outline, width=1.4), [*words, "modulating"]
    label = plain("−") if is_inhibitory(connection) else ""
    words += ["inhibitory"] * bool(label)
    box = Box(cell.x - moved, cell.y - moved, side * growth, side * growth)
    canvas.box(f"{connection.identifier}-mark", box, label, look, kind=" ".join(words), shape=shape)
    if connection.delay:
        x, y = cell.at(1, 1)
        delay = f"+{connection.delay}"
        canvas.text(f"{connection.identifier}-delay", (x + 0.5 - text_width(delay, 6) / 2, y - 3.2), delay, 6)


def _look(kind: str) -> BoxStyle:
    color = KINDS[kind].color
    return BoxStyle(kind, color, color, "#FFFFFF", width=0.6)


def _entries(connections: Sequence[Connection], scale: Scale | None, small: float) -> Iterator[Entry]:
    """Legend entries for what occurs in the drawing."""
    kinds = {connection.kind for connection in connections}
    yield from (Entry(kind, _look(kind), shape=shape) for kind, (shape, _) in SHAPES.items() if kind in kinds)
    if any(connection.role == "modulate" for connection in connections):
        yield Entry("modulating", BoxStyle("modulating", INK, GATE, INK, width=1.4), shape="circle")
    if any(is_inhibitory(connection) for connection in connections):
        yield Entry("inhibitory", BoxStyle(INHIBITORY, MUTED, MUTED, "#FFFFFF"), "−", shape="square", mark_size=small)
    if any(connection.delay for connection in connections):
        yield Entry("delay", DELAY, "+1", mark_size=small)
    if scale is not None:
        if any(scale.share(connection) is None for connection in connections):
            yield Entry(f"{scale.what}-none", replace(NONE, word=f"no {scale.what}"), shape="circle", size=SMALLEST)
        for n, (share, word) in enumerate(scale.samples()):
            look = BoxStyle(word, MUTED, MUTED, INK, width=0.6)
            side = SMALLEST + (LARGEST - SMALLEST) * share
            yield Entry(f"{scale.what}-{n}", look, shape="circle", size=side)
