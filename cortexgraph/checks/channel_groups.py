"""Groups of a convolution or norm divide its channels."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.graph.transforms import written_body
from cortexgraph.ops import (
    Chain,
    Spatial,
)
from cortexgraph.spec.origin import Path

__all__ = ["channel_groups"]


def channel_groups(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`channel-groups`: groups of a convolution or norm that do not divide the channels."""
    for connection in graph.connections:
        key = "groups" if graph.spec.connections[connection.index].transform is None else "transform"
        path: Path = ("connections", connection.index, key)
        yield from _groups(graph, connection.transform, path, connection.label)
    for area in graph.areas:
        key = "norm" if written_body(graph.spec, graph.spec.areas[area.name]) is None else "body"
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
