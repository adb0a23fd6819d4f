"""Names can be told apart by eye."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.wording import skeleton

__all__ = ["look_alikes"]


def look_alikes(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`look-alike-names` (a warning): areas of different names that look the same: in Latin and Cyrillic, O and 0."""
    seen: dict[str, str] = {}
    for name in graph.spec.areas:
        other = seen.setdefault(skeleton(name), name)
        if other != name:
            yield graph.spec.origin.diagnostic(
                "look-alike-names",
                ("areas", name),
                f"`{name}` looks like the area `{other}`, and is another one: {_difference(name, other)}",
                repair="Rename one of them.",
                severity="warning",
            )


def _difference(name: str, other: str) -> str:
    for sign, there in zip(name, other, strict=False):
        if sign != there:
            return f"{_spelt(sign)} stands for {_spelt(there)}"
    return f"it has {len(name)} characters, not {len(other)}"


def _spelt(sign: str) -> str:
    return f"{unicodedata.name(sign, 'a character without a name').lower()} (U+{ord(sign):04X})"
