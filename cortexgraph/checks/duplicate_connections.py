"""No connection is declared twice."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph

__all__ = ["duplicate_connections"]


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
