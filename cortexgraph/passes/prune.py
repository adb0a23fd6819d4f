"""Dead-code elimination: leave out silent nodes, and nodes that no readout or record needs."""

from __future__ import annotations

from cortexgraph.unrolling import UnrolledGraph


def prune(graph: UnrolledGraph) -> UnrolledGraph:
    """Keep the live ancestors of readouts and records: the backward light cone within the forward one.

    In a stream, in which later steps may read every update, keep all that is live.

    Requires: nothing.

    Ensures: every value that a readout or record reads is computed from the same values as before. A silent
    value contributes nothing to any update, and a value that no sink descends from changes no result. Ordinals,
    and with them the per-step parameter sets, stay those of the whole graph.
    """
    kept = graph.live_past(graph if graph.info.piece is not None else (*graph.readouts, *graph.records))
    pruned = UnrolledGraph.of(graph.info)
    pruned.add_nodes_from((node, dict(data)) for node, data in graph.nodes(data=True) if node in kept)
    edges = graph.in_edges(kept, data=True)
    pruned.add_edges_from((source, node, data) for source, node, data in edges if source in kept)
    return pruned
