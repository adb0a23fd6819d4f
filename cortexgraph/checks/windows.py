"""Steps named in the spec lie within 1 … T, and each is named once."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.spec import Span
from cortexgraph.spec.origin import Path

__all__ = ["delays", "steps"]


def steps(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`step-beyond-end` and `repeated-step`, for readouts, the presentation of the image, and activity windows."""
    spec = graph.spec
    named: list[tuple[Path, str | Span | tuple[int, ...]]] = [(("input", "present"), spec.input.present)]
    named += [(("readout", n, "at"), readout.at) for n, readout in enumerate(spec.readouts)]
    named += [(("connections", n, "active"), connection.active) for n, connection in enumerate(spec.connections)]
    for path, window in named:
        if isinstance(window, str):
            continue
        listed = (window.first, window.last or 1) if isinstance(window, Span) else window
        beyond = sorted({step for step in listed if step > spec.time.steps})
        if beyond:
            yield spec.origin.diagnostic(
                "step-beyond-end",
                path,
                f"step {', '.join(map(str, beyond))} is named",
                f"the network runs for {spec.time.steps} steps",
                "Name earlier steps, or raise `time.steps`.",
                label=_label(graph, path),
            )
        if not isinstance(window, Span) and len(set(window)) < len(window):
            yield spec.origin.diagnostic(
                "repeated-step",
                path,
                f"the list of steps is {list(window)}",
                "each step may be named once",
                "Name each step once.",
                label=_label(graph, path),
            )


def _label(graph: AreaGraph, path: Path) -> str:
    match path:
        case ("connections", int(index), *_):
            connection = graph.spec.connections[index]
            return f"{connection.source} -> {connection.target}"
    return ""


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
