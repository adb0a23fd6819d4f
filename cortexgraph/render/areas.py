"""Drawing an area graph: the hierarchy of areas and the kinds of their connections."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cortexgraph.graph import Area, AreaGraph
from cortexgraph.graph.names import Namespace
from cortexgraph.render.area_layout import (
    BODY_SIZE,
    NAME_SIZE,
    READOUT,
    SHAPE_SIZE,
    Layout,
    arrows,
    courses,
    place,
    words_of,
    wrapped,
)
from cortexgraph.render.canvas import Canvas, Entry, add_legend, add_title
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.geometry import Box, Curve
from cortexgraph.render.labels import LabelPlacer, Scale, label_width, scale_of
from cortexgraph.render.style import DELAY, INK, KINDS, MUTED, BoxStyle, is_inhibitory, role_samples, with_role
from cortexgraph.render.text import elide, html_text, network_text, shape_text
from cortexgraph.spec import IMAGE, NetworkSpec
from cortexgraph.unrolling import parameter_counts

__all__ = ["draw_areas", "is_dense"]

AREA = BoxStyle("area", INK, "#FFFFFF", INK, width=1.1)
ENDS = BoxStyle("image or readout", INK, "#EFEFEF", INK, width=0.8)
PITCH = 12.0
"""From one parallel arrow to the next, where no label is between them."""
MANY_AREAS, MANY_ARROWS = 10, 40
"""Beyond so many, boxes say less, and lines are thinner."""
DENSE = 3
"""Connections for each area, beyond which a matrix is easier to read."""
BESIDE, ABOVE, BELOW = 25.0, 19.0, 7.0
"""Room between a frame and its areas: loops stand at the upper right corners, the name at the upper left."""


def draw_areas(
    graph: AreaGraph, *, labels: Collection[str] = (), width: str | None = None, title: str | None = None
) -> Drawing:
    """Draw areas and connections: low areas at the bottom, one row for each level of the hierarchy.

    Args:
        graph: the network.
        labels: what arrows carry, of `kernel` (with stride or resize), `delay`, `parameters` and `strength`; delays
            are always shown.
        width: what the width of a line says: `parameters` or `strength`; all alike by default.
        title: heading; the network's name by default.

    Returns:
        The drawing; `docs/drawing.md` lists the ids and classes in its SVG.

    Raises:
        CompileError: if no connection has what the width should say.
    """
    counts = parameter_counts(graph)
    scale = scale_of(graph, width, counts) if width else None
    brief = len(graph.areas) > MANY_AREAS
    framed = any(area.region for area in graph.areas)
    gap = 50 if labels else 46 if framed else 18 if brief else 28
    words = {*labels, "delay"}
    pitch = max(PITCH, *(label_width(c, words, counts[c.identifier]) + 6 for c in graph.connections))
    layout = place(graph, gap, column_gap=80 if labels else 72 if framed else 40, pitch=pitch, brief=brief)
    curves = courses(graph, layout, spread=30 if labels else 10, pitch=pitch)
    canvas = Canvas(graph.name, "areas")
    _add_boxes(canvas, graph, layout, brief)
    _add_arrows(canvas, graph, curves, scale)
    placer = LabelPlacer(canvas, [*layout.boxes.values()], curves, counts)
    for connection in graph.connections:
        placer.add(connection, words)
    _add_frame(canvas, graph, layout, [*curves.values()], title or graph.name, network_text(graph, counts), scale)
    return Drawing(canvas.source)


def _key(graph: AreaGraph, name: str) -> str:
    if name.startswith(READOUT):
        return next(readout.identifier for readout in graph.readouts if READOUT + readout.name == name)
    return IMAGE if name == IMAGE else graph.area(name).identifier


def _add_arrows(canvas: Canvas, graph: AreaGraph, curves: Mapping[str, Curve], scale: Scale | None) -> None:
    connections = {connection.identifier: connection for connection in graph.connections}
    all_arrows = arrows(graph)
    thin = max(0.6, min(1.0, (MANY_ARROWS / len(all_arrows)) ** 0.5)) if all_arrows else 1.0
    for arrow in all_arrows:
        connection = connections.get(arrow.key)
        style, kind = KINDS[arrow.kind], arrow.kind
        style = replace(style, width=style.width * thin, head_size=style.head_size * thin)
        if scale is not None and connection is not None:
            style = scale.style(connection, style)
        if connection is not None:
            modulating, inhibitory = connection.role == "modulate", is_inhibitory(connection)
            style = with_role(style, modulating=modulating, inhibitory=inhibitory)
            kind += " modulating" * modulating + " inhibitory" * inhibitory + f" connection-{arrow.key}"
        canvas.line(
            arrow.key + "-arrow", _key(graph, arrow.tail), _key(graph, arrow.head), curves[arrow.key], style, kind=kind
        )


def _add_boxes(canvas: Canvas, graph: AreaGraph, layout: Layout, brief: bool) -> None:
    image = _label([("image", NAME_SIZE, False), (shape_text(graph.image_shape), SHAPE_SIZE, False)])
    canvas.box(IMAGE, layout.boxes[IMAGE], image, ENDS, kind="image")
    framed: set[str] = set()
    identifiers = Namespace(frozenset())
    for region in regions_of(graph, layout):
        with canvas.frame(identifiers.identifier(f"region_{region.name}"), region.box, region.name):
            for name in region.areas:
                _add_area(canvas, graph.area(name), layout, brief)
        framed.update(region.areas)
    for area in graph.areas:
        if area.name not in framed:
            _add_area(canvas, area, layout, brief)
    for readout in graph.readouts:
        name = "readout" if len(graph.readouts) == 1 else elide(readout.name, NAME_SIZE, 70)
        words = [(name, NAME_SIZE, False), (f"{readout.classes} classes", SHAPE_SIZE, False)]
        box, kind = layout.boxes[READOUT + readout.name], f"readout readout-{readout.identifier}"
        canvas.box(readout.identifier, box, _label(words), ENDS, kind=kind, shape="oval")


def _add_area(canvas: Canvas, area: Area, layout: Layout, brief: bool) -> None:
    key, names, shape = area.identifier, wrapped(area.name), shape_text(area.shape)
    if brief:
        label = _label([("\n".join(names), NAME_SIZE, True), (shape, BODY_SIZE, False)], beside=True)
    else:
        lines = [(line, NAME_SIZE, True) for line in names]
        label = _label([*lines, (shape, SHAPE_SIZE, False), (words_of(area), BODY_SIZE, False)])
    kind = f"area area-{key}"
    canvas.box(key, layout.boxes[area.name], label, AREA, kind=kind, style="filled,rounded")


def _label(parts: list[tuple[str, float, bool]], *, beside: bool = False) -> str:
    """An HTML-like label of several parts, one below or beside the other; small parts are muted."""
    cells = ""
    for text, size, bold in parts:
        lines = "<BR/>".join(html_text(line) for line in text.split("\n"))
        inner = f"<B>{lines}</B>" if bold else lines
        color = MUTED if size == BODY_SIZE else INK
        cell = f'<TD><FONT POINT-SIZE="{size:g}" COLOR="{color}">{inner}</FONT></TD>' * bool(text)
        cells += cell if beside or not cell else f"<TR>{cell}</TR>"
    rows = f"<TR>{cells}</TR>" if beside else cells
    return f'<<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'


def _add_frame(
    canvas: Canvas,
    graph: AreaGraph,
    layout: Layout,
    curves: list[Curve],
    title: str,
    summary: str,
    scale: Scale | None,
) -> None:
    """Title above, legend below."""
    points = [tuple(point) for curve in curves for point in curve.samples(8).tolist()]
    boxes = [*layout.boxes.values(), *(region.box for region in regions_of(graph, layout))]
    points += [box.at(*corner) for box in boxes for corner in ((-1, -1), (1, 1))]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    bottom, top = min(y for _, y in points), max(y for _, y in points)
    width = max(right - left, 190.0)
    left = (left + right - width) / 2
    add_title(canvas, title, summary, left, top + 10, width)
    kinds = {connection.kind for connection in graph.connections}
    entries = [Entry(kind, KINDS[kind]) for kind in ("feedforward", "lateral", "feedback") if kind in kinds]
    modulating = any(connection.role == "modulate" for connection in graph.connections)
    inhibitory = any(is_inhibitory(connection) for connection in graph.connections)
    entries += [Entry(*sample) for sample in role_samples(modulating=modulating, inhibitory=inhibitory)]
    if any(connection.delay for connection in graph.connections):
        entries.append(Entry("delay", DELAY, "+1"))
    entries += [Entry(key, style) for key, style in (scale.lines(graph.connections) if scale else ())]
    add_legend(canvas, entries, left, bottom - 18, width)


def is_dense(network: NetworkSpec | AreaGraph) -> bool:
    """Whether arrows are so many that a matrix is easier to read."""
    return len(network.connections) > max(MANY_ARROWS, DENSE * len(network.areas))


@dataclass(frozen=True)
class Region:
    """A frame with its areas; a region whose areas stand apart has several."""

    name: str
    part: int
    areas: tuple[str, ...]
    box: Box


def regions_of(graph: AreaGraph, layout: Layout) -> list[Region]:
    """One frame for each region, or one for each of its rows if another area would stand inside the frame."""
    members: dict[str, list[str]] = {}
    for area in graph.areas:
        if area.region:
            members.setdefault(area.region, []).append(area.name)
    frames = {name: _frame(layout, areas) for name, areas in members.items()}
    regions: list[Region] = []
    for name, areas in members.items():
        others = [box for other, box in layout.boxes.items() if other not in areas]
        others += [frame for other, frame in frames.items() if other != name]
        parts = [areas] if not any(frames[name].overlap(box) > 0 for box in others) else [*_rows(layout, areas)]
        regions += [Region(name, n, tuple(part), _frame(layout, part)) for n, part in enumerate(parts)]
    return regions


def _rows(layout: Layout, areas: Sequence[str]) -> Iterator[list[str]]:
    for row in layout.rows:
        if part := [name for name in row if name in areas]:
            yield part


def _frame(layout: Layout, areas: Sequence[str]) -> Box:
    corners = [layout.boxes[name].at(side, side) for name in areas for side in (-1, 1)]
    left, right = min(x for x, _ in corners) - BESIDE, max(x for x, _ in corners) + BESIDE
    bottom, top = min(y for _, y in corners) - BELOW, max(y for _, y in corners) + ABOVE
    return Box((left + right) / 2, (bottom + top) / 2, right - left, top - bottom)
