"""Norms and activations in shorthand are registered."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.ops import (
    ACTIVATIONS,
    NORMS,
)
from cortexgraph.spec.origin import Path
from cortexgraph.wording import quoted, suggest

__all__ = ["unknown_word", "unknown_words"]


def unknown_words(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-operation`: a norm or activation in shorthand that is not registered."""
    spec = graph.spec
    places = [(("defaults", "area"), spec.defaults.area), *((("areas", n), a) for n, a in spec.areas.items())]
    for path, area in places:
        if area.norm is not None and area.norm.kind not in ("none", *NORMS):
            yield unknown_word(graph, (*path, "norm"), NORMS.family, area.norm.kind, ["none", *NORMS])
        if area.activation is not None and area.activation not in ACTIVATIONS:
            yield unknown_word(graph, (*path, "activation"), ACTIVATIONS.family, area.activation, [*ACTIVATIONS])


def unknown_word(graph: AreaGraph, path: Path, family: str, name: str, known: list[str], label: str = "") -> Diagnostic:
    return graph.spec.origin.diagnostic(
        "unknown-operation",
        path,
        f"no {family} is called `{name}`",
        f"there are {quoted(known)}",
        suggest(name, known, f"Choose one of the registered names of {'an' if family[0] in 'ao' else 'a'} {family}."),
        label=label,
    )
