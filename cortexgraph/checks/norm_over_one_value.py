"""A norm is over more than one value."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.ops import (
    Chain,
    GroupNorm,
)
from cortexgraph.spec.origin import Path

__all__ = ["norm_over_one_value"]


def norm_over_one_value(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`norm-over-one-value` (a warning): a value minus its own mean is 0, so that only the shift is left."""
    for area in graph.areas:
        yield from _in_chain(graph, area.body, ("areas", area.name))
    for connection in graph.connections:
        yield from _in_chain(graph, connection.transform, ("connections", connection.index), connection.label)


def _in_chain(graph: AreaGraph, chain: Chain, path: Path, label: str = "") -> Iterator[Diagnostic]:
    for _, link in chain.walk():
        norm = link.operation
        if isinstance(norm, GroupNorm) and norm.over_one_value:
            yield graph.spec.origin.diagnostic(
                "norm-over-one-value",
                path,
                f"the {norm.summary()} of {' × '.join(map(str, norm.shape))} normalises each value by itself: "
                "its result does not depend on its input",
                repair="Choose fewer groups, or a batch norm.",
                label=label,
                severity="warning",
            )
