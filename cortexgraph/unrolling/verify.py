"""Whether an unrolled graph is legal: run between the stages of compilation."""

from __future__ import annotations

from cortexgraph.unrolling.model import Node, UnrolledGraph

__all__ = ["verify"]


def verify(graph: UnrolledGraph) -> UnrolledGraph:
    """The graph itself, if it is legal.

    Raises:
        AssertionError: for an edge against the order of execution (so that a cycle is impossible), an edge whose
            connections do not join its ends, or, where silence is skipped, a live update that reads nothing live.
            Each would be a fault of cortexgraph.
    """
    position = {node: -1 if node.kind == "zero" else n for n, node in enumerate(graph)}
    for source, target, data in graph.edges(data=True):
        if position[source] >= position[target]:
            raise AssertionError(f"{source} is read by {target} before it is computed")
        for connection in data["connections"]:
            if not (_starts_at(connection.source, source) and _ends_at(connection.target, target)):
                raise AssertionError(f"{connection.label} does not join {source} and {target}")
    silences = {connection.silence for connection in graph.areas.connections} | {graph.areas.silence}
    for node in graph.live_updates() if silences == {"skip"} else ():
        if not any(graph.live(source) for source in graph.predecessors(node)):
            raise AssertionError(f"{node} is live but reads nothing live")
    return graph


def _starts_at(source: str, node: Node) -> bool:
    return node.kind == "evaluation" or node.name == source


def _ends_at(target: str, node: Node) -> bool:
    return node.kind == "evaluation" or node.name == target
