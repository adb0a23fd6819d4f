"""No readout reads an area before the image has reached it."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.unrolling import UnrolledGraph, first_responses, response_text
from cortexgraph.wording import listed, shortened

__all__ = ["silent_sinks"]


def silent_sinks(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`silent-readout` and `silent-record`: those that would be empty; says when the area first responds, and how."""
    graph = unrolled.areas
    silent: dict[tuple[str, str], list[int]] = {}
    for node in (*unrolled.readouts, *unrolled.records):
        if not unrolled.live(node):
            silent.setdefault((node.kind, node.name), []).append(node.step)
    read = {node.name for node in unrolled.readouts}
    silent |= {("readout", readout.name): [] for readout in graph.readouts if readout.name not in read}
    if not silent:
        return
    readouts = {readout.name: readout for readout in graph.readouts}
    responses = first_responses(graph, unrolled.groups)
    for (kind, name), steps in sorted(silent.items(), key=lambda entry: entry[0][0], reverse=True):
        area = readouts[name].source if kind == "readout" else name
        when = f"at step {shortened(listed([*map(str, steps)]))}" if steps else "at any step"
        found, expected = (
            response_text(unrolled, area, responses.get(area)),
            f"a {kind} {when} of {unrolled.steps} would be empty",
        )
        repair = _repair(area, steps, unrolled.live_steps(area))
        if kind == "readout":
            path = ("readout", readouts[name].index, "at")
            yield graph.spec.origin.diagnostic("silent-readout", path, found, expected, repair)
        else:
            yield Diagnostic("silent-record", f"record {area}", found, expected, repair)


def _repair(area: str, silent: list[int], live: tuple[int, ...]) -> str:
    if live and any(live[0] < step for step in silent):
        return (
            f"{area} falls silent when nothing drives it: read it at step {shortened(listed([*map(str, live)], 'or'))}."
        )
    return "Read later, raise `time.steps`, or choose another order or a shorter path."
