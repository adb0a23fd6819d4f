"""A tie names a connection whose parameters fit."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph, tying
from cortexgraph.graph.transforms import transform

__all__ = ["ties"]


def ties(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`bad-tie`: an unknown or ambiguous connection, a circle, or parameters of different shape."""
    known = {connection.index: connection for connection in graph.connections}
    roots = tying.roots(graph.spec)
    for connection in graph.connections:
        declared = graph.spec.connections[connection.index]
        if declared.tie is None:
            continue
        try:
            root = roots[connection.index]
            if isinstance(root, tying.TieError):
                raise root
            owner = known.get(root)
            if owner is not None and owner.transform.whole:
                chain = transform(graph.spec, declared, connection.source_shape, connection.target_shape)
                tying.tied(tying.with_transform(connection, chain), owner, declared.tie.transpose)
        except tying.TieError as problem:
            yield graph.spec.origin.diagnostic(
                "bad-tie",
                ("connections", connection.index, "tie"),
                problem.found,
                problem.expected,
                problem.repair,
                label=connection.label,
            )
