"""Sizes and channels fit together."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.ops import Chain, Operation, Shape, Spatial
from cortexgraph.spec.origin import Path

__all__ = ["body_shape", "channel_groups", "shape_mismatch", "unknown_size"]


def unknown_size(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-size`: an area whose size is neither given nor inferred."""
    for area in graph.areas:
        if area.size is None:
            yield graph.spec.origin.diagnostic(
                "unknown-size",
                ("areas", area.name),
                "the area has no `size`, and no feedforward connection from an area of known size gives it one",
                repair="Give the area a `size`, such as `size: 16`.",
            )


def channel_groups(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`channel-groups`: groups of a convolution or norm that do not divide the channels."""
    for connection in graph.connections:
        key = "groups" if graph.spec.connections[connection.index].transform is None else "transform"
        path: Path = ("connections", connection.index, key)
        yield from _groups(graph, connection.transform, path, connection.label)
    for area in graph.areas:
        key = "norm" if graph.spec.areas[area.name].body is None else "body"
        yield from _groups(graph, area.body, ("areas", area.name, key))


def _groups(graph: AreaGraph, chain: Chain, path: Path, label: str = "") -> Iterator[Diagnostic]:
    for _, link in chain.walk():
        operation = link.operation
        groups, channels = getattr(operation, "groups", 1), [operation.shape[0]]
        if isinstance(operation, Spatial) and hasattr(operation, "channels"):
            channels.append(operation.channels)
        if any(n % groups for n in channels):
            numbers = " and ".join(map(str, channels))
            yield graph.spec.origin.diagnostic(
                "channel-groups",
                path,
                f"{groups} groups do not divide {numbers} channels",
                repair="Choose a number of groups that divides the channels"
                + (" of both ends." if len(channels) > 1 else " of the area."),
                label=label,
            )


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


def body_shape(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`body-shape`: a body whose result has not the shape of the area's state."""
    for area in graph.areas:
        if area.size is None or not area.body.whole or area.body.output == area.shape:
            continue
        if any(not c.transform.whole for c in graph.incoming(area.name)):
            continue
        found, wanted = (" × ".join(map(str, shape)) for shape in (area.body.output, area.shape))
        merged = " × ".join(map(str, area.body.shape))
        yield graph.spec.origin.diagnostic(
            "body-shape",
            ("areas", area.name, "body"),
            f"the body ({_listed(area.body.operations)}) makes {found} of the merged {merged}",
            f"the area is {wanted}",
            "End the body with a convolution to the channels of the area, without a stride.",
        )


def _listed(operations: tuple[Operation, ...]) -> str:
    return ", ".join(operation.summary() for operation in operations) or "nothing"


def _size(shape: Shape) -> str:
    return _pair(shape[1:])


def _pair(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} × {pair[1]}"
