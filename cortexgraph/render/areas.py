"""Drawing an area graph: the hierarchy of areas and the kinds of their connections."""

from __future__ import annotations

from cortexgraph.graph import Area, AreaGraph
from cortexgraph.render.area_layout import BODY_SIZE, NAME_SIZE, READOUT, SHAPE_SIZE, Layout, place, words_of, wrapped
from cortexgraph.render.area_routes import arrows, courses
from cortexgraph.render.canvas import Canvas
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.geometry import Curve
from cortexgraph.render.labels import LabelPlacer
from cortexgraph.render.legend import Entry, add_legend, add_title
from cortexgraph.render.style import INK, KINDS, MUTED, BoxStyle, LineStyle, gating
from cortexgraph.render.text import elide, html_text, shape_text, text_width
from cortexgraph.spec import IMAGE
from cortexgraph.wording import count_text

__all__ = ["draw_areas"]

AREA = BoxStyle("area", INK, "#FFFFFF", INK, width=1.1)
ENDS = BoxStyle("image or readout", INK, "#EFEFEF", INK, width=0.8)


def draw_areas(graph: AreaGraph, *, labels: bool = False, title: str | None = None) -> Drawing:
    """Draw areas and connections: low areas at the bottom, one row for each level of the hierarchy.

    Args:
        graph: the network.
        labels: whether arrows carry kernel, stride or resize, and number of parameters; delays are always shown.
        title: heading; the network's name by default.

    Returns:
        The drawing; `docs/drawing.md` lists the ids and classes in its SVG.
    """
    layout = place(graph, gap=68 if labels else 32, column_gap=80 if labels else 40)
    curves = courses(graph, layout, spread=20 if labels else 10)
    canvas = Canvas(graph.name, "areas")
    _add_boxes(canvas, graph, layout)
    placer = LabelPlacer(canvas, [*layout.boxes.values()])
    known = {connection.identifier: connection for connection in graph.connections}
    for arrow in arrows(graph):
        ends = _key(graph, arrow.tail), _key(graph, arrow.head)
        style, kind = KINDS[arrow.kind], arrow.kind
        if arrow.key in known and known[arrow.key].role == "modulate":
            style, kind = gating(style), f"{kind} modulating"
        if arrow.key in known:
            kind += f" connection-{arrow.key}"
        canvas.line(arrow.key + "-arrow", *ends, curves[arrow.key], style, kind=kind)
        if arrow.key in known:
            placer.add(known[arrow.key], curves[arrow.key], labels)
    _add_frame(canvas, graph, layout, [*curves.values()], title)
    return Drawing(canvas.source)


def _key(graph: AreaGraph, name: str) -> str:
    if name.startswith(READOUT):
        return next(readout.identifier for readout in graph.readouts if READOUT + readout.name == name)
    return IMAGE if name == IMAGE else graph.area(name).identifier


def _add_boxes(canvas: Canvas, graph: AreaGraph, layout: Layout) -> None:
    image = _label([("image", NAME_SIZE, False), (shape_text(graph.image_shape), SHAPE_SIZE, False)])
    canvas.box(IMAGE, layout.boxes[IMAGE], image, ENDS, kind="image")
    for area in graph.areas:
        key, box = area.identifier, layout.boxes[area.name]
        canvas.box(key, box, _area_label(area), AREA, kind=f"area area-{key}", style="filled,rounded")
    for readout in graph.readouts:
        name = "readout" if len(graph.readouts) == 1 else elide(readout.name, NAME_SIZE, 70)
        words = [(name, NAME_SIZE, False), (f"{readout.classes} classes", SHAPE_SIZE, False)]
        box = layout.boxes[READOUT + readout.name]
        canvas.box(
            readout.identifier, box, _label(words), ENDS, kind=f"readout readout-{readout.identifier}", shape="oval"
        )


def _area_label(area: Area) -> str:
    lines = [(line, NAME_SIZE, True) for line in wrapped(area.name)]
    lines += [(area.region, BODY_SIZE, False)] if area.region else []
    return _label([*lines, (shape_text(area.shape), SHAPE_SIZE, False), (words_of(area), BODY_SIZE, False)])


def _label(lines: list[tuple[str, float, bool]]) -> str:
    """An HTML-like label; the first lines in full ink, small ones muted."""
    rows = ""
    for text, size, bold in lines:
        inner = f"<B>{html_text(text)}</B>" if bold else html_text(text)
        color = MUTED if size == BODY_SIZE else INK
        rows += f'<TR><TD><FONT POINT-SIZE="{size:g}" COLOR="{color}">{inner}</FONT></TD></TR>' * bool(text)
    return f'<<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'


def _add_frame(canvas: Canvas, graph: AreaGraph, layout: Layout, curves: list[Curve], title: str | None) -> None:
    """Title above, legend below."""
    points = [point for curve in curves for point in curve.samples(8)]
    points += [box.at(*corner) for box in layout.boxes.values() for corner in ((-1, -1), (1, 1))]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    bottom, top = min(y for _, y in points), max(y for _, y in points)
    summary = _summary(graph)
    width = max(right - left, text_width(summary, 8))
    left = (left + right - width) / 2
    add_title(canvas, title or graph.name, summary, left, top + 10, width)
    found = {connection.kind for connection in graph.connections}
    entries = [Entry(kind, KINDS[kind]) for kind in ("feedforward", "lateral", "feedback") if kind in found]
    if any(connection.role == "modulate" for connection in graph.connections):
        entries.append(Entry("modulating", gating(LineStyle("", INK, width=1.0))))
    add_legend(canvas, entries, left, bottom - 18, width)


def _summary(graph: AreaGraph) -> str:
    own = sum(area.parameters() for area in graph.areas) + sum(readout.parameters for readout in graph.readouts)
    total = count_text(own + sum(connection.parameters() for connection in graph.connections))
    areas, connections = len(graph.areas), len(graph.connections)
    return f"{areas} area{'s' * (areas != 1)}, {connections} connection{'s' * (connections != 1)}, {total} parameters"
