"""Sizes and channels fit along every connection."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.ops import Conv

__all__ = ["channel_groups", "shape_mismatch", "unknown_size"]


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
        for conv in (operation for operation in connection.transform if isinstance(operation, Conv)):
            if conv.in_channels % conv.groups or conv.out_channels % conv.groups:
                yield graph.spec.origin.diagnostic(
                    "channel-groups",
                    ("connections", connection.index, "groups"),
                    f"{conv.groups} groups do not divide {conv.in_channels} and {conv.out_channels} channels",
                    repair="Choose a number of groups that divides the channels of both ends.",
                    label=connection.label,
                )
    for area in graph.areas:
        for operation in area.body:
            groups = getattr(operation, "groups", 1)
            if area.channels % groups:
                yield graph.spec.origin.diagnostic(
                    "channel-groups",
                    ("areas", area.name, "norm"),
                    f"{groups} groups do not divide {area.channels} channels",
                    repair="Choose a number of groups that divides the channels of the area.",
                )


def shape_mismatch(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`shape-mismatch`: a connection whose result has not the size of its target."""
    for connection in graph.connections:
        if 0 in connection.source_shape or 0 in connection.target_shape:
            continue  # an unknown size, reported above
        if min(connection.output_shape) < 1 or connection.output_shape[1:] != connection.target_shape[1:]:
            yield _mismatch(graph, connection)


def _mismatch(graph: AreaGraph, connection: Connection) -> Diagnostic:
    conv = next(operation for operation in connection.transform if isinstance(operation, Conv))
    source, found, target = (
        _size(s) for s in (connection.source_shape, connection.output_shape, connection.target_shape)
    )
    smaller = connection.target_shape[1] > connection.source_shape[1]
    kernel, stride = (_pair(pair) for pair in (conv.kernel, conv.stride))
    return graph.spec.origin.diagnostic(
        "shape-mismatch",
        ("connections", connection.index),
        f"kernel {kernel} with stride {stride} maps {source} to {found}",
        f"{connection.target} is {target}",
        f"A connection that goes up in size needs `resize`: leave out `stride`, or make {connection.target} {found}."
        if smaller
        else f"Change `stride` or `kernel`, use `resize`, or make {connection.target} {found}.",
        label=connection.label,
    )


def _size(shape: tuple[int, int, int]) -> str:
    return _pair(shape[1:])


def _pair(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} × {pair[1]}"
