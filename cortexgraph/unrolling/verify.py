"""Whether an unrolled graph is legal: run between the stages of compilation."""

from __future__ import annotations

from cortexgraph.unrolling.model import Node, UnrolledGraph

__all__ = ["verify"]


def verify(graph: UnrolledGraph) -> UnrolledGraph:
    """The graph itself, if it is legal.

    Raises:
        AssertionError: if it has an edge against the order of execution (so that a cycle is impossible), an edge
            whose connections do not join its ends, or, where silence is skipped, a live update that reads nothing
            live. Each would be a fault of cortexgraph.
    """
    position = {node: -1 if node.kind == "zero" else n for n, node in enumerate(graph)}
    for source, target, data in graph.edges(data=True):
        assert position[source] < position[target], f"{source} is read by {target} before it is computed"
        for connection in data["connections"]:
            start = connection.identifier if source.kind == "drive" else connection.source
            end = connection.identifier if target.kind == "drive" else connection.target
            assert (start, end) == (source.name, target.name), f"{connection.label} does not join {source} and {target}"
    silences = {connection.silence for connection in graph.areas.connections} | {graph.areas.silence}
    for node in graph.live_updates() if silences == {"skip"} else ():
        assert _reads_something_live(graph, node), f"{node} is live but reads nothing live"
    return graph


def _reads_something_live(graph: UnrolledGraph, node: Node) -> bool:
    return any(graph.live(source) for source in graph.predecessors(node))
