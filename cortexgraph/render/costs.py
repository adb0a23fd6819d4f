"""What a schedule costs: its order, how long values are held, and multiply-adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from cortexgraph.passes import statuses
from cortexgraph.unrolling import Node, UnrolledGraph, macs_of

__all__ = ["Costs", "costs_of"]


@dataclass(frozen=True)
class Costs:
    """What a schedule costs for one static image.

    Attributes:
        number: of each executed update its place in the order of execution, from 1.
        last_read: for each executed update that is read, the last update or readout that reads it.
        macs: multiply-accumulate operations by step.
        states: the largest number of states that are held at once.
        numbers: the largest number of activations that are held at once.
    """

    number: Mapping[Node, int]
    last_read: Mapping[Node, Node]
    macs: Mapping[int, int]
    states: int
    numbers: int


def costs_of(full: UnrolledGraph, kept: UnrolledGraph) -> Costs:
    """Costs of what is executed. A state is held from its update to its last read."""
    status = statuses(full, kept)
    like = {node: found.like for node, found in status.items() if found.like is not None}
    executed = [node for node in full.updates() if status[node].word == "executed"]
    place = {node: n for n, node in enumerate(full)}
    last: dict[Node, Node] = {}
    for tail, head in full.edges:
        source = _resolved(tail, like)
        if source not in place or status[source].word != "executed" or status[head].word != "executed":
            continue
        if source.kind == "update" and place[head] > place[last.get(source, source)]:
            last[source] = head
    changes: dict[int, list[int]] = {}
    for node in executed:
        size = prod(full.areas.area(node.name).shape)
        changes.setdefault(place[node], []).append(size)
        changes.setdefault(place[last.get(node, node)] + 1, []).append(-size)
    states = numbers = most_states = most_numbers = 0
    for at in sorted(changes):
        states += sum(1 if size > 0 else -1 for size in changes[at])
        numbers += sum(changes[at])
        most_states, most_numbers = max(most_states, states), max(most_numbers, numbers)
    number = {node: n for n, node in enumerate(executed, start=1)}
    return Costs(number, last, _macs(kept), most_states, most_numbers)


def _resolved(node: Node, like: Mapping[Node, Node]) -> Node:
    while node in like:
        node = like[node]
    return node


def _macs(kept: UnrolledGraph) -> dict[int, int]:
    """Multiply-accumulate operations by step."""
    macs: dict[int, int] = {}
    for node in kept:
        if node.kind in {"update", "evaluation", "readout"} and kept.carried_out(node):
            macs[node.step] = macs.get(node.step, 0) + macs_of(kept, node)
    return macs
