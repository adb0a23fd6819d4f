"""A declared kind agrees with the hierarchy."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.spec import IMAGE

__all__ = ["declared_kind"]


def declared_kind(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`kind-against-hierarchy`: for example a connection called feedback that goes up."""
    for connection in graph.connections:
        declared = graph.spec.connections[connection.index].kind
        if declared is None or declared == connection.kind:
            continue
        levels = (
            f"{name} is at level {graph.area(name).level:g}" if name != IMAGE else "the image lies below all areas"
            for name in (connection.source, connection.target)
        )
        yield graph.spec.origin.diagnostic(
            "kind-against-hierarchy",
            ("connections", connection.index, "kind"),
            f"the connection is declared {declared}",
            f"{' and '.join(levels)}, which makes it {connection.kind}",
            f"Leave `kind` out, write `{connection.kind}`, or set the `level` of the areas.",
            label=connection.label,
        )
