"""The network is not too large to be unrolled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.unrolling import groups_of
from cortexgraph.wording import count_text

__all__ = ["too_many_updates"]


MAX_UPDATES = 300_000
MAX_READS = 2_000_000
"""Of states, by connections."""


def too_many_updates(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`too-many-updates`: more than can be unrolled in reasonable time."""
    steps, groups = graph.spec.time.steps, groups_of(graph, graph.spec.time.order)
    times = Counter(name for group in groups for name in group)
    reads = sum(times[connection.target] for connection in graph.connections)
    for what, in_step, most in (("updates", times.total(), MAX_UPDATES), ("reads by connections", reads, MAX_READS)):
        if in_step * steps > most:
            yield graph.spec.origin.diagnostic(
                "too-many-updates",
                ("time", "steps"),
                f"{steps:,} steps of {in_step:,} {what} make {count_text(in_step * steps)}",
                f"{count_text(most)} are the most",
                f"Choose at most {most // in_step:,} steps." if most >= in_step else "Choose a smaller network.",
            )
            return
