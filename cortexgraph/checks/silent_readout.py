"""No readout reads an area before the image has reached it."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.unrolling import UnrolledGraph, first_responses, order_name, unroll_graph
from cortexgraph.wording import listed, shortened

__all__ = ["silent_readout", "silent_sinks"]


def silent_readout(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`silent-readout`: says when the area first responds, and by which path."""
    yield from silent_sinks(unroll_graph(graph))


def silent_sinks(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """The readouts and records that would be empty."""
    graph = unrolled.areas
    silent = [node for node in (*unrolled.readouts, *unrolled.records) if not unrolled.live(node)]
    missing = [] if unrolled.readouts else [(graph.readout.source, "readout", "at any step")]
    where = [(node.name, node.kind, f"at step {node.step}") for node in silent]
    fallen = {node.name for node in silent if min(unrolled.live_steps(node.name), default=node.step) < node.step}
    for name, kind, when in missing + where:
        found, expected = _first(unrolled, name), f"a {kind} {when} of {unrolled.steps} would be empty"
        repair = "Read later, raise `time.steps`, or choose another order or a shorter path."
        if name in fallen:
            steps = shortened(listed([*map(str, unrolled.live_steps(name))], "or"))
            repair = f"{name} falls silent when nothing drives it: read it at step {steps}."
        if kind == "readout":
            yield graph.spec.origin.diagnostic("silent-readout", ("readout", "at"), found, expected, repair)
        else:
            yield Diagnostic("silent-record", f"record {name}", found, expected, repair)


def _first(unrolled: UnrolledGraph, name: str) -> str:
    response = first_responses(unrolled.areas, unrolled.groups).get(name)
    if response is None:
        return f"{name} never responds"
    path = " → ".join(response.path)
    order = order_name(unrolled.order)
    return f"{name} first responds at step {response.step} ({path} under {order} order)"
