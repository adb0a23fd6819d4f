"""Drawing an area graph: the hierarchy of areas and the kinds of their connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape

from cortexgraph.graph import Area, AreaGraph
from cortexgraph.graph.names import Namespace
from cortexgraph.render.area_layout import (
    BODY_SIZE,
    NAME_SIZE,
    READOUT,
    SHAPE_SIZE,
    Layout,
    Line,
    box_lines,
    courses,
    place,
    shape_text,
)
from cortexgraph.render.canvas import PAD, ROOM, Canvas, Entry, add_legend, add_title, fitted, line_entries
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.geometry import Box, Curve
from cortexgraph.render.labels import SEEN, Scale, add_labels, label_height, label_width, scale_of
from cortexgraph.render.style import (
    DELAY,
    INK,
    KINDS,
    MUTED,
    RESIDUAL,
    BoxStyle,
    elide,
    is_inhibitory,
    network_text,
    residual_blocks,
    with_role,
)
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import parameter_counts

AREA = BoxStyle("area", INK, "#FFFFFF", INK, width=1.1)
END = BoxStyle("image or readout", INK, "#EFEFEF", INK, width=0.8)
PITCH, TIGHT = 12.0, 9.0
"""From one parallel arrow to the next, where no label is between them; and where there is little room."""
MANY_AREAS, MANY_ARROWS = 10, 40
"""With more areas, boxes say less and lines are thinner."""
DENSE = 3
"""Connections for each area, beyond which a matrix is easier to read."""
BESIDE, ABOVE, BELOW = 25.0, 19.0, 7.0
"""Room between a frame and its areas: loops stand at the upper right corners, the name at the upper left."""
GAP = 40.0
"""Between two drawings."""


def draw_areas(
    graph: AreaGraph, *, labels: Collection[str] = (), scale: str | None = None, width: float | None = None
) -> Drawing:
    """Draw areas and connections: low areas at the bottom, one row for each level of the hierarchy.

    Labels are of `LABELS` (delays are always written), the scale of the lines' widths of `WEIGHTS`. For a printed width
    in points, rows are broken, and boxes say less, where they must. `docs/drawing.md` lists the ids and classes in the
    SVG.

    Raises CompileError if no connection has a value for the scale, or text would be too small to read.
    """
    return fitted(lambda points: _laid_out(graph, labels, scale, points), width)


def _laid_out(graph: AreaGraph, labels: Collection[str], scale: str | None, width: float | None) -> Canvas:
    """The first layout that fits into a printed width, otherwise the narrowest."""
    brief = len(graph.areas) > MANY_AREAS
    canvas = _painted(graph, labels, scale, brief)
    if width is not None and canvas.width > width * ROOM:
        room, most = width * ROOM - 2 * PAD, max(Counter(area.level for area in graph.areas).values())
        for less, row in ((less, row) for less in dict.fromkeys((brief, True)) for row in range(most, 0, -1)):
            narrower = _painted(graph, labels, scale, less, row, room)
            canvas = min(canvas, narrower, key=lambda each: each.needed)
            if canvas.width <= width * ROOM:
                break
    return canvas


def draw_beside(graphs: Sequence[AreaGraph]) -> Drawing:
    """Draw the areas of several networks from left to right; ids get the number of their network in front: `0-V1`."""
    canvas, left = Canvas(" and ".join(graph.name for graph in graphs), "areas"), 0.0
    for number, graph in enumerate(graphs):
        brief = len(graph.areas) > MANY_AREAS
        measured = _painted(graph, (), None, brief)
        canvas.prefix, canvas.shift = f"{number}-", left - measured.low[0]
        _painted(graph, (), None, brief, canvas=canvas)
        left += measured.high[0] - measured.low[0] + GAP
    return canvas.drawing()


def _painted(
    graph: AreaGraph,
    labels: Collection[str],
    weight: str | None,
    brief: bool,
    row: int | None = None,
    room: float | None = None,
    canvas: Canvas | None = None,
) -> Canvas:
    """A canvas with a network, at most `row` areas side by side; title and legend keep within the room."""
    canvas = canvas or Canvas(graph.name, "areas")
    counts = parameter_counts(graph)
    scale = scale_of(graph, weight, counts) if weight else None
    framed = any(area.region for area in graph.areas)
    words = {*labels, "delay"}
    tallest = max((label_height(c, words, counts[c.identifier]) for c in graph.connections), default=0.0)
    gap = max(50, tallest / SEEN + 4) if labels else 46 if framed else 18 if brief else 28
    pitch = max(
        PITCH if room is None else TIGHT, *(label_width(c, words, counts[c.identifier]) + 6 for c in graph.connections)
    )
    layout = place(graph, gap, 80 if labels else 72 if framed else 40, pitch, brief=brief, most=row)
    curves = courses(layout, spread=30 if labels else 10, pitch=pitch)
    _add_boxes(canvas, graph, layout, brief)
    _add_arrows(canvas, graph, layout, curves, scale)
    (left, bottom), (right, top) = canvas.low, canvas.high
    add_labels(canvas, graph, [*layout.boxes.values()], curves, counts, words)
    width = max(right - left, min(190.0, room or 190.0))
    left = (left + right - width) / 2
    add_title(canvas, graph.name, network_text(graph, counts), left, top + 10, width)
    add_legend(canvas, [*_entries(graph, scale)], left, bottom - 18, width)
    return canvas


def _add_arrows(
    canvas: Canvas, graph: AreaGraph, layout: Layout, curves: Mapping[str, Curve], scale: Scale | None
) -> None:
    keys = graph.identifiers
    keys |= {READOUT + readout.name: readout.identifier for readout in graph.readouts}
    connections = {connection.identifier: connection for connection in graph.connections}
    thin = max(0.6, min(1.0, (MANY_ARROWS / max(1, len(layout.arrows))) ** 0.5))
    for arrow in layout.arrows:
        style, kind = KINDS[arrow.kind], arrow.kind
        style = replace(style, width=style.width * thin, head_size=style.head_size * thin)
        if (connection := connections.get(arrow.key)) is not None:
            style = scale.style(connection, style) if scale is not None else style
            modulating, inhibitory = connection.role == "modulate", is_inhibitory(connection)
            style = with_role(style, modulating=modulating, inhibitory=inhibitory)
            kind += " modulating" * modulating + " inhibitory" * inhibitory + f" connection-{arrow.key}"
        canvas.line(arrow.key + "-arrow", keys[arrow.tail], keys[arrow.head], curves[arrow.key], style, kind=kind)


def _add_boxes(canvas: Canvas, graph: AreaGraph, layout: Layout, brief: bool) -> None:
    for each in graph.inputs:
        lines = [(elide(each.name, NAME_SIZE, 70), NAME_SIZE, False), (shape_text(each.shape), SHAPE_SIZE, False)]
        canvas.box(each.identifier, layout.boxes[each.name], _label(lines), END, kind="image")
    framed: set[str] = set()
    identifiers = Namespace(frozenset())
    for region, areas in _regions(graph, layout):
        with canvas.frame(identifiers.identifier(f"region_{region}"), _frame(layout, areas), region):
            for name in areas:
                _add_area(canvas, graph, graph.area(name), layout.boxes[name], brief)
        framed.update(areas)
    for area in graph.areas:
        if area.name not in framed:
            _add_area(canvas, graph, area, layout.boxes[area.name], brief)
    for readout in graph.readouts:
        name = "readout" if len(graph.readouts) == 1 else elide(readout.name, NAME_SIZE, 70)
        lines = [(name, NAME_SIZE, False), (f"{readout.classes} classes", SHAPE_SIZE, False)]
        box, kind = layout.boxes[READOUT + readout.name], f"readout readout-{readout.identifier}"
        canvas.box(readout.identifier, box, _label(lines), END, kind=kind, shape="oval")


def _add_area(canvas: Canvas, graph: AreaGraph, area: Area, box: Box, brief: bool) -> None:
    blocks = residual_blocks(graph, area.name)
    key, label = area.identifier, _label(box_lines(area, brief, blocks), beside=brief)
    canvas.box(key, box, label, AREA, kind=f"area area-{key}", style="filled,rounded")
    if blocks:
        canvas.residual(key, box)


def _label(lines: Sequence[Line], *, beside: bool = False) -> str:
    """An HTML-like label of lines, one below the other, or the last beside those before it."""
    cells = [_cell(part) for part in ([lines[:-1], lines[-1:]] if beside else [[line] for line in lines])]
    rows = "".join(f"<TR>{row}</TR>" for row in (["".join(cells)] if beside else cells))
    return f'<<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'


def _cell(lines: Sequence[Line]) -> str:
    _, size, bold = lines[0]
    words = "<BR/>".join(escape(text).replace("\n", " ") for text, *_ in lines)
    color = MUTED if size == BODY_SIZE else INK
    return f'<TD><FONT POINT-SIZE="{size:g}" COLOR="{color}">{f"<B>{words}</B>" if bold else words}</FONT></TD>'


def _entries(graph: AreaGraph, scale: Scale | None) -> Iterator[Entry]:
    """Legend entries for what occurs in the drawing."""
    connections = graph.connections
    yield from line_entries(
        {connection.kind for connection in connections},
        modulating=any(connection.role == "modulate" for connection in connections),
        inhibitory=any(is_inhibitory(connection) for connection in connections),
    )
    if any(connection.delay for connection in connections):
        yield Entry("delay", DELAY, "+1")
    if any(residual_blocks(graph, area.name) for area in graph.areas):
        yield Entry("residual", RESIDUAL, "+", shape="circle", size=9)
    if scale is not None:
        yield from (Entry(key, style) for key, style in scale.lines(connections))


def is_dense(network: NetworkSpec | AreaGraph) -> bool:
    """Whether the graph has too many arrows to be easier to read than a matrix."""
    return len(network.connections) > max(MANY_ARROWS, DENSE * len(network.areas))


def _regions(graph: AreaGraph, layout: Layout) -> Iterator[tuple[str, Sequence[str]]]:
    """The areas to frame for each region: all, or those of each row if another area would stand inside the frame."""
    members: dict[str, list[str]] = {}
    for area in graph.areas:
        if area.region:
            members.setdefault(area.region, []).append(area.name)
    frames = {name: _frame(layout, areas) for name, areas in members.items()}
    for region, areas in members.items():
        others = [box for name, box in layout.boxes.items() if name not in areas]
        others += [frame for name, frame in frames.items() if name != region]
        if not any(frames[region].overlap(box) > 0 for box in others):
            yield region, areas
            continue
        for row in layout.rows:
            if part := [name for name in row if name in areas]:
                yield region, part


def _frame(layout: Layout, areas: Iterable[str]) -> Box:
    corners = [layout.boxes[name].at(side, side) for name in areas for side in (-1, 1)]
    left, right = min(x for x, _ in corners) - BESIDE, max(x for x, _ in corners) + BESIDE
    bottom, top = min(y for _, y in corners) - BELOW, max(y for _, y in corners) + ABOVE
    return Box((left + right) / 2, (bottom + top) / 2, right - left, top - bottom)
