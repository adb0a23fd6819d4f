"""Parameters that no readout can train."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.passes import prune
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling import UnrolledGraph

__all__ = ["dead_parameters"]


def dead_parameters(full: UnrolledGraph) -> Iterator[Diagnostic]:
    """`dead-area` and `dead-connection` (warnings): what no readout reaches back to within T steps.

    A connection at a dead area goes without saying, and so does everything when a readout is silent.
    """
    unrolled, graph = prune(full), full.areas
    if not unrolled.readouts:
        return
    updated = {node.name for node in unrolled.updates()}
    read = {c.identifier for node in unrolled.updates() for c, _ in unrolled.terms(node)}
    because = f"the readout of {_read(unrolled)} does not depend on it"
    for area in graph.areas:
        if area.name not in updated:
            yield graph.spec.origin.diagnostic(
                "dead-area",
                ("areas", area.name),
                f"{because}{_untrained(area.parameters())}",
                repair="Raise `time.steps`, connect the area towards the readout, or keep it to record from.",
                severity="warning",
            )
    for connection in graph.connections:
        if connection.identifier in read or not {connection.source, connection.target} <= {IMAGE, *updated}:
            continue
        if connection.delay >= graph.spec.time.steps:
            continue  # a finding of its own
        yield graph.spec.origin.diagnostic(
            "dead-connection",
            ("connections", connection.index),
            f"{because}{_untrained(connection.parameters())}",
            repair="Raise `time.steps`, change the order, or leave the connection out.",
            label=connection.label,
            severity="warning",
        )


def _untrained(parameters: int) -> str:
    return f": its {parameters:,} parameters are not trained" if parameters else ""


def _read(unrolled: UnrolledGraph) -> str:
    steps: dict[str, list[str]] = {}
    for node in unrolled.readouts:
        steps.setdefault(unrolled.read_area(node), []).append(str(node.step))
    return " and of ".join(f"{area} at step {', '.join(at)}" for area, at in steps.items())
