"""Readouts have different names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph

__all__ = ["repeated_readouts"]


def repeated_readouts(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`repeated-readout`: two readouts of one name."""
    count = Counter(readout.name for readout in graph.readouts)
    seen: set[str] = set()
    for readout in graph.readouts:
        if count[readout.name] > 1 and readout.name in seen:
            yield graph.spec.origin.diagnostic(
                "repeated-readout",
                ("readout", readout.index),
                f"another readout is called `{readout.name}` too",
                "a readout is called by its `name`, or else by its area",
                "Give one of them another `name`.",
            )
        seen.add(readout.name)
