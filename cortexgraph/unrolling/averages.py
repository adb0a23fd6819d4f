"""Which evaluations count for the running averages of batch norms: those on which a readout depends, once each."""

from __future__ import annotations

from cortexgraph.unrolling.model import Node, UnrolledGraph

__all__ = ["mark_read", "read_updates"]


def read_updates(full: UnrolledGraph) -> list[Node]:
    """Live updates on which a readout depends, whatever is recorded, in the order of execution."""
    found = full.live_past(full.readouts)
    return [node for node in full.live_updates() if node in found]


def mark_read(full: UnrolledGraph) -> UnrolledGraph:
    """The graph before passes itself, with the updates marked on which a readout depends, and what counts in them.

    An area's body is evaluated in each of its live updates, and counts if a readout depends on the update. A connection
    is evaluated once for each value that it reads, however many updates read that, and counts at the first of them on
    which a readout depends; with per-step parameters at each update, and so where dropout draws anew.
    """
    seen: set[tuple[object, ...]] = set()
    averaging = any(connection.averages for connection in full.areas.connections)
    for node in read_updates(full):
        data = full.nodes[node]
        data["read"] = True
        counted: set[str] = set()
        again: set[str] = set()
        for connection, source in full.terms(node) if averaging else ():
            apart = connection.per_step or connection.transform.random
            value = (connection.identifier, source, node if apart else None)
            if not connection.averages or value in seen:
                continue
            counted.add(connection.identifier)
            if source.kind == "image" and not apart and (connection.identifier,) in seen:
                again.add(connection.identifier)
            seen |= {value, (connection.identifier,)}
        data |= {"counted": frozenset(counted), "again": frozenset(again)} if counted else {}
    return full
