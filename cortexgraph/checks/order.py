"""An explicit order updates every area, and none twice in one group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.wording import quoted

__all__ = ["order"]


def order(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`order-omits-area` and `order-repeats-area`."""
    declared = graph.spec.time.order
    if isinstance(declared, str):
        return
    groups = [(group,) if isinstance(group, str) else group for group in declared]
    named = {name for group in groups for name in group}
    omitted = [name for name in graph.spec.areas if name not in named]
    if omitted and named <= graph.spec.areas.keys():  # otherwise it may be misspelt
        yield graph.spec.origin.diagnostic(
            "order-omits-area",
            ("time", "order"),
            f"the order never updates {quoted(omitted)}",
            "every area must stand in at least one group",
            "Add the area to a group, or remove it from `areas`.",
        )
    for index, group in enumerate(groups):
        repeated = [name for name, count in Counter(group).items() if count > 1]
        if repeated:
            yield graph.spec.origin.diagnostic(
                "order-repeats-area",
                ("time", "order", index),
                f"one group updates {quoted(repeated)} more than once",
                "within a group every read happens before any write",
                "Put the second update into a group of its own.",
            )
