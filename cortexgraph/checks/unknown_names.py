"""Every name in connections, readout and order is an area (or, as a source, the image)."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.spec import IMAGE
from cortexgraph.spec.origin import Path
from cortexgraph.wording import quoted, suggest

__all__ = ["unknown_names"]


def unknown_names(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-area`, and `image-as-target` for a connection into the image."""
    spec = graph.spec
    areas = spec.areas
    for index, connection in enumerate(spec.connections):
        label = f"{connection.source} -> {connection.target}"
        if connection.source not in areas and connection.source != IMAGE:
            yield _unknown(graph, ("connections", index, "from"), connection.source, [IMAGE, *areas], label)
        if connection.target == IMAGE:
            yield spec.origin.diagnostic(
                "image-as-target",
                ("connections", index, "to"),
                "a connection leads into the image",
                "the image only sends",
                "Turn the connection round, or leave it out.",
                label=label,
            )
        elif connection.target not in areas:
            yield _unknown(graph, ("connections", index, "to"), connection.target, [*areas], label)
    for index, readout in enumerate(spec.readouts):
        if readout.source not in areas:
            yield _unknown(graph, ("readout", index, "from"), readout.source, [*areas])
    for index, group in enumerate(spec.time.order if isinstance(spec.time.order, tuple) else ()):
        for name in (group,) if isinstance(group, str) else group:
            if name not in areas:
                yield _unknown(graph, ("time", "order", index), name, [*areas])


def _unknown(graph: AreaGraph, path: Path, name: str, known: list[str], label: str = "") -> Diagnostic:
    return graph.spec.origin.diagnostic(
        "unknown-area",
        path,
        f"no area is called `{name}`",
        f"there are {quoted(known)}",
        suggest(name, known, "Declare the area under `areas`, or correct the name."),
        label=label,
    )
