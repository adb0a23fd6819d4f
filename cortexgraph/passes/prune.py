"""Prune: leave out what is silent, and what no readout or recording needs."""

from __future__ import annotations

from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["prune"]


def prune(graph: UnrolledGraph) -> UnrolledGraph:
    """Keep the live ancestors of readouts and records: the backward light cone within the forward one.

    Requires: nothing.
    Ensures: every value that a readout or record reads is computed from the same values as before. A silent
    value contributes nothing to any update, and a value that no sink descends from changes no result. Ordinals,
    and with them the per-step parameter sets, stay those of the whole graph.
    """
    waiting: list[Node] = [node for node in (*graph.readouts, *graph.records) if graph.live(node)]
    kept = set(waiting)
    while waiting:
        for source in graph.predecessors(waiting.pop()):
            if source not in kept and graph.live(source):
                kept.add(source)
                waiting.append(source)
    pruned = UnrolledGraph(**graph.graph)
    pruned.add_nodes_from((node, dict(data)) for node, data in graph.nodes(data=True) if node in kept)
    edges = graph.in_edges(kept, data=True)
    pruned.add_edges_from((source, node, data) for source, node, data in edges if source in kept)
    return pruned
