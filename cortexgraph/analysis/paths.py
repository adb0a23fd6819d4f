"""How many steps lie between an update and the readouts that depend on it."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["Paths", "steps_to_readouts"]

Paths = dict[str, tuple[int, int]]
"""For each readout, by name, the steps of the shortest and of the longest path to it."""


def steps_to_readouts(graph: UnrolledGraph) -> tuple[dict[str, Paths], dict[str, Paths]]:
    """Shortest and longest path to each readout, of every area and of every connection.

    A path starts at a live state: for an area, at one of its own; for a connection, at one that it reads. Its
    length is the number of steps from that state to a readout that depends on it, 0 if they are of one step. The
    longest path that T steps have room for counts; an area or connection that no readout depends on has none.

    Returns:
        The paths by name of the area, and by identifier of the connection.
    """
    areas: dict[str, Paths] = {}
    connections: dict[str, Paths] = {}
    for readout in dict.fromkeys(node.name for node in graph.readouts):
        nearest, farthest = _read_at(graph, readout)
        for node, last in farthest.items():
            if node.kind == "update":
                _extend(areas.setdefault(node.name, {}), readout, nearest[node] - node.step, last - node.step)
                for identifier, step in _reads(graph, node):
                    _extend(connections.setdefault(identifier, {}), readout, nearest[node] - step, last - step)
    return areas, connections


def _read_at(graph: UnrolledGraph, readout: str) -> tuple[dict[Node, int], dict[Node, int]]:
    """For each live node that a readout of this name depends on, the first and the last step of such a readout."""
    nearest: dict[Node, int] = {}
    farthest: dict[Node, int] = {}
    for node in reversed([*graph]):  # inserted in the order of execution
        if not graph.live(node):
            continue
        if node.kind == "readout" and node.name == readout:
            nearest[node] = farthest[node] = node.step
            continue
        after = [head for head in graph.successors(node) if head in nearest]
        if after:
            nearest[node], farthest[node] = min(nearest[h] for h in after), max(farthest[h] for h in after)
    return nearest, farthest


def _reads(graph: UnrolledGraph, node: Node) -> Iterator[tuple[str, int]]:
    """The connections that an update reads, with the step of what is read."""
    for connection, source in graph.terms(node):
        if source.kind != "zero":
            yield connection.identifier, source.step


def _extend(paths: Paths, readout: str, shortest: int, longest: int) -> None:
    known = paths.get(readout, (shortest, longest))
    paths[readout] = min(known[0], shortest), max(known[1], longest)
