"""Drawing an unrolled graph: what is computed at each step, from what, and what need not be."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterator
from itertools import product

from cortexgraph.passes import statuses
from cortexgraph.render.canvas import Canvas, plain
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.grid import NAME_SIZE, ROW, Grid
from cortexgraph.render.legend import Entry, add_legend, add_title
from cortexgraph.render.style import INK, KINDS, MUTED, STATES, BoxStyle, LineStyle, faded, gating
from cortexgraph.render.text import elide
from cortexgraph.render.update_routes import routes
from cortexgraph.unrolling import Node, UnrolledGraph, order_name

__all__ = ["draw_updates", "node_key"]

SHAPES = {"update": "rounded", "image": "", "readout": "rounded", "record": ""}
RECORD = BoxStyle("recorded", "#FFFFFF", "#CC79A7", INK, width=0.8)
TINTS = ("#F5F5F5", "#FFFFFF")


def draw_updates(full: UnrolledGraph, kept: UnrolledGraph | None = None, *, title: str | None = None) -> Drawing:
    """Draw an unrolled graph: steps from left to right, areas from bottom to top.

    Args:
        full: the graph before passes.
        kept: the graph after passes; what it lacks is greyed. By default every live update counts as executed.
        title: heading; the network's name by default.

    Returns:
        The drawing; `docs/drawing.md` lists the ids and classes in its SVG.
    """
    full = _drawn(full)
    grid, canvas = Grid(full), Canvas(full.name, "updates")
    status: dict[Node, str] = {node: found.word for node, found in statuses(full, kept).items()}
    nodes = defaultdict[int, list[Node]](list)
    for node in full:
        nodes[node.step].append(node)
    for step in range(1, full.steps + 1):
        with canvas.band(f"step-{step}", grid.band(step), f"step {step}", TINTS[(step + 1) % 2]):
            for node in nodes[step]:
                _add_node(canvas, grid, node, status[node])
    for tail, head, curve in routes(grid):
        executed = status[head] == "executed" and status[tail] in {"executed", "shared"}
        kind = _edge_kind(full, tail, head)
        style = KINDS[kind] if executed else faded(KINDS[kind])
        if executed and any(connection.role == "modulate" for connection in full.edges[tail, head]["connections"]):
            style = gating(style)
        keys = node_key(full, tail), node_key(full, head)
        words = [kind, "executed" if executed else "idle"]
        words += [f"connection-{connection.identifier}" for connection in full.edges[tail, head]["connections"]]
        canvas.line("->".join(keys), *keys, curve, style, kind=" ".join(words))
    _add_row_names(canvas, grid, status)
    _add_frame(canvas, grid, status, title)
    return Drawing(canvas.source)


def _drawn(full: UnrolledGraph) -> UnrolledGraph:
    """The graph without states of zeros, which would only crowd the drawing, and without evaluations as nodes.

    What reads an evaluation (`drive`) reads, in the drawing, the value that was evaluated.
    """
    shown: UnrolledGraph = full.copy()
    for drive in [node for node in full if node.kind == "drive"]:
        for source, target in product(full.predecessors(drive), full.successors(drive)):
            connections = full.edges[drive, target]["connections"]
            if connections and full.edges[source, drive]["connections"]:
                known = shown.edges[source, target] if shown.has_edge(source, target) else {"connections": ()}
                merged = {"memory": False} | known | {"connections": (*known["connections"], *connections)}
                shown.add_edge(source, target, **merged)
    shown.remove_nodes_from([node for node in full if node.kind in {"zero", "drive"}])
    return shown


def node_key(graph: UnrolledGraph, node: Node) -> str:
    """The node's id in DOT and SVG: `V1@3.0` (step, group), `image@3`, `readout@3`, `record-V1@3`."""
    match node.kind:
        case "update":
            return f"{graph.areas.area(node.name).identifier}@{node.step}.{node.group}"
        case "record":
            return f"record-{graph.areas.area(node.name).identifier}@{node.step}"
        case "readout":
            identifier = next(r.identifier for r in graph.areas.readouts if r.name == node.name)
            return f"{identifier}@{node.step}"
    return f"{node.kind}@{node.step}"


