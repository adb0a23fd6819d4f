"""How many steps lie between an update and the readouts that depend on it."""

from __future__ import annotations

from cortexgraph.unrolling import Node, UnrolledGraph

Paths = dict[str, tuple[int, int]]
"""For each readout, by name, the steps of the shortest and of the longest path to it."""


def steps_to_readouts(graph: UnrolledGraph) -> tuple[dict[str, Paths], dict[str, Paths]]:
    """Shortest and longest path to each readout, of every area and of every connection.

    A path starts at a live state: for an area, at one of its own; for a connection, at one that it reads. Its
    length is the number of steps from that state to a readout that depends on it, 0 if they are of one step. The
    longest path that T steps have room for counts; an area or connection that no readout depends on has no path.

    Returns:
        The paths by name of the area, and by identifier of the connection.
    """
    areas: dict[str, Paths] = {}
    connections: dict[str, Paths] = {}
    for readout in dict.fromkeys(node.name for node in graph.readouts):
        nearest: dict[Node, int] = {}  # first and last step of a readout that depends on the node
        farthest: dict[Node, int] = {}
        for node in reversed([*filter(graph.live, graph)]):  # inserted in the order of execution
            after = [head for head in graph.successors(node) if head in nearest]
            if node.kind == "readout" and node.name == readout:
                nearest[node] = farthest[node] = node.step
            elif after:
                nearest[node], farthest[node] = min(nearest[h] for h in after), max(farthest[h] for h in after)
        for node, last in farthest.items():
            if node.kind == "update":
                _extend(areas.setdefault(node.name, {}), readout, nearest[node] - node.step, last - node.step)
                for connection, source in graph.terms(node):
                    if source.kind != "zero":
                        paths, step = connections.setdefault(connection.identifier, {}), source.step
                        _extend(paths, readout, nearest[node] - step, last - step)
    return areas, connections


def _extend(paths: Paths, readout: str, shortest: int, longest: int) -> None:
    known = paths.get(readout, (shortest, longest))
    paths[readout] = min(known[0], shortest), max(known[1], longest)
