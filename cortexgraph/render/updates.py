"""Drawing an unrolled graph: the updates of each step, their inputs, and the updates that are left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import replace

from cortexgraph.render.canvas import PAD, PAGE, ROOM, Canvas, Entry, add_legend, add_title, fitted, line_entries, plain
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.scene import BESIDE_SIZE, Fold, Read, Scene, scene_of
from cortexgraph.render.style import (
    INK,
    KINDS,
    MUTED,
    RESIDUAL,
    STATES,
    BoxStyle,
    LineStyle,
    elide,
    text_width,
    with_role,
)
from cortexgraph.render.update_layout import NAME_SIZE, SMALL_SIZE, routes
from cortexgraph.unrolling import Node, UnrolledGraph, order_name
from cortexgraph.wording import count_of

SHAPES = {"update": "rounded", "image": "", "readout": "rounded"}
RECORD = BoxStyle("recorded", "#FFFFFF", "#CC79A7", INK, width=0.8)
FOLDED = BoxStyle("steps that are alike", INK, "#FFFFFF", INK)
RESPONSE = LineStyle("carries the first response", INK, width=2.8, head_size=0.75)
TINTS = ("#F5F5F5", "#FFFFFF")
HEADING_SIZE = 7.0


def draw_updates(
    full: UnrolledGraph,
    kept: UnrolledGraph | None = None,
    *,
    only: Collection[Node] | None = None,
    subject: str = "",
    fold: Fold = "auto",
    width: float | None = None,
) -> Drawing:
    """Draw an unrolled graph before passes: steps from left to right, areas from bottom to top.

    What `kept`, the graph after passes, lacks is greyed; without it every live update counts as executed. Where arrows
    are many, they are thinner, and those from silent states are left out. `only` are the nodes to draw, and `subject`
    is what these are, for the heading. Steps that look alike are drawn once as `fold` says, and stand in several lines
    where a printed width in points asks for it. `docs/drawing.md` lists the ids and classes in the SVG.

    Raises CompileError if a step is too wide for text that can be read.
    """
    return fitted(lambda points: _laid_out(full, kept, only, subject, fold, points), width)


def _laid_out(
    full: UnrolledGraph,
    kept: UnrolledGraph | None,
    only: Collection[Node] | None,
    subject: str,
    fold: Fold,
    width: float | None,
) -> Canvas:
    """The drawing for a width; what would be taller than a page is folded where it can be."""
    room = None if width is None else width * ROOM - 2 * PAD
    scene = scene_of(full, kept, only, fold, room=room)
    canvas = _painted(scene, subject)
    if width is not None and fold == "auto" and canvas.height * min(1.0, width / canvas.width) > PAGE:
        folded = _painted(scene_of(full, kept, only, "always", room=room), subject)
        canvas = folded if folded.height < canvas.height else canvas
    return canvas


def _painted(scene: Scene, subject: str) -> Canvas:
    canvas = Canvas(scene.full.name, "updates")
    nodes = defaultdict[int, list[Node]](list)
    for node in scene.shown:
        nodes[node.step].append(node)
    grid = scene.grid
    for column, span in enumerate(scene.columns, start=1):
        for part, (line, band) in enumerate(grid.bands(column)):
            key, label = f"step-{span.key}" + f"-{part + 1}" * (part > 0), f"step{'s' * span.folded} {span}"
            with canvas.band(key, band, label + ", continued" * (part > 0), TINTS[(column + 1) % 2]):
                for node in nodes[column]:
                    if grid.line(grid.place(node)) == line:
                        _add_node(canvas, scene, node)
    for tail, head, curve, arrives in routes(grid):
        read = scene.reads[tail, head]
        if scene.thin < 1 and scene.status_of(tail) == "silent":
            continue
        keys, style = (_key(scene, tail), _key(scene, head)), _style(read, scene.thin)
        style = style if arrives else replace(style, head="none", head_size=0.0)
        canvas.line("->".join(keys) + "-start" * (not arrives), *keys, curve, style, kind=_classes(read))
    _add_row_names(canvas, scene)
    _add_frame(canvas, scene, subject)
    return canvas


# ---- nodes and arrows --------------------------------------------------------


def node_key(graph: UnrolledGraph, node: Node, step: str = "") -> str:
    """The node's id in DOT and SVG: `V1@3.0` (step, group), `image@3`, `readout@3`, `record-V1@3`."""
    step = step or str(node.step)
    match node.kind:
        case "update":
            return f"{graph.areas.area(node.name).identifier}@{step}.{node.group}"
        case "record":
            return f"record-{graph.areas.area(node.name).identifier}@{step}"
        case "readout":
            identifier = next(r.identifier for r in graph.areas.readouts if r.name == node.name)
            return f"{identifier}@{step}"
        case "image":
            identifier = next(each.identifier for each in graph.areas.inputs if each.name == node.name)
            return f"{identifier}@{step}"
    return f"{node.kind}@{step}"


def _key(scene: Scene, node: Node) -> str:
    """The id of what is drawn; in a folded column with its steps: `V1@7-994.0`."""
    return node_key(scene.full, node, scene.span(node).key)


