"""Every area has a size."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph

__all__ = ["unknown_size"]


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
