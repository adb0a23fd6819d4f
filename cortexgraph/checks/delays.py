"""Delays are whole steps, and end before the network does."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph

__all__ = ["delays"]


def delays(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`delay-without-dt`, `delay-rounded` (a warning) and `delay-beyond-end` (a warning)."""
    spec = graph.spec
    for index, declared in enumerate(spec.connections):
        path, label = ("connections", index, "delay_ms"), f"{declared.source} -> {declared.target}"
        if declared.delay_ms is not None and spec.time.dt_ms is None:
            yield spec.origin.diagnostic(
                "delay-without-dt",
                path,
                f"the delay is {declared.delay_ms:g} ms",
                "the duration of a step is not known",
                "Give `time.dt_ms`, or the delay in steps.",
                label=label,
            )
        elif declared.delay_ms is not None and spec.time.dt_ms is not None:
            exact, dt = declared.delay_ms / spec.time.dt_ms, spec.time.dt_ms
            if abs(exact - round(exact)) > 1e-6:
                yield spec.origin.diagnostic(
                    "delay-rounded",
                    path,
                    f"{declared.delay_ms:g} ms are {exact:.3g} steps of {dt:g} ms, rounded to {int(exact + 0.5)}",
                    repair="Give a delay of whole steps, or another `time.dt_ms`.",
                    label=label,
                    severity="warning",
                )
    for connection in graph.connections:
        if connection.delay >= spec.time.steps:
            yield spec.origin.diagnostic(
                "delay-beyond-end",
                ("connections", connection.index, "delay"),
                f"a delay of {connection.delay} steps is never over within {spec.time.steps} steps: nothing is read",
                repair="Shorten the delay, or raise `time.steps`.",
                label=connection.label,
                severity="warning",
            )
