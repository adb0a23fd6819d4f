"""Release: let go of each value after its last use."""

from __future__ import annotations

from cortexgraph.unrolling import Loop, Node, UnrolledGraph
from cortexgraph.unrolling.carried import carries

__all__ = ["release"]


def release(graph: UnrolledGraph) -> UnrolledGraph:
    """Mark each value with the last step that reads it (`UnrolledGraph.last_read`), so that memory need not grow.

    Requires: that every live reader is in the graph, and that readouts and records are read at the end of their step.
    It runs last.
    Ensures: no update, readout or record of a later step reads the value under its own name. Values do not change.
    What a loop reads by distance is handed to it when it begins; what it reads from further back is read until its end.
    """
    last_read: dict[Node, int] = {}
    handed = {value.node for value in carries(graph).round}
    for node in graph:
        if node.kind in {"zero", "update", "drive"} and graph.live(node):
            steps = [_read_at(graph.loop, node, reader) for reader in graph.successors(node) if graph.live(reader)]
            steps += [graph.loop.first - 1] if graph.loop is not None and node in handed else []
            last_read[node] = max([node.step, *steps])
    return graph.noted(last_read=last_read)


def _read_at(loop: Loop | None, node: Node, reader: Node) -> int:
    """The step at which a value is read by its own name."""
    near = node.kind != "zero" and loop is not None and reader.step - node.step <= loop.reach
    if loop is None or reader.step < loop.first or node.step > loop.last:
        return reader.step
    if near:
        return node.step
    return max(reader.step, loop.last)