def _add_node(canvas: Canvas, scene: Scene, node: Node) -> None:
    status, span, response = scene.status_of(node), scene.span(node), node in scene.response
    key, box = _key(scene, node), scene.grid.box(node)
    of_area = f"area-{scene.full.areas.area(node.name).identifier}" if node.kind in {"update", "record"} else ""
    of_readout = f"readout-{key.partition('@')[0]}" if node.kind == "readout" else ""
    group = f"group-{node.group}" if node.kind == "update" else ""
    words = [node.kind, status, of_area, of_readout, f"step-{span.key}", group]
    classes = " ".join(filter(None, [*words, "folded" * span.folded, "response" * response]))
    if node.kind == "record":
        canvas.box(key, box, "", RECORD, kind=classes, shape="circle")
        return
    size, look = NAME_SIZE if node.kind == "update" else SMALL_SIZE, STATES[status]
    look = replace(look, width=2.4 * look.width) if response else look
    style = ",".join(part for part in ("filled", look.dash, SHAPES[node.kind]) if part)
    shape = "oval" if node.kind == "readout" else "box"
    label = plain(_label(scene, node, status, size, box.width - 4))
    canvas.box(key, box, label, look, kind=classes, size=size, style=style, shape=shape)
    if node.kind == "update" and node.name in scene.residual and status != "silent":
        canvas.residual(key, box)


def _label(scene: Scene, node: Node, status: str, size: float, width: float) -> str:
    if status == "silent":
        return "⊥"
    if scene.span(node).folded:
        return "⋯"
    name = "readout" if node.kind == "readout" and len(scene.full.areas.readouts) == 1 else node.name
    return elide(f"= {name}" if status in {"held", "shared"} else name, size, width)


def _style(read: Read, thin: float) -> LineStyle:
    """The line of an arrow: thin where there are many, almost without colour where it is not evaluated."""
    style = KINDS[read.kind]
    if read.executed:
        style = with_role(style, modulating=read.modulating, inhibitory=read.inhibitory)
    else:
        style = replace(style, color="#00000022", width=0.7, head_size=0.45, fill="#DCDCDC")
    style = replace(style, width=style.width * thin, head_size=style.head_size * thin)
    return replace(style, width=2.1 * style.width, head_size=style.head_size + 0.15) if read.response else style


def _classes(read: Read) -> str:
    words = [read.kind, "executed" if read.executed else "idle", *["inhibitory"] * read.inhibitory]
    words += [f"connection-{identifier}" for identifier in read.connections]
    return " ".join([*words, *["response"] * read.response])


# ---- frame -------------------------------------------------------------------


def _add_row_names(canvas: Canvas, scene: Scene) -> None:
    grid = scene.grid
    for number in range(len(grid.starts)):
        y, again = grid.offset(number)[1], f"-line-{number + 1}" * (number > 0)
        for name, lines in scene.beside.items():
            for n, line in enumerate(lines):
                row = grid.rows[name]
                at = (-grid.border - 6, y + row * grid.row + ((len(lines) - 1) / 2 - n) * 10)
                canvas.text(f"row-{row}-{n}{again}", at, line, BESIDE_SIZE, color=MUTED, align="right")


def _add_frame(canvas: Canvas, scene: Scene, subject: str) -> None:
    """Title above, legend below."""
    grid = scene.grid
    for column, span in enumerate(scene.columns, start=1):
        if span.folded:
            words = f"steady state × {span.repeats}"
            words = words if text_width(words, HEADING_SIZE) < 1.4 * grid.step_pitch else f"× {span.repeats}"
            x, top = next(grid.bands(column))[1].at(0, 1)
            canvas.text(f"repeats-{column}", (x, top - 18), words, HEADING_SIZE, color=MUTED)
    left, top = next(grid.bands(1))[1].at(-1, 1)
    bottom = min(band.at(0, -1)[1] for _, band in grid.bands(len(scene.columns)))
    longest = max(end - start for start, end in map(grid.ends, range(len(grid.starts))))
    width = max(longest, min(260.0, scene.room or 260.0))
    add_title(canvas, scene.full.name, _summary(scene, subject), left, top + 4, width)
    add_legend(canvas, [*_entries(scene)], left, bottom - 16, width)


def _summary(scene: Scene, subject: str) -> str:
    counts = Counter(status for node, status in scene.status.items() if node.kind == "update")
    executed = f", {counts['executed']} executed" * scene.after_passes
    updates = f"{counts.total()} updates, {counts.total() - counts['silent']} live{executed}"
    whole = f"{count_of(scene.full.steps, 'step')}, {updates}; order: {order_name(scene.full.order)}"
    return f"{subject}; of {whole}" if subject else whole


def _entries(scene: Scene) -> Iterator[Entry]:
    """Legend entries for what occurs in the drawing."""
    reads = scene.reads.values()
    yield from line_entries(
        {read.kind for read in reads},
        modulating=any(read.modulating for read in reads),
        inhibitory=any(read.inhibitory for read in reads),
    )
    if any(read.response for read in reads):
        yield Entry("response", RESPONSE)
    states = {scene.status_of(node) for node in scene.shown}
    marks = {"silent": "⊥", "held": "=", "shared": "="}
    looks = STATES if scene.after_passes else STATES | {"executed": replace(STATES["executed"], word="live")}
    yield from (Entry(state, looks[state], marks.get(state, "")) for state in looks if state in states)
    if any(span.folded for span in scene.columns):
        yield Entry("folded", FOLDED, "⋯")
    if scene.residual:
        yield Entry("residual", RESIDUAL, "+", shape="circle", size=9)
    if scene.shown.records:
        yield Entry("record", RECORD, shape="circle")
