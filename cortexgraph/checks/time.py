"""Steps, delays and the number of updates lie within the time the network runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import Area, AreaGraph, Connection
from cortexgraph.ops import Elementwise, GainOperation, GateOperation
from cortexgraph.spec import Span
from cortexgraph.spec.origin import Path
from cortexgraph.unrolling import groups_of
from cortexgraph.wording import count_of, count_text, flow, listed, shortened


def steps(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`step-beyond-end` and `repeated-step`, for readouts, inputs and activity windows; `warmup-beyond-end`."""
    spec, last = graph.spec, graph.spec.time.steps
    if spec.time.warmup >= last:
        problem, expected = f"the warm-up takes {spec.time.warmup} steps", f"the network runs for {last} steps"
        repair = (
            f"Shorten it to {count_of(last - 1, 'step')} or fewer, or raise `time.steps` to {spec.time.warmup + 1}."
        )
        yield spec.diagnostic("warmup-beyond-end", ("time", "warmup"), problem, expected, repair)
    windows: list[tuple[Path, str | Span | tuple[int, ...]]] = [
        ((*spec.input_path(name), "present"), each.present) for name, each in spec.inputs.items()
    ]
    windows += [(("readout", n, "at"), readout.at) for n, readout in enumerate(spec.readouts)]
    windows += [(("connections", n, "active"), connection.active) for n, connection in enumerate(spec.connections)]
    for path, window in windows:
        if isinstance(window, str):
            continue
        named = [window.first, window.last or 1] if isinstance(window, Span) else window
        beyond = sorted({step for step in named if step > last})
        repeated = [] if isinstance(window, Span) else [n for n, count in Counter(window).items() if count > 1]
        if beyond:
            problem, expected = f"{_steps(beyond)} is named", f"the network runs for {last} steps"
            repair = f"Name earlier steps, or raise `time.steps` to {beyond[-1]}."
            yield spec.diagnostic("step-beyond-end", path, problem, expected, repair)
        if repeated:
            problem = f"{_steps(repeated)} is named more than once"
            yield spec.diagnostic("repeated-step", path, problem, repair="Name each step once.")


def _steps(numbers: list[int]) -> str:
    return f"step {shortened(listed([*map(str, numbers)]))}"


def delays(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`delay-without-dt`, `delay-rounded` (a warning) and `delay-beyond-end` (a warning)."""
    spec, dt = graph.spec, graph.spec.time.dt_ms
    for index, declared in enumerate(spec.connections):
        path, delay = ("connections", index, "delay_ms"), declared.delay_ms
        if delay is not None and dt is None:
            problem, expected = f"the delay is {delay:g} ms", "the duration of a step is not known"
            repair = "Give `time.dt_ms`, or the delay in steps."
            yield spec.diagnostic("delay-without-dt", path, problem, expected, repair)
        elif delay is not None and dt is not None and abs(delay / dt - round(delay / dt)) > 1e-6:
            problem = f"{delay:g} ms are {delay / dt:.3g} steps of {dt:g} ms, rounded to {int(delay / dt + 0.5)}"
            repair = "Give a delay of whole steps, or another `time.dt_ms`."
            yield spec.diagnostic("delay-rounded", path, problem, repair=repair, severity="warning")
    for connection in graph.connections:
        if connection.delay >= spec.time.steps:
            path = ("connections", connection.index, "delay")
            problem = f"the delay of {connection.delay} steps is as long as the run: the connection is never read"
            repair = f"Shorten the delay, or raise `time.steps` to {connection.delay + 1} or more."
            yield spec.diagnostic("delay-beyond-end", path, problem, repair=repair, severity="warning")


def late_relays(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`late-relay` (a warning): an area that only passes a term on to another one, which gets it a step too late.

    The other area also reads what the relay reads, or the relay reads its state, so that two steps meet in one sum.
    """
    outgoing: dict[str, list[Connection]] = {}
    for connection in graph.connections:
        if connection.active != "never":
            outgoing.setdefault(connection.source, []).append(connection)
    read = {readout.source for readout in graph.readouts}
    groups = groups_of(graph, graph.spec.time.order)
    groups_with = {area.name: {i for i, group in enumerate(groups) if area.name in group} for area in graph.areas}
    found = [
        (area, out, sources)
        for area in graph.areas
        if area.name not in read and len(outgoing.get(area.name, ())) == 1
        for out, sources in _relayed(graph, area, outgoing[area.name][0])
        if groups_with[area.name] & groups_with.get(out.target, set())
    ]
    targets = {area.name: out.target for area, out, _ in found}
    rest = [area.name for area in graph.areas if area.name not in targets]
    order = [[name] for name in sorted(targets, key=lambda name: -_relays_behind(name, targets))] + [rest]
    order_text = shortened(flow(order), 120)
    for area, out, sources in found:
        problem = (
            f"{area.name} passes {listed(sources)} on to {out.target} a step late: through it {out.target} reads "
            f"{listed(sources)} of step t − 2"
        )
        expected = "what it reads directly is of step t − 1"
        repair = f"Update {area.name} before {out.target}: `order: {order_text}` under `time`."
        yield graph.spec.diagnostic("late-relay", ("areas", area.name), problem, expected, repair, severity="warning")


def _relayed(graph: AreaGraph, area: Area, out: Connection) -> Iterator[tuple[Connection, list[str]]]:
    """The only connection of an area, if it passes on the area's value as it is, and the sources that come late."""
    if area.cell.has_memory or out.target == area.name or out.delay:
        return
    passes = all(isinstance(op, Elementwise | GainOperation | GateOperation) for op in out.transform.operations)
    direct = {c.source for c in graph.incoming(out.target)} | {out.target}
    sources = [c.source for c in graph.incoming(area.name) if c.source in direct and graph.is_area(c.source)]
    if passes and sources:
        yield out, list(dict.fromkeys(sources))


def _relays_behind(name: str, targets: Mapping[str, str]) -> int:
    """How many relays follow a relay, one after another, itself included; `targets` are the areas that relays drive."""
    behind: set[str] = set()
    while name in targets and name not in behind:
        behind.add(name)
        name = targets[name]
    return len(behind)


MAX_UPDATES = 60_000
MAX_READS = 300_000
"""Of states, by connections: each of the two bounds takes a few seconds to unroll and check."""


def too_many_updates(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`too-many-updates`: more than can be unrolled in reasonable time."""
    steps, groups = graph.spec.time.steps, groups_of(graph, graph.spec.time.order)
    times = Counter(name for group in groups for name in group)
    reads = sum(times[connection.target] for connection in graph.connections)
    every_step = sum(readout.at == "all" for readout in graph.readouts)
    for what, in_step, most in (
        ("updates", times.total(), MAX_UPDATES),
        ("reads by connections", reads, MAX_READS),
        ("readouts", every_step, MAX_UPDATES),
    ):
        if in_step * steps > most:
            problem = f"{steps:,} steps of {in_step:,} {what} make {count_text(in_step * steps)}"
            repair = f"Choose at most {most // in_step:,} steps." if most >= in_step else "Choose a smaller network."
            expected = f"the limit is {count_text(most)}"
            yield graph.spec.diagnostic("too-many-updates", ("time", "steps"), problem, expected, repair)
            return