def _place_words(graph: UnrolledGraph, node: Node) -> str:
    """Classes that say where a node stands: `area-V1 step-3 group-0`, `step-3`, `readout-IT step-8`."""
    words = [f"step-{node.step}"]
    match node.kind:
        case "update":
            words = [f"area-{graph.areas.area(node.name).identifier}", *words, f"group-{node.group}"]
        case "record":
            words = [f"area-{graph.areas.area(node.name).identifier}", *words]
        case "readout":
            words = [f"readout-{node_key(graph, node).partition('@')[0]}", *words]
    return " ".join(words)


def _edge_kind(full: UnrolledGraph, tail: Node, head: Node) -> str:
    edge = full.edges[tail, head]
    if edge["connections"]:
        return str(edge["connections"][0].kind)
    return "memory" if edge["memory"] else "readout"


def _add_node(canvas: Canvas, grid: Grid, node: Node, status: str) -> None:
    key, box = node_key(grid.graph, node), grid.box(node)
    classes = f"{node.kind} {status} {_place_words(grid.graph, node)}"
    if node.kind == "record":
        canvas.box(key, box, "", RECORD, kind=classes, shape="circle")
        return
    name = "readout" if node.kind == "readout" and len(grid.graph.areas.readouts) == 1 else node.name
    size = NAME_SIZE if node.kind == "update" else 8.5
    name = f"= {name}" if status == "shared" else name
    label = "⊥" if status == "silent" else elide(name, size, box.width - 4)
    look = STATES[status]
    style = ",".join(part for part in ("filled", look.dash, SHAPES[node.kind]) if part)
    shape = "oval" if node.kind == "readout" else "box"
    canvas.box(key, box, plain(label), look, kind=classes, size=size, style=style, shape=shape)


def _add_row_names(canvas: Canvas, grid: Grid, status: dict[Node, str]) -> None:
    """At the left, the names of rows whose boxes do not say them: too long, or silent throughout."""
    spoken = {node.name for node, state in status.items() if node.kind in {"image", "update"} and state != "silent"}
    for name, row in grid.rows.items():
        if name not in spoken or elide(name, NAME_SIZE, grid.width - 4) != name:
            x, lines = grid.band(1).at(-1, 0)[0] - 6, textwrap.wrap(name, 16)
            for n, line in enumerate(lines):
                at = (x, row * ROW + ((len(lines) - 1) / 2 - n) * 10)
                canvas.text(f"row-{row}-{n}", at, line, 8.5, color=MUTED, align="right")


def _add_frame(canvas: Canvas, grid: Grid, status: dict[Node, str], title: str | None) -> None:
    """Title above, legend below."""
    full, first, last = grid.graph, grid.band(1), grid.band(grid.graph.steps)
    left, top = first.at(-1, 1)
    width = max(last.at(1, 0)[0] - left, 260.0)
    add_title(canvas, title or full.name, _summary(full, status), left, top + 4, width)
    add_legend(canvas, [*_entries(full, status)], left, first.at(0, -1)[1] - 16, width)


def _summary(full: UnrolledGraph, status: dict[Node, str]) -> str:
    updates = [status[node] for node in full.updates()]
    steps = f"{full.steps} step{'s' * (full.steps > 1)}"
    return f"{steps}, {updates.count('executed')} of {len(updates)} updates executed; order: {order_name(full.order)}"


def _entries(full: UnrolledGraph, status: dict[Node, str]) -> Iterator[Entry]:
    """Legend entries for what occurs in the drawing."""
    kinds = {_edge_kind(full, tail, head) for tail, head in full.edges}
    yield from (Entry(kind, KINDS[kind]) for kind in ("feedforward", "lateral", "feedback", "memory") if kind in kinds)
    if any(c.role == "modulate" for _, _, data in full.edges(data=True) for c in data["connections"]):
        yield Entry("modulating", gating(LineStyle("", INK, width=1.0)))
    found = set(status.values())
    marks = {"silent": "⊥", "shared": "="}
    yield from (Entry(state, STATES[state], marks.get(state, "")) for state in STATES if state in found)
    if full.records:
        yield Entry("record", RECORD, round=True)
