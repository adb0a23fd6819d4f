"""From an area graph to its unrolled graph: section 3 of the design, as edges."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling.model import Node, UnrolledGraph
from cortexgraph.unrolling.schedule import Groups, Order, groups_of

__all__ = ["add_sink", "unroll_graph"]


def unroll_graph(areas: AreaGraph, steps: int | None = None, order: Order | None = None) -> UnrolledGraph:
    """Unroll an area graph over time.

    Args:
        areas: the graph to unroll.
        steps: number of steps T; the spec's by default.
        order: `simultaneous`, `sequential` or explicit groups; the spec's by default.

    Returns:
        The graph with every update, silent ones included, and the readouts that the spec asks for. With
        ``at: all`` these are the steps at whose end the area is live.
    """
    steps = areas.spec.time.steps if steps is None else steps
    order = areas.spec.time.order if order is None else order
    groups = groups_of(areas, order)
    graph = UnrolledGraph(name=areas.spec.name, areas=areas, steps=steps, order=order, groups=groups, ordinals={})
    _add_frames(graph)
    _add_updates(graph)
    _add_readouts(graph)
    return graph


def _add_frames(graph: UnrolledGraph) -> None:
    present = graph.areas.spec.input.present
    for step in range(1, graph.steps + 1):
        shown = present == "always" or (step == 1 if present == "first" else step in present)
        graph.add_node(Node("image", IMAGE, step), live=shown)


def _positions(groups: Groups) -> dict[str, list[int]]:
    """For each area the indices of its groups, rising."""
    found: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        for name in group:
            found.setdefault(name, []).append(index)
    return found


def _read(connection: Connection, step: int, group: int, positions: Mapping[str, list[int]]) -> Node | None:
    """The value that a connection reads: its source as it stood just before this group of step − delay.

    None where that lies before step 1.
    """
    step -= connection.delay
    if connection.source == IMAGE:
        return Node("image", IMAGE, step) if step >= 1 else None
    updated = positions.get(connection.source, [])
    if not updated:
        return None
    before = bisect_left(updated, group)
    if before == 0:
        step -= 1
    return Node("update", connection.source, step, updated[before - 1]) if step >= 1 else None


def _add_updates(graph: UnrolledGraph) -> None:
    positions = _positions(graph.groups)
    incoming = {area.name: graph.areas.incoming(area.name) for area in graph.areas.areas}
    ordinals = graph.ordinals
    ordinals |= dict.fromkeys(incoming, 0)
    for node in _updates(graph.groups, graph.steps):
        reads: dict[Node, tuple[Connection, ...]] = {}
        for connection in incoming[node.name]:
            source = _read(connection, node.step, node.group, positions)
            if source is not None:
                reads[source] = (*reads.get(source, ()), connection)
        live = any(graph.nodes[source]["live"] for source in reads)
        ordinals[node.name] += live
        graph.add_node(node, live=live, ordinal=ordinals[node.name] if live else 0)
        graph.add_edges_from((source, node, {"connections": read}) for source, read in reads.items())


def _updates(groups: Groups, steps: int) -> Iterator[Node]:
    for step in range(1, steps + 1):
        for index, group in enumerate(groups):
            for name in group:
                yield Node("update", name, step, index)


def _add_readouts(graph: UnrolledGraph) -> None:
    readout = graph.areas.readout
    if not graph.areas.is_area(readout.source):
        return
    steps: tuple[int, ...]
    match readout.at:
        case "all":
            steps = graph.live_steps(readout.source)
        case "last":
            steps = (graph.steps,)
        case listed:
            steps = tuple(int(step) for step in listed)
    for step in steps:
        add_sink(graph, Node("readout", readout.source, step))


def add_sink(graph: UnrolledGraph, node: Node) -> None:
    """Add a readout or record of an area's state at the end of a step (silent where there is none)."""
    state = graph.state(node.name, node.step)
    graph.add_node(node, live=state is not None and graph.live(state))
    if state is not None:
        graph.add_edge(state, node, connections=())
