"""Steps named in the spec lie within 1 … T, and each is named once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.spec import Span
from cortexgraph.spec.origin import Path
from cortexgraph.wording import listed, shortened

__all__ = ["steps"]


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
                "Name earlier steps, or raise `time.steps`.",
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
