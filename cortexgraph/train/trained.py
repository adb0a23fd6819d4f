"""Which parameters training reached, and which readouts use others.

An area with per-step parameters has one set for each live update up to T, but no readout may depend on the
last of them: with simultaneous updates the last state of V1 is read by nothing. Such a set is as it was
initialised. Beyond T the last set is reused, so that set must be one that training reached.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
from torch import Tensor, nn

from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["settled_state", "trained_steps"]

Part = tuple[str, int]
"""A connection's identifier with 0, or an area's with the number of its parameter set (0 without sets)."""


def settled_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict of a compiled network in which sets after the last that a readout reaches equal that one.

    The network itself computes the same with it; unrolled over more steps, it goes on as it was trained.
    """
    state: dict[str, Tensor] = dict(network.state_dict())
    unrolled: Any = network.unrolled
    for name, last in _last_sets(unrolled).items():
        area = unrolled.areas.area(name)
        for operation in area.body:
            if operation.per_step:
                prefix = f"{area.identifier}.{operation.role}."
                _repeat_last(state, prefix, last, unrolled.ordinals[name])
    return state


def _repeat_last(state: dict[str, Tensor], prefix: str, last: int, sets: int) -> None:
    start = f"{prefix}{last - 1}."
    for key in [key for key in state if key.startswith(start)]:
        for n in range(last, sets):
            state[f"{prefix}{n}.{key.removeprefix(start)}"] = state[key]


def _last_sets(graph: UnrolledGraph) -> dict[str, int]:
    """For each area with per-step parameters, the number of the last set that a readout depends on."""
    last: dict[str, int] = {}
    for node in set().union(*(nx.ancestors(graph, readout) for readout in graph.readouts)):
        if node.kind == "update" and graph.live(node) and graph.areas.area(node.name).per_step:
            last[node.name] = max(last.get(node.name, 0), graph.ordinal(node))
    return last


def trained_steps(trained: UnrolledGraph, evaluated: UnrolledGraph) -> dict[int, bool]:
    """For each readout step of `evaluated`, whether it uses only what a readout of `trained` depended on.

    Args:
        trained: the unrolled graph of the network as it was trained; its state is settled.
        evaluated: another unrolling of the same areas: other steps of readout, T or order.
    """
    last = _last_sets(trained)
    reached = set().union(*(_parts(trained, readout, last) for readout in trained.readouts))
    return {readout.step: _parts(evaluated, readout, last) <= reached for readout in evaluated.readouts}


def _parts(graph: UnrolledGraph, readout: Node, last: dict[str, int]) -> set[Part]:
    """All that one readout depends on."""
    parts: set[Part] = set()
    for node in nx.ancestors(graph, readout):
        if node.kind == "update" and graph.live(node):
            area = graph.areas.area(node.name)
            number = min(graph.ordinal(node), last.get(node.name, 0)) if area.per_step else 0
            parts.add((area.identifier, number))
            parts |= {(connection.identifier, 0) for connection, _ in graph.terms(node)}
    return parts
