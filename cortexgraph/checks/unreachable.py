"""Every area can receive the image, and every area can influence the readout."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.spec import IMAGE

__all__ = ["unreachable"]


def unreachable(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unreachable-area`: no path from the image leads to the area, so it stays silent for ever."""
    if any(not {c.source, c.target} <= {IMAGE, *graph.spec.areas} for c in graph.spec.connections):
        return  # the path may lead over a name that is misspelt
    reached = nx.descendants(graph, IMAGE)
    for area in graph.areas:
        if area.name not in reached:
            yield graph.spec.origin.diagnostic(
                "unreachable-area",
                ("areas", area.name),
                f"no path of connections leads from the image to {area.name}: it would stay silent",
                repair=f"Connect it, for example `image -> {area.name}`, or remove it.",
            )
