"""What the unrolled network computes: silent readouts and records, dead parameters, image-independent readouts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import index
from typing import SupportsIndex

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.passes import prune
from cortexgraph.spec.origin import Path
from cortexgraph.unrolling import Node, UnrolledGraph, add_sink, first_responses, response_text, unroll_graph
from cortexgraph.unrolling.latency import Response
from cortexgraph.wording import listed, shortened, steps_text, unknown_area

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
        response = responses.get(area)
        when = f"at {_steps_text(steps)} of {unrolled.steps}" if steps else f"up to step {unrolled.steps}"
        problem = response_text(unrolled, area, response)
        expected = f"a {kind} {when} would be empty"
        named = kind == "record" or readouts[name].at not in ("last", "all")
        repair = _repair(unrolled, area, steps, response, named=named)
        if kind == "readout":
            path = ("readout", readouts[name].index, "at")
            yield graph.spec.diagnostic("silent-readout", path, problem, expected, repair)
        else:
            yield Diagnostic("silent-record", f"record {area}", problem, expected, repair)


def _steps_text(steps: Iterable[int], conjunction: str = "and") -> str:
    return f"step {shortened(listed([*map(str, steps)], conjunction))}"


def _repair(unrolled: UnrolledGraph, area: str, silent: list[int], response: Response | None, *, named: bool) -> str:
    live = unrolled.live_steps(area)
    if live and any(live[0] < step for step in silent):
        return f"{area} falls silent when nothing drives it: read it at {_steps_text(live, 'or')}."
    if response is None:
        return "Choose another order, or shorter delays and wider windows between the image and the area."
    if not named:
        return f"Raise `time.steps` to {response.step}, or choose another order or a shorter path."
    read = f"Read {area} at step {response.step} or later"
    if response.step <= unrolled.steps:
        return f"{read}, or choose another order or a shorter path."
    return f"{read} and raise `time.steps` to {response.step}, or choose another order or a shorter path."


class _Longer:
    """The network unrolled over more steps, to say how many a repair needs."""

    def __init__(self, unrolled: UnrolledGraph) -> None:
        self.areas, self.groups, self.first = unrolled.areas, unrolled.groups, unrolled.steps + 1
        delays = sum(connection.delay + 1 for connection in self.areas.connections)
        in_step = sum(map(len, self.groups)) + len(self.areas.connections)
        self.end = min(unrolled.steps + delays, max(unrolled.steps, MOST_READS // max(1, in_step)))
        self.graphs: dict[int, UnrolledGraph] = {}

    def repair(self, names: Callable[[UnrolledGraph], set[str]], name: str, otherwise: str) -> str:
        """The repair that raises the number of steps until the name is among those, if any does, or another one."""
        steps = self.until(names, name)
        return f"Raise `time.steps` to {steps}, {otherwise}." if steps else f"{otherwise[:1].upper()}{otherwise[1:]}."

    def until(self, names: Callable[[UnrolledGraph], set[str]], name: str) -> int | None:
        """The least number of steps with the name among those; None if that is not found within bounds."""
        low, high = self.first, self.first
        if high > self.end:
            return None
        while name not in names(self.at(high)):
            if high >= self.end:
                return None
            low, high = high + 1, min(2 * high, self.end)
        return next(steps for steps in range(low, high + 1) if name in names(self.at(steps)))

    def at(self, steps: int) -> UnrolledGraph:
        if steps not in self.graphs:
            self.graphs[steps] = prune(unroll_graph(self.areas, steps, self.groups))
        return self.graphs[steps]


def dead_parameters(full: UnrolledGraph) -> Iterator[Diagnostic]:
    """`dead-area` and `dead-connection` (warnings): what no readout reaches back to within T steps.

    A connection at a dead area goes without saying, and so does everything when a readout is silent.
    """
    unrolled, graph, longer = prune(full), full.areas, _Longer(full)
    if not unrolled.readouts:
        return
    updated, evaluated = _updated(unrolled), _evaluated(unrolled)
    source = {readout.name: readout.source for readout in graph.readouts}
    steps: dict[str, list[int]] = {}
    for node in unrolled.readouts:
        steps.setdefault(source[node.name], []).append(node.step)
    read = " and of ".join(f"{area} at {steps_text(sorted(at))}" for area, at in steps.items())
    problem = f"the readout of {read} does not depend on this"
    for area in graph.areas:
        if area.name not in updated:
            otherwise = "connect the area towards the readout, or keep it to record from"
            repair, untrained = longer.repair(_updated, area.name, otherwise), _untrained(area.parameters())
            place: Path = ("areas", area.name)
            yield graph.spec.diagnostic(
                "dead-area", place, f"{problem} area{untrained}", repair=repair, severity="warning"
            )
    for connection in graph.connections:
        known = {connection.source, connection.target} <= {*graph.input_names, *updated}
        intended = connection.active == "never" or connection.delay >= graph.spec.time.steps  # or has its own finding
        if known and not intended and connection.identifier not in evaluated:
            otherwise, place = "change the order, or remove the connection", ("connections", connection.index)
            repair = longer.repair(_evaluated, connection.identifier, otherwise)
            found = f"{problem} connection{_untrained(connection.parameters())}"
            yield graph.spec.diagnostic("dead-connection", place, found, repair=repair, severity="warning")


def _updated(unrolled: UnrolledGraph) -> set[str]:
    """The areas that are updated."""
    return {node.name for node in unrolled.updates()}


def _updated_twice(unrolled: UnrolledGraph) -> set[str]:
    return {area for area, updates in unrolled.ordinals.items() if updates > 1}


def _evaluated(unrolled: UnrolledGraph) -> set[str]:
    """The identifiers of the connections that are read."""
    return {connection.identifier for node in unrolled.updates() for connection, _ in unrolled.terms(node)}


def _untrained(parameters: int) -> str:
    return f": its {parameters:,} parameters are not trained" if parameters else ""


def image_independent(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`image-independent` (a warning): a readout that is the same for every image, as biases make of zeros."""
    seen = unrolled.from_image()
    unseen: dict[str, list[int]] = {}
    for node in unrolled.readouts:
        if unrolled.live(node) and node not in seen:
            unseen.setdefault(node.name, []).append(node.step)
    for readout in unrolled.areas.readouts:
        constant = unseen.get(readout.name)
        if not constant:
            continue
        first = next((node.step for node in unrolled.live_updates(readout.source) if node in seen), None)
        since = (
            f"{readout.source} first depends on it at step {first}" if first else f"no state of {readout.source} does"
        )
        problem = f"the readout at {_steps_text(constant)} does not depend on the image: {since}"
        repair = "Read later, or use `silence: skip`, under which an area is silent until the image reaches it."
        if any(area.start for area in unrolled.areas.areas):
            repair = "Read later, or remove `start`, so that areas are silent until the image reaches them."
        path = ("readout", readout.index, "at")
        yield unrolled.areas.spec.diagnostic("image-independent", path, problem, repair=repair, severity="warning")


