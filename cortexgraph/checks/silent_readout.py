"""No readout reads an area before the image has reached it."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.unrolling import UnrolledGraph, first_responses, order_name
from cortexgraph.wording import listed, shortened

__all__ = ["silent_sinks"]


def silent_sinks(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`silent-readout` and `silent-record`: those that would be empty; says when the area first responds, and how."""
    graph = unrolled.areas
    silent = [node for node in (*unrolled.readouts, *unrolled.records) if not unrolled.live(node)]
    read = {node.name for node in unrolled.readouts}
    missing = [(r.source, "readout", "at any step", r.index) for r in graph.readouts if r.name not in read]
    index = {readout.name: readout.index for readout in graph.readouts}
    where = [(unrolled.read_area(n), n.kind, f"at step {n.step}", index.get(n.name, 0)) for n in silent]
    areas = {(unrolled.read_area(node), node.step) for node in silent}
    fallen = {name for name, step in areas if min(unrolled.live_steps(name), default=step) < step}
    for name, kind, when, number in missing + where:
        found, expected = _first(unrolled, name), f"a {kind} {when} of {unrolled.steps} would be empty"
        repair = "Read later, raise `time.steps`, or choose another order or a shorter path."
        if name in fallen:
            steps = shortened(listed([*map(str, unrolled.live_steps(name))], "or"))
            repair = f"{name} falls silent when nothing drives it: read it at step {steps}."
        if kind == "readout":
            yield graph.spec.origin.diagnostic("silent-readout", ("readout", number, "at"), found, expected, repair)
        else:
            yield Diagnostic("silent-record", f"record {name}", found, expected, repair)


def _first(unrolled: UnrolledGraph, name: str) -> str:
    response = first_responses(unrolled.areas, unrolled.groups).get(name)
    if response is None:
        return f"{name} never responds"
    path = " → ".join(response.path)
    order = order_name(unrolled.order)
    return f"{name} first responds at step {response.step} ({path} under {order} order)"
