"""The network is not too large to be unrolled."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.unrolling import groups_of
from cortexgraph.wording import count_text

__all__ = ["too_many_updates"]


MAX_UPDATES = 1_000_000


def too_many_updates(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`too-many-updates`: more than can be unrolled in reasonable time."""
    in_step = sum(len(group) for group in groups_of(graph, graph.spec.time.order))
    if in_step * graph.spec.time.steps > MAX_UPDATES:
        yield graph.spec.origin.diagnostic(
            "too-many-updates",
            ("time", "steps"),
            f"{graph.spec.time.steps} steps of {in_step} updates make {count_text(in_step * graph.spec.time.steps)}",
            f"{count_text(MAX_UPDATES)} updates are the most",
            "Choose fewer steps.",
        )
