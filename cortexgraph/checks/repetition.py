"""Nothing is said twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph

__all__ = ["duplicate_connections", "repeated_readouts"]


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


def duplicate_connections(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`duplicate-connection` (a warning): two connections that differ in nothing but their parameters."""
    seen: dict[str, int] = {}
    for index, declared in enumerate(graph.spec.connections):
        content = declared.model_dump_json(by_alias=True, exclude={"name"})
        if content in seen and declared.tie is None:
            yield graph.spec.origin.diagnostic(
                "duplicate-connection",
                ("connections", index),
                f"connections[{seen[content]}], as they are counted, says the same",
                repair="Leave one of them out, unless two sets of parameters are meant.",
                label=f"{declared.source} -> {declared.target}",
                severity="warning",
            )
        seen.setdefault(content, index)
