"""Constant folding: compute what cannot depend on the image for a batch of one."""

from __future__ import annotations

from cortexgraph.ops import Chain, GroupNorm
from cortexgraph.unrolling import Node, UnrolledGraph


def fold(graph: UnrolledGraph) -> UnrolledGraph:
    """Mark values that are the same for every image, as biases and norms make of zeros (`UnrolledInfo.constant`).

    Such values exist under `zero_input` and `zero_drive`, until the image arrives. They are computed for a batch of
    one and expanded where a reader needs every image.

    Requires: nodes in the order of execution.

    Ensures: a marked value does not depend on the image, not by any path of live edges. Nothing random is on a marked
    value's path, for dropout draws for each image; nothing that keeps running statistics over the batch; and no norm
    over one value, which torch refuses for a batch of one.
    """
    constant = set(graph.info.constant)  # of a piece of a stream, what those before it folded
    for node in graph:
        if graph.live(node) and not graph.given(node) and _is_constant(graph, node, constant):
            constant.add(node)
    return graph.noted(constant=frozenset(constant))


def _is_constant(graph: UnrolledGraph, node: Node, constant: set[Node]) -> bool:
    if node.kind not in {"zero", "update", "evaluation"}:
        return False
    if node.kind == "evaluation":
        return graph.evaluated(node)[1] in constant and _repeatable(graph.applied(node))
    if node.kind == "update" and (graph.changes(node) or not _repeatable(graph.areas.area(node.name).body)):
        return False
    return all(
        source in constant and all(_repeatable(connection.transform) for connection in edge["connections"])
        for source, _, edge in graph.in_edges(node, data=True)
        if graph.live(source)
    )


def _repeatable(chain: Chain) -> bool:
    """Whether a batch of one gives what every image of a batch gives."""
    norms = (link.operation for _, link in chain.walk() if isinstance(link.operation, GroupNorm))
    return not (chain.random or chain.averages or any(norm.over_one_value for norm in norms))
