"""Which parameters training reached, and which readouts use others.

An area with per-step parameters has one set for each live update up to T, but no readout may depend on the
last of them: with simultaneous updates the last state of V1 is read by nothing. Such a set stays as it was
initialised; a state dict holds the last trained set in its place, which updates beyond T also use.
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from cortexgraph.codegen import trained_sets
from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["reached_steps"]

Part = tuple[str, int]
"""An area's or connection's identifier, with the number of its parameter set (0 without sets)."""


def reached_steps(trained: UnrolledGraph, evaluated: UnrolledGraph) -> dict[int, bool]:
    """For each step of the first readout of `evaluated`, whether it uses only what a readout of `trained` depended on.

    Args:
        trained: the unrolled graph of the network as it was trained.
        evaluated: another unrolling of the same areas: other steps of readout, T or order.
    """
    last = {identifier: max(sets) for identifier, sets in trained_sets(trained).items()}
    reached = set().union(*(_parts(trained, readout, last) for readout in trained.readouts))
    first = evaluated.areas.readouts[0].name
    return {
        readout.step: _parts(evaluated, readout, last) <= reached
        for readout in evaluated.readouts
        if readout.name == first
    }


def _used(graph: UnrolledGraph, node: Node) -> Iterator[Part]:
    """The parameters that an update uses, those of other connections under the names of these."""
    if node.kind != "update" or not graph.live(node):
        return
    area, ordinal = graph.areas.area(node.name), graph.ordinal(node)
    yield area.identifier, ordinal if area.per_step else 0
    for connection, _ in graph.terms(node):
        number = ordinal if connection.per_step else 0
        yield connection.identifier, number
        if connection.owner is not None:
            yield connection.owner, number


def _parts(graph: UnrolledGraph, readout: Node, last: dict[str, int]) -> set[Part]:
    """All that one readout depends on; a set after the last that training reached is that last one."""
    used = {part for node in nx.ancestors(graph, readout) for part in _used(graph, node)}
    return {(identifier, min(number, last.get(identifier, 0))) for identifier, number in used}
