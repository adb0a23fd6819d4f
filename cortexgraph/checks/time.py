"""Steps, delays and the number of updates lie within the time the network runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.spec import Span
from cortexgraph.spec.origin import Path
from cortexgraph.unrolling import groups_of
from cortexgraph.wording import count_text, listed, shortened

__all__ = ["delays", "steps", "too_many_updates"]


def steps(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`step-beyond-end` and `repeated-step`, for readouts, the presentation of the image, and activity windows."""
    spec = graph.spec
    named: list[tuple[Path, str | Span | tuple[int, ...]]] = [(("input", "present"), spec.input.present)]
    named += [(("readout", n, "at"), readout.at) for n, readout in enumerate(spec.readouts)]
    named += [(("connections", n, "active"), connection.active) for n, connection in enumerate(spec.connections)]
    for path, window in named:
        if isinstance(window, str):
            continue
        beyond = sorted({step for step in _named(window) if step > spec.time.steps})
        if beyond:
            yield spec.origin.diagnostic(
                "step-beyond-end",
                path,
                f"step {shortened(listed([*map(str, beyond)]))} is named",
                f"the network runs for {spec.time.steps} steps",
                f"Name earlier steps, or raise `time.steps` to {beyond[-1]}.",
                label=_label(graph, path),
            )
        repeated = [] if isinstance(window, Span) else [n for n, count in Counter(window).items() if count > 1]
        if repeated:
            yield spec.origin.diagnostic(
                "repeated-step",
                path,
                f"step {shortened(listed([*map(str, repeated)]))} is named more than once",
                repair="Name each step once.",
                label=_label(graph, path),
            )


def _named(window: Span | tuple[int, ...]) -> tuple[int, ...]:
    return (window.first, window.last or 1) if isinstance(window, Span) else window


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
                repair=f"Shorten the delay, or raise `time.steps` to {connection.delay + 1} or more.",
                label=connection.label,
                severity="warning",
            )


MAX_UPDATES = 300_000
MAX_READS = 2_000_000
"""Of states, by connections."""


def too_many_updates(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`too-many-updates`: more than can be unrolled in reasonable time."""
    steps, groups = graph.spec.time.steps, groups_of(graph, graph.spec.time.order)
    times = Counter(name for group in groups for name in group)
    reads = sum(times[connection.target] for connection in graph.connections)
    each_step = sum(readout.at == "all" for readout in graph.readouts)
    for what, in_step, most in (
        ("updates", times.total(), MAX_UPDATES),
        ("reads by connections", reads, MAX_READS),
        ("readouts", each_step, MAX_UPDATES),
    ):
        if in_step * steps > most:
            yield graph.spec.origin.diagnostic(
                "too-many-updates",
                ("time", "steps"),
                f"{steps:,} steps of {in_step:,} {what} make {count_text(in_step * steps)}",
                f"{count_text(most)} are the most",
                f"Choose at most {most // in_step:,} steps." if most >= in_step else "Choose a smaller network.",
            )
            return
