"""Fold: compute what cannot depend on the image for a batch of one."""

from __future__ import annotations

from cortexgraph.graph import Connection
from cortexgraph.ops import Chain, GroupNorm
from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["fold"]


def fold(graph: UnrolledGraph) -> UnrolledGraph:
    """Mark values that are the same for every image, as biases and norms make of zeros (`UnrolledGraph.folded`).

    Such values exist under `zero_input` and `zero_drive`, until the image arrives. They are computed for a batch of
    one and repeated over the batch where something reads them that needs every image.

    Requires: nodes in the order of execution.
    Ensures: a marked value does not depend on the image, not by any path of live edges. Nothing random is on a marked
    value's path, for dropout draws for each image apart; and no norm over one value, which torch refuses for a batch
    of one. Nothing on it keeps running averages over the batch, except as the body of an area without memory,
    which gets its merged input for every image in training.
    """
    folded: set[Node] = set()
    for node in graph:
        if graph.live(node) and _same_for_all(graph, node, folded):
            folded.add(node)
    return graph.noted(folded=frozenset(folded))


def _same_for_all(graph: UnrolledGraph, node: Node, folded: set[Node]) -> bool:
    if node.kind == "zero":
        return True
    if node.kind == "drive":
        return all(source in folded and _pure(edge) for source, _, edge in graph.in_edges(node, data=True))
    if node.kind != "update":
        return False
    area = graph.areas.area(node.name)
    if area.body.random or _refuses_one(area.body) or (area.averages and area.cell.has_memory):
        return False
    return all(
        source in folded and (source.kind == "drive" or _pure(edge))
        for source, _, edge in graph.in_edges(node, data=True)
        if graph.live(source)
    )


def _pure(edge: dict[str, tuple[Connection, ...]]) -> bool:
    """Whether what is read along an edge is a function of the value alone."""
    connections = edge["connections"]
    return not any(c.averages or c.transform.random or _refuses_one(c.transform) for c in connections)


def _refuses_one(chain: Chain) -> bool:
    """Whether torch would refuse a batch of one: a norm over one value of each image."""
    norms = (link.operation for _, link in chain.walk() if isinstance(link.operation, GroupNorm))
    return any(norm.over_one_value for norm in norms)
