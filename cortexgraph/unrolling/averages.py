"""Which evaluations count for the running averages of batch norms: those on which a readout depends, once each."""

from __future__ import annotations

from dataclasses import dataclass

from cortexgraph.graph import Connection
from cortexgraph.unrolling.model import Node, UnrolledGraph

__all__ = ["Counted", "counted", "read_updates"]


@dataclass(frozen=True)
class Counted:
    """The evaluations that move running averages in training.

    Attributes:
        updates: the updates whose body's evaluation counts.
        readings: the connections' evaluations that count, each by the connection's identifier and the first update
            that asks for it.
    """

    updates: frozenset[Node]
    readings: frozenset[tuple[str, Node]]

    def frames(self, graph: UnrolledGraph, connection: Connection) -> set[int]:
        """The steps whose image counts as read by a connection."""
        readers = (node for identifier, node in self.readings if identifier == connection.identifier)
        terms = (term for node in readers for term in graph.terms(node))
        return {source.step for c, source in terms if c.identifier == connection.identifier and source.kind == "image"}


def read_updates(full: UnrolledGraph) -> list[Node]:
    """Live updates on which a readout depends, whatever is recorded, in the order of execution."""
    waiting = [node for node in full.readouts if full.live(node)]
    found = set(waiting)
    while waiting:
        for source in full.predecessors(waiting.pop()):
            if source not in found and full.live(source):
                found.add(source)
                waiting.append(source)
    return [node for node in full.live_updates() if node in found]


def counted(full: UnrolledGraph) -> Counted:
    """What counts in `full`, the graph before passes.

    An area's body is evaluated in each of its live updates. A connection is evaluated once for each value that it
    reads, however many updates read that; with per-step parameters once for each update, and so where dropout
    draws anew.
    """
    updates = read_updates(full)
    seen: set[tuple[object, ...]] = set()
    readings: set[tuple[str, Node]] = set()
    for node in updates:
        for connection, source in full.terms(node):
            again = connection.per_step or connection.transform.random
            value = (connection.identifier, source, node if again else None)
            if value not in seen:
                seen.add(value)
                readings.add((connection.identifier, node))
    return Counted(frozenset(updates), frozenset(readings))
