"""A connection gives what its target merges: size and channels."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.ops import (
    Chain,
    Shape,
    Spatial,
)

__all__ = ["shape_mismatch"]


def shape_mismatch(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`shape-mismatch`: a connection whose result has not the size, or the channels, that its target merges."""
    for connection in graph.connections:
        if 0 in connection.source_shape or 0 in connection.target_shape or not connection.transform.whole:
            continue  # an unknown size, or a bad operation, reported elsewhere
        found, target = connection.output_shape, connection.target_shape
        if min(found) < 1 or found[1:] != target[1:]:
            yield _size_mismatch(graph, connection)
        elif found[0] != _merged_channels(graph, connection):
            yield _channel_mismatch(graph, connection)


def _merged_channels(graph: AreaGraph, connection: Connection) -> int:
    """The channels that a connection must give: those of the sum, or of what it gates; any for a concatenation."""
    area = graph.area(connection.target)
    if area.merge == "concat" and connection.role == "drive":
        return connection.output_shape[0]
    return area.body.shape[0]


def _channel_mismatch(graph: AreaGraph, connection: Connection) -> Diagnostic:
    found, wanted = connection.output_shape[0], _merged_channels(graph, connection)
    doing = "sums" if connection.role == "drive" else "gates"
    return graph.spec.origin.diagnostic(
        "channel-mismatch",
        ("connections", connection.index),
        f"the transform ({connection.transform.summary() or 'nothing'}) gives {found} channels",
        f"{connection.target} {doing} {wanted}",
        f"End the transform with a convolution to {wanted} channels, or change the channels of an area.",
        label=connection.label,
    )


def _size_mismatch(graph: AreaGraph, connection: Connection) -> Diagnostic:
    source, found, target = (
        _size(s) for s in (connection.source_shape, connection.output_shape, connection.target_shape)
    )
    smaller = connection.target_shape[1] > connection.source_shape[1]
    return graph.spec.origin.diagnostic(
        "shape-mismatch",
        ("connections", connection.index),
        f"{_geometry(connection.transform)} maps {source} to {found}",
        f"{connection.target} is {target}",
        f"A connection that goes up in size needs `resize`: leave out `stride`, or make {connection.target} {found}."
        if smaller
        else f"Change `stride` or `kernel`, use `resize`, or make {connection.target} {found}.",
        label=connection.label,
    )


def _geometry(chain: Chain) -> str:
    spatial = [operation for operation in chain.operations if isinstance(operation, Spatial)]
    if len(chain) == 1 and spatial:
        return f"kernel {_pair(spatial[0].kernel)} with stride {_pair(spatial[0].stride)}"
    return f"the transform ({chain.summary(', ') or 'nothing'})"


def _size(shape: Shape) -> str:
    return _pair(shape[1:])


def _pair(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} × {pair[1]}"
