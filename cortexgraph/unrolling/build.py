"""From an area graph to its unrolled graph: section 3 of the design, as edges."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from cortexgraph.graph import Area, AreaGraph, Connection
from cortexgraph.spec import IMAGE, Span
from cortexgraph.unrolling.model import Node, UnrolledGraph
from cortexgraph.unrolling.schedule import Groups, Order, groups_of

__all__ = ["add_sink", "count_sets", "parameter_counts", "unroll_graph"]


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
    graph = _updates_of(areas, steps, order)
    _add_readouts(graph)
    return graph


def _updates_of(areas: AreaGraph, steps: int | None = None, order: Order | None = None) -> UnrolledGraph:
    """The unrolled graph without its readouts."""
    steps = areas.spec.time.steps if steps is None else steps
    order = areas.spec.time.order if order is None else order
    groups = groups_of(areas, order)
    graph = UnrolledGraph(name=areas.spec.name, areas=areas, steps=steps, order=order, groups=groups, ordinals={})
    _add_frames(graph)
    _add_updates(graph)
    graph.graph["sets"] = count_sets(graph)
    return graph


def count_sets(graph: UnrolledGraph) -> dict[str, int]:
    """Number of per-step parameter sets of each area and connection; see `UnrolledGraph.sets`."""
    found = {area.identifier: max(1, graph.ordinals[area.name]) for area in graph.areas.areas}
    for connection in graph.areas.connections:
        for identifier in {connection.identifier, connection.owner or connection.identifier}:
            found[identifier] = max(1, graph.ordinals[connection.target], found.get(identifier, 0))
    return found


def parameter_counts(areas: AreaGraph) -> dict[str, int]:
    """Learned numbers of each area and connection, by identifier; per-step operations have a set for each live update.

    The graph is unrolled only where an operation is per step, and readouts of silent areas are no hindrance.
    """
    parts: list[Area | Connection] = [*areas.areas, *areas.connections]
    counts = {part.identifier: part.parameters() for part in parts}
    if all(part.parameters(2) == counts[part.identifier] for part in parts):
        return counts
    sets = _updates_of(areas).sets
    return {part.identifier: part.parameters(sets[part.identifier]) for part in parts}


def _add_frames(graph: UnrolledGraph) -> None:
    present = graph.areas.spec.input.present
    for step in range(1, graph.steps + 1):
        graph.add_node(Node("image", IMAGE, step), live=_shown(present, step))


def _shown(present: str | tuple[int, ...] | Span, step: int) -> bool:
    match present:
        case "always":
            return True
        case "first":
            return step == 1
        case Span(first=first, last=last):
            return first <= step and (last is None or step <= last)
    return step in present


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
    latest: dict[str, Node] = {}
    fired: set[str] = set()
    graph.ordinals.update(dict.fromkeys(incoming, 0))
    for group in _groups(graph):
        added = [_add_update(graph, node, incoming[node.name], positions, latest, fired) for node in group]
        latest |= {node.name: node for node in added}


def _add_update(
    graph: UnrolledGraph,
    node: Node,
    incoming: tuple[Connection, ...],
    positions: Mapping[str, list[int]],
    latest: Mapping[str, Node],
    fired: set[str],
) -> Node:
    """Add one update, with an edge for each active connection; `fired` holds those of `first` that were live."""
    reads: dict[Node, tuple[Connection, ...]] = {}
    driven = False
    for connection in incoming:
        if not connection.active_at(node.step) or connection.identifier in fired:
            continue
        source, counts = _source(graph, connection, node, positions)
        if source is not None:
            reads[source] = (*reads.get(source, ()), connection)
        if counts:
            driven |= connection.role == "drive"
            fired |= {connection.identifier} if connection.active == "first" else set()
    before = latest.get(node.name) if graph.areas.area(node.name).cell.has_memory else None
    if before is not None and not graph.live(before):
        before = None
    live = driven or before is not None or graph.areas.silence != "skip"
    graph.ordinals[node.name] += live
    graph.add_node(node, live=live, ordinal=graph.ordinals[node.name] if live else 0)
    for source, connections in reads.items():
        if driven or any(connection.role == "drive" for connection in connections):  # nothing to gate otherwise
            graph.add_edge(source, node, connections=connections, memory=False)
    if before is not None:
        graph.add_edge(before, node, connections=reads.get(before, ()), memory=True)
    return node


def _source(
    graph: UnrolledGraph, connection: Connection, node: Node, positions: Mapping[str, list[int]]
) -> tuple[Node | None, bool]:
    """What a connection reads, and whether it counts as a drive: a silent source may stand for zeros."""
    source = _read(connection, node.step, node.group, positions)
    if source is not None and graph.nodes[source]["live"]:
        return source, True
    if connection.silence == "zero_input":
        zero = Node("zero", connection.source, 0)
        graph.add_node(zero, live=True)
        return zero, True
    return (None, True) if connection.silence == "zero_drive" else (source, False)


def _groups(graph: UnrolledGraph) -> Iterator[list[Node]]:
    for step in range(1, graph.steps + 1):
        for index, group in enumerate(graph.groups):
            yield [Node("update", name, step, index) for name in group]


def _add_readouts(graph: UnrolledGraph) -> None:
    for readout in graph.areas.readouts:
        if not graph.areas.is_area(readout.source):
            continue
        steps: tuple[int, ...]
        match readout.at:
            case "all":
                steps = graph.live_steps(readout.source)
            case "last":
                steps = (graph.steps,)
            case listed:
                steps = tuple(int(step) for step in listed)
        for step in steps:
            add_sink(graph, Node("readout", readout.name, step), readout.source)


def add_sink(graph: UnrolledGraph, node: Node, area: str) -> None:
    """Add a readout or record of an area's state at the end of a step (silent where there is none)."""
    state = graph.state(area, node.step)
    graph.add_node(node, live=state is not None and graph.live(state))
    if state is not None:
        graph.add_edge(state, node, connections=(), memory=False)
