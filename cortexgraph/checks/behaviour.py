"""What the unrolled network computes: silent readouts and records, dead parameters, image-independent readouts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import index
from typing import SupportsIndex

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.passes import prune
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling import Node, UnrolledGraph, add_sink, first_responses, response_text, unroll_graph
from cortexgraph.unrolling.latency import Response
from cortexgraph.wording import listed, quoted, shortened, suggest

__all__ = [
    "Record",
    "dead_parameters",
    "image_independent",
    "named_steps",
    "record_sinks",
    "silent_sinks",
    "single_update",
]

MOST_READS = 20_000
"""How many updates and reads are looked at to say how many steps a repair needs."""


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
        named = kind == "record" or readouts[name].at not in ("last", "all")
        repair = _repair(unrolled, area, steps, responses.get(area), named=named)
        if kind == "readout":
            path = ("readout", readouts[name].index, "at")
            yield graph.spec.origin.diagnostic("silent-readout", path, found, expected, repair)
        else:
            yield Diagnostic("silent-record", f"record {area}", found, expected, repair)


def _repair(unrolled: UnrolledGraph, area: str, silent: list[int], response: Response | None, *, named: bool) -> str:
    live = unrolled.live_steps(area)
    if live and any(live[0] < step for step in silent):
        return (
            f"{area} falls silent when nothing drives it: read it at step {shortened(listed([*map(str, live)], 'or'))}."
        )
    if response is None:
        return "Choose another order, or shorter delays and wider windows between the image and the area."
    raised = f"raise `time.steps` to {response.step}"
    if named:
        read = f"Read {area} at step {response.step} or later"
        return (
            f"{read}, choose another order, or a shorter path."
            if response.step <= unrolled.steps
            else (f"{read} and {raised}, or choose another order or a shorter path.")
        )
    return f"{raised.capitalize()}, or choose another order or a shorter path."


class _Longer:
    """The network unrolled over more steps, to say how many a repair needs."""

    def __init__(self, unrolled: UnrolledGraph) -> None:
        self.areas, self.groups, self.first = unrolled.areas, unrolled.groups, unrolled.steps + 1
        delays = sum(connection.delay + 1 for connection in self.areas.connections)
        in_step = sum(map(len, self.groups)) + len(self.areas.connections)
        self.end = min(unrolled.steps + delays, max(unrolled.steps, MOST_READS // max(1, in_step)))
        self.graphs: dict[int, UnrolledGraph] = {}

    def until(self, holds: Callable[[UnrolledGraph], bool]) -> int | None:
        """The least number of steps for which it holds; None if that is not found within bounds."""
        low, high = self.first, self.first
        if high > self.end:
            return None
        while not holds(self.at(high)):
            if high >= self.end:
                return None
            low, high = high + 1, min(2 * high, self.end)
        return next(steps for steps in range(low, high + 1) if holds(self.at(steps)))

    def at(self, steps: int) -> UnrolledGraph:
        if steps not in self.graphs:
            self.graphs[steps] = prune(unroll_graph(self.areas, steps, self.groups))
        return self.graphs[steps]

    def repair(self, holds: Callable[[UnrolledGraph], bool], otherwise: str) -> str:
        """The repair that raises the number of steps, where that helps, or is another one."""
        steps = self.until(holds)
        return f"Raise `time.steps` to {steps}, {otherwise}." if steps else f"{otherwise[:1].upper()}{otherwise[1:]}."


def dead_parameters(full: UnrolledGraph) -> Iterator[Diagnostic]:
    """`dead-area` and `dead-connection` (warnings): what no readout reaches back to within T steps.

    A connection at a dead area goes without saying, and so does everything when a readout is silent.
    """
    unrolled, graph = prune(full), full.areas
    if not unrolled.readouts:
        return
    updated, read = _updated(unrolled), _evaluated(unrolled)
    longer = _Longer(full)
    because = f"the readout of {_read(unrolled)} does not depend on it"
    for area in graph.areas:
        if area.name not in updated:
            yield graph.spec.origin.diagnostic(
                "dead-area",
                ("areas", area.name),
                f"{because}{_untrained(area.parameters())}",
                repair=longer.repair(
                    partial(_updates, area.name),
                    "connect the area towards the readout, or keep it to record from",
                ),
                severity="warning",
            )
    for connection in graph.connections:
        if connection.identifier in read or not {connection.source, connection.target} <= {IMAGE, *updated}:
            continue
        if connection.active == "never" or connection.delay >= graph.spec.time.steps:
            continue  # intended, or a finding of its own
        yield graph.spec.origin.diagnostic(
            "dead-connection",
            ("connections", connection.index),
            f"{because}{_untrained(connection.parameters())}",
            repair=longer.repair(
                partial(_evaluates, connection.identifier),
                "change the order, or leave the connection out",
            ),
            label=connection.label,
            severity="warning",
        )


def _updated(unrolled: UnrolledGraph) -> set[str]:
    return {node.name for node in unrolled.updates()}


def _evaluated(unrolled: UnrolledGraph) -> set[str]:
    return {connection.identifier for node in unrolled.updates() for connection, _ in unrolled.terms(node)}


def _updates(area: str, unrolled: UnrolledGraph) -> bool:
    return area in _updated(unrolled)


def _updates_twice(area: str, unrolled: UnrolledGraph) -> bool:
    return unrolled.ordinals.get(area, 0) > 1


def _evaluates(connection: str, unrolled: UnrolledGraph) -> bool:
    return connection in _evaluated(unrolled)


def _untrained(parameters: int) -> str:
    return f": its {parameters:,} parameters are not trained" if parameters else ""


def _read(unrolled: UnrolledGraph) -> str:
    source = {readout.name: readout.source for readout in unrolled.areas.readouts}
    steps: dict[str, list[str]] = {}
    for node in unrolled.readouts:
        steps.setdefault(source[node.name], []).append(str(node.step))
    return " and of ".join(f"{area} at step {', '.join(at)}" for area, at in steps.items())


def image_independent(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`image-independent` (a warning): a readout that is the same for every image, as biases make of zeros."""
    seen = unrolled.from_image()
    unseen: dict[str, list[str]] = {}
    for node in unrolled.readouts:
        if unrolled.live(node) and node not in seen:
            unseen.setdefault(node.name, []).append(str(node.step))
    for readout in unrolled.areas.readouts:
        constant = unseen.get(readout.name)
        if not constant:
            continue
        first = next((node.step for node in unrolled.live_updates(readout.source) if node in seen), None)
        since = f"{readout.source} first does at step {first}" if first else f"no state of {readout.source} does"
        yield unrolled.areas.spec.origin.diagnostic(
            "image-independent",
            ("readout", readout.index, "at"),
            f"the readout at step {shortened(listed(constant))} cannot depend on the image: {since}",
            repair="Read later, or use `silence: skip`, under which an area is silent until the image reaches it.",
            severity="warning",
        )