def single_update(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`single-update` (a warning): per-step parameters asked for where there is but one update."""
    spec, longer = unrolled.areas.spec, _Longer(unrolled)
    for area in unrolled.areas.areas:
        declared = spec.areas[area.name]
        own = declared.weights == "per_step" or declared.body is not None or (declared.norm and declared.norm.per_step)
        if own and area.per_step and unrolled.ordinals[area.name] == 1:
            problem = f"{area.name} has parameters per step, but is updated only once in {unrolled.steps} steps"
            repair = longer.repair(_updated_twice, area.name, "or share the parameters: there is only one set")
            path = ("areas", area.name)
            yield spec.diagnostic("single-update", path, problem, repair=repair, severity="warning")


Record = str | Sequence[str] | Mapping[str, str | int | Sequence[int]]
"""States to return: for each area `all` (every step at which it is live), `last`, or a list of steps.

An area's name, or several, stand for all of their steps, and `all` alone stands for all steps of all areas.
"""


def record_sinks(graph: UnrolledGraph, record: Record) -> UnrolledGraph:
    """The graph with a node for each recorded state.

    Raises CompileError with all findings: unknown areas, steps outside 1 … T, areas that are silent at every step.
    """
    areas = graph.areas.spec.areas
    if isinstance(record, str) and record == "all":
        asked_by_area: Mapping[str, object] = {name: "all" for name in areas if graph.live_steps(name)}
    elif isinstance(record, Mapping):
        asked_by_area = record
    else:
        asked_by_area = dict.fromkeys([record] if isinstance(record, str) else record, "all")
    findings: list[Diagnostic] = []
    for name, asked in asked_by_area.items():
        if name not in areas:
            findings.append(Diagnostic("unknown-area", "record", *unknown_area(name, areas)))
            continue
        words = {"all": [*graph.live_steps(name)], "last": [graph.steps]}
        steps = words.get(asked, []) if isinstance(asked, str) else _steps(asked)
        findings += _problems(graph, name, asked, steps) if graph.info.piece is None else ()
        if not findings:
            for step in sorted(set(steps)):
                add_sink(graph, Node("record", name, step), name)
    if findings:
        raise CompileError(findings)
    return graph


def named_steps(record: Record) -> tuple[int, ...]:
    """The steps that a record names by their numbers."""
    return tuple(step for asked in record.values() for step in _steps(asked)) if isinstance(record, Mapping) else ()


def _steps(asked: object) -> list[int]:
    """Whole numbers, also those of other libraries, as Python's; none where something else was asked for."""
    for numbers in ([asked], asked if isinstance(asked, Iterable) else []):
        with suppress(TypeError):
            return [_whole(number) for number in numbers]
    return []


def _whole(number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, SupportsIndex):
        raise TypeError
    return index(number)


def _problems(graph: UnrolledGraph, name: str, asked: object, steps: list[int]) -> Iterator[Diagnostic]:
    place = f"record {name}"
    if not steps and isinstance(asked, str) and asked == "all":
        response = first_responses(graph.areas, graph.groups).get(name)
        repair = _repair(graph, name, [], response, named=False)
        yield Diagnostic("silent-record", place, f"{name} is silent at all {graph.steps} steps", repair=repair)
    elif not steps:
        expected = "a record is `all`, `last`, a step or a list of steps"
        yield Diagnostic("bad-record", place, f"{asked!r} was asked for", expected)
    beyond = [str(step) for step in steps if not 1 <= step <= graph.steps]
    if beyond:
        problem, expected = f"step {', '.join(beyond)} was asked for", f"the network runs for {graph.steps} steps"
        yield Diagnostic("step-beyond-end", place, problem, expected, "Name steps from 1 to T, or raise `steps`.")
