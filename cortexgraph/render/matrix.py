"""The matrix of connections: for graphs too dense for arrows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.render.canvas import Canvas, Entry, add_legend, add_title, plain
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.geometry import Box
from cortexgraph.render.labels import Scale, scale_of
from cortexgraph.render.style import DELAY, INHIBITORY, INK, KINDS, MUTED, BoxStyle, is_inhibitory
from cortexgraph.render.text import elide, network_text, text_width
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling import parameter_counts

__all__ = ["draw_connections"]

CELL = 15.0
NAME_SIZE, LONGEST_NAME = 8.0, 90.0
TIER = 10.0
SMALLEST, LARGEST = 3.0, 12.0
PLAIN = 8.5
SHAPES = {"feedforward": "square", "lateral": "circle", "feedback": "diamond"}
GROW = {"feedforward": 0.9, "lateral": 1.0, "feedback": 1.3}
"""So that the shapes of one weight have like areas."""
EMPTY = ("#FFFFFF", "#F4F4F4")
GATE = "#FFFFFF"
NONE = BoxStyle("", "#8A8A8A", "#FFFFFF", INK, width=0.6)


def draw_connections(graph: AreaGraph, *, width: str | None = None, title: str | None = None) -> Drawing:
    """Draw the connections as a matrix: a row for what each area sends, a column for what it receives.

    Areas stand from low to high, from the upper left to the lower right: feedforward connections above the
    diagonal, feedback below it. Colour and shape show the kind; a modulating connection is hollow; a delay
    stands in the mark.

    Args:
        graph: the network.
        width: what the area of a mark says: `parameters` or `strength`; all alike by default.
        title: heading; the network's name by default.

    Returns:
        The drawing; `docs/drawing.md` lists the ids and classes in its SVG.

    Raises:
        CompileError: if no connection has what the size should say.
    """
    counts = parameter_counts(graph)
    scale = scale_of(graph, width, counts) if width else None
    canvas = Canvas(graph.name, "matrix")
    receivers = [area.name for area in graph.areas]
    senders = [IMAGE, *receivers]
    _add_cells(canvas, senders, receivers)
    _add_names(canvas, graph, senders, receivers)
    places = {name: n for n, name in enumerate(senders)}
    ends: dict[tuple[str, str], list[Connection]] = {}
    for connection in graph.connections:
        ends.setdefault((connection.source, connection.target), []).append(connection)
    for (source, target), connections in ends.items():
        cell = _cell(places[source], places[target] - 1)
        for connection, box in zip(connections, _shared(cell, len(connections)), strict=True):
            _add_mark(canvas, connection, box, scale)
    _add_frame(canvas, graph, len(senders), scale, title or graph.name, counts)
    return Drawing(canvas.source)


def _cell(row: int, column: int) -> Box:
    return Box(column * CELL, -row * CELL, CELL, CELL)


def _shared(cell: Box, count: int) -> Iterator[Box]:
    """Places of several marks in one cell, along its diagonal."""
    for n in range(count):
        offset = (n - (count - 1) / 2) * 0.5 / count
        yield Box(cell.x + offset * cell.width, cell.y - offset * cell.height, cell.width, cell.height)


def _add_cells(canvas: Canvas, senders: Sequence[str], receivers: Sequence[str]) -> None:
    """Tint alternate rows, and mark the diagonal."""
    for row, source in enumerate(senders):
        left, right = _cell(row, 0), _cell(row, len(receivers) - 1)
        strip = Box((left.x + right.x) / 2, left.y, right.x - left.x + CELL, CELL)
        look = BoxStyle("", "none", EMPTY[row % 2], INK, width=0)
        canvas.box(canvas.key(f"row-{row}"), strip, "", look, kind="text")
        if source != IMAGE:
            look = BoxStyle("", "#BBBBBB", "#E6E6E6", INK, width=0.4)
            canvas.box(canvas.key(f"diagonal-{row}"), _cell(row, row - 1), "", look, kind="text")


def _add_names(canvas: Canvas, graph: AreaGraph, senders: Sequence[str], receivers: Sequence[str]) -> None:
    """Write senders at the left and receivers above, in several tiers where names are long."""
    for row, name in enumerate(senders):
        at = _cell(row, 0).at(-1, 0)
        canvas.text(f"from-{row}", (at[0] - 4, at[1]), elide(name, NAME_SIZE, LONGEST_NAME), NAME_SIZE, align="right")
    tiers = _tiers(receivers)
    for column, name in enumerate(receivers):
        (x, y), up = _cell(0, column).at(0, 1), 4 + TIER * (column % tiers)
        if up > 4:
            line = BoxStyle("", "none", "#BBBBBB", INK, width=0)
            canvas.box(canvas.key(f"lead-{column}"), Box(x, y + up / 2, 0.5, up - 1), "", line, kind="text")
        canvas.text(f"to-{column}", (x, y + up + 4), elide(name, NAME_SIZE, LONGEST_NAME), NAME_SIZE, backed=True)
    corner = _cell(0, 0).at(-1, 1)
    canvas.text("from", (corner[0] - 4, corner[1] + 5), "from ↓", 7, color=MUTED, align="right")
    canvas.text("to", (corner[0] - 4, corner[1] + 16), "to →", 7, color=MUTED, align="right")


def _tiers(receivers: Sequence[str]) -> int:
    """Number of tiers in which the names above the columns stand, so that they do not touch."""
    longest = max(text_width(elide(name, NAME_SIZE, LONGEST_NAME), NAME_SIZE) for name in receivers)
    return min(len(receivers), int(-(-(longest + 3) // CELL)))


def _add_mark(canvas: Canvas, connection: Connection, cell: Box, scale: Scale | None) -> None:
    share = scale.share(connection) if scale else None
    side = PLAIN if share is None else SMALLEST + (LARGEST - SMALLEST) * share
    side *= GROW[connection.kind]
    look, box = _look(connection.kind), Box(cell.x, cell.y, side, side)
    words = [connection.kind, f"connection-{connection.identifier}"]
    if scale is not None and scale.value(connection) is None:
        look = NONE
    if connection.role == "modulate":
        look, words = replace(look, fill=GATE, text=look.outline, width=1.4), [*words, "modulating"]
    label = plain("−") if is_inhibitory(connection) else ""
    words += ["inhibitory"] * bool(label)
    kind, shape = " ".join(words), SHAPES[connection.kind]
    canvas.box(f"{connection.identifier}-mark", box, label, look, kind=kind, shape=shape)
    if connection.delay:
        canvas.text(f"{connection.identifier}-delay", (cell.x + 4.6, cell.y + 4), f"+{connection.delay}", 5.5)


def _look(kind: str) -> BoxStyle:
    color = KINDS[kind].color
    return BoxStyle(kind, color, color, "#FFFFFF", width=0.6)


def _add_frame(
    canvas: Canvas, graph: AreaGraph, rows: int, scale: Scale | None, title: str, counts: Mapping[str, int]
) -> None:
    names = [elide(area.name, NAME_SIZE, LONGEST_NAME) for area in graph.areas]
    longest = max(text_width(name, NAME_SIZE) for name in [*names, IMAGE, "from ↓"])
    left, top = -CELL / 2 - longest - 4, CELL / 2 + max(22, 12 + TIER * _tiers(names))
    width = max((rows - 1) * CELL + longest + 4, 272.0)
    connections = graph.connections
    density = len({(c.source, c.target) for c in connections if c.source != IMAGE}) / len(graph.areas) ** 2
    add_title(canvas, title, network_text(graph, counts, f" ({density:.0%} of all possible)"), left, top + 8, width)
    kinds = {connection.kind for connection in connections}
    entries = [Entry(kind, _look(kind), shape=SHAPES[kind]) for kind in SHAPES if kind in kinds]
    if any(connection.role == "modulate" for connection in connections):
        entries.append(Entry("modulating", BoxStyle("modulating", INK, GATE, INK, width=1.4), shape="circle"))
    if any(is_inhibitory(connection) for connection in connections):
        entries.append(Entry("inhibitory", BoxStyle(INHIBITORY, MUTED, MUTED, "#FFFFFF"), "−", shape="square"))
    if any(connection.delay for connection in connections):
        entries.append(Entry("delay", DELAY, "+1"))
    if scale is not None:
        if any(scale.value(connection) is None for connection in connections):
            look = replace(NONE, word=f"no {scale.what}")
            entries.append(Entry(f"{scale.what}-none", look, shape="circle", size=SMALLEST))
        for n, (share, word) in enumerate(scale.samples()):
            side = SMALLEST + (LARGEST - SMALLEST) * share
            look = BoxStyle(word, MUTED, MUTED, INK, width=0.6)
            entries.append(Entry(f"{scale.what}-{n}", look, shape="circle", size=side))
    add_legend(canvas, entries, left, -rows * CELL - 2, width)