def single_update(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`single-update` (a warning): per-step parameters asked for where there is but one update."""
    spec, longer = unrolled.areas.spec, _Longer(unrolled)
    for area in unrolled.areas.areas:
        declared = spec.areas[area.name]
        own = declared.weights == "per_step" or declared.body is not None or (declared.norm and declared.norm.per_step)
        if own and area.per_step and unrolled.ordinals[area.name] == 1:
            yield spec.origin.diagnostic(
                "single-update",
                ("areas", area.name),
                f"{area.name} asks for parameters per step, and is updated once in {unrolled.steps} steps",
                repair=longer.repair(
                    partial(_updates_twice, area.name),
                    "or share the parameters: one set is all that there is",
                ),
                severity="warning",
            )


Record = str | Sequence[str] | Mapping[str, str | int | Sequence[int]]
"""States to return: for each area `all` (every step at which it is live), `last`, or a list of steps.

An area's name, or several, stand for all of their steps, and `all` alone stands for all steps of all areas.
"""


def record_sinks(graph: UnrolledGraph, record: Record) -> UnrolledGraph:
    """The graph with a node for each recorded state.

    Raises:
        CompileError: with all findings, for an unknown area, a step outside 1 … T, or an area that is silent at
            every step.
    """
    findings: list[Diagnostic] = []
    for name, asked in _by_area(graph, record).items():
        if name not in graph.areas.spec.areas:
            findings.append(_unknown(graph, name))
            continue
        words = {"all": [*graph.live_steps(name)], "last": [graph.steps]}
        steps = words.get(asked, []) if isinstance(asked, str) else _steps(asked)
        findings += _problems(graph, name, asked, steps)
        if not findings:
            for step in sorted(set(steps)):
                add_sink(graph, Node("record", name, step), name)
    if findings:
        raise CompileError(findings)
    return graph


def named_steps(record: Record) -> tuple[int, ...]:
    """The steps that a record names by their numbers."""
    return tuple(step for asked in record.values() for step in _steps(asked)) if isinstance(record, Mapping) else ()


def _by_area(graph: UnrolledGraph, record: Record) -> Mapping[str, object]:
    if isinstance(record, Mapping):
        return record
    if record == "all":
        return {name: "all" for name in graph.areas.spec.areas if graph.live_steps(name)}
    return dict.fromkeys([record] if isinstance(record, str) else record, "all")


def _steps(asked: object) -> list[int]:
    """Whole numbers, also those of other libraries, as Python's; none where something else was asked for."""
    with suppress(TypeError):
        return [_whole(asked)]
    with suppress(TypeError):
        return [_whole(step) for step in asked] if isinstance(asked, Iterable) else []
    return []


def _whole(number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, SupportsIndex):
        raise TypeError
    return index(number)


def _problems(graph: UnrolledGraph, name: str, asked: object, steps: list[int]) -> Iterator[Diagnostic]:
    if not steps and isinstance(asked, str) and asked == "all":
        found = f"{name} is silent at all {graph.steps} steps"
        response = first_responses(graph.areas, graph.groups).get(name)
        repair = _repair(graph, name, [], response, named=False)
        yield Diagnostic("silent-record", f"record {name}", found, repair=repair)
    elif not steps:
        expected = "a record is `all`, `last`, a step or a list of steps"
        yield Diagnostic("bad-record", f"record {name}", f"{asked!r} was asked for", expected)
    beyond = [str(step) for step in steps if not 1 <= step <= graph.steps]
    if beyond:
        yield Diagnostic(
            "step-beyond-end",
            f"record {name}",
            f"step {', '.join(beyond)} was asked for",
            f"the network runs for {graph.steps} steps",
            "Name steps from 1 to T, or raise `steps`.",
        )


def _unknown(graph: UnrolledGraph, name: str) -> Diagnostic:
    known = list(graph.areas.spec.areas)
    return Diagnostic(
        "unknown-area",
        "record",
        f"no area is called `{name}`",
        f"there are {quoted(known)}",
        suggest(name, known, "Name a declared area."),
    )
