"""Rolling: write the steady state as a loop, so that the size of the source does not grow with T."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from cortexgraph.errors import CompileError
from cortexgraph.graph import AreaGraph
from cortexgraph.unrolling import Loop, Node, UnrolledGraph, named_steps

Lowered = tuple[UnrolledGraph, UnrolledGraph]
"""The unrolled graph before and after passes."""
Lowering = Callable[[int], Lowered]
"""Makes both for a number of steps."""

LONGEST_PERIOD = 12
"""In steps. Activity that alternates between areas has short periods, about the length of a cycle of connections."""
REPEATS = 3
"""How often a period must repeat to be written as a loop."""

Pattern = Hashable
"""What a step does, in terms of its distance from other steps."""


def roll(graph: UnrolledGraph) -> UnrolledGraph:
    """Note the longest stretch of steps that do the same, of the shortest period (`Loop`).

    Requires: nodes in the order of execution. It runs after the passes that change what is computed.

    Ensures: all runs of the loop are in the graph, and are equal: in each, updates differ from those one period earlier
    in the number of the step, and in ordinals, which rise evenly; they read values at the same distance in time, or
    one and the same value from before the loop. Without a period that repeats `REPEATS` times the graph stays as it is.
    """
    patterns = _patterns(graph)
    shortest = graph.info.tbptt or 1  # each run of the body cuts gradients alike
    for period in range(shortest, min(LONGEST_PERIOD, graph.steps // REPEATS) + 1, shortest):
        for first, end in _steady(patterns, graph.steps, period):
            loop = _loop(graph, first, end, period)
            if loop is not None:
                return graph.noted(loop=loop)
    return graph


# ---- a network of many steps, from a few ---------------------------------------------


def lowered_by_loop(lower: Lowering, areas: AreaGraph, recorded: tuple[int, ...]) -> Lowered | None:
    """The graphs before and after passes, from as few steps as show a loop, which is made longer; None if none does.

    `lower` makes both graphs for a number of steps; `recorded` are the steps that a record names.
    """
    total, named = areas.spec.time.steps, max([0, *recorded, *named_steps(areas)])
    reach = _reach(areas)
    steps = max(16, 4 * reach, reach + 8 + named)  # nothing can change the state of the network later
    while 2 * steps < total:
        with suppress(CompileError):  # of a state that is silent so far
            full, kept = lower(steps)
            if kept.loop is not None and (rest := (total - steps) % kept.loop.period):
                period = kept.loop.period  # what is left must be a whole number of periods
                full, kept = lower(steps + rest)
                kept = kept if kept.loop is not None and kept.loop.period == period else kept.noted(loop=None)
            if kept.loop is not None and kept.loop.first > named:
                return _extended(full, kept.loop, total), _extended(kept, kept.loop, total)
        steps *= 2
    return None


def _extended(graph: UnrolledGraph, loop: Loop, steps: int) -> UnrolledGraph:
    """The same rolled graph for more steps, by a multiple of the loop's period."""
    times = loop.times + (steps - graph.steps) // loop.period
    return graph.noted(steps=steps, loop=replace(loop, times=times))


# ---- the pattern of a step ------------------------------------------------------------


def _reach(areas: AreaGraph) -> int:
    """How many steps back an update can read a fresh value: one, more by delays."""
    return 1 + max((connection.delay for connection in areas.connections), default=0)


def is_moving(graph: UnrolledGraph, source: Node, reader: Node) -> bool:
    """Whether a reader that repeats reads this value by its distance in time; otherwise it reads one and the same."""
    earlier = source.kind == "image" and source.step < graph.first
    static = source.kind == "zero" or graph.static(source) or earlier
    return not static and reader.step - source.step <= _reach(graph.areas)


def _patterns(graph: UnrolledGraph) -> dict[int, Pattern]:
    """For each step what it does: equal patterns, equal statements but for the number of the step."""
    needed = graph.live_past(graph.readouts)
    actions: dict[int, list[Hashable]] = {}
    for node in graph:
        if node.kind == "zero" or graph.given(node) or graph.static(node):
            continue
        reads = frozenset(
            (
                _place(graph, source, node),
                graph.constant(source),
                tuple(c.identifier for c in edge["connections"]),
                edge["memory"],
                graph.detached(source, node),
            )
            for source, _, edge in graph.in_edges(node, data=True)
        )
        known = (graph.live(node), graph.constant(node), node in needed, graph.segment(node.step) > 0)
        what = (*node._replace(step=0), *known, reads, graph.changes(node) if node.kind == "update" else ())
        actions.setdefault(node.step, []).append(what)
    return {step: tuple(whats) for step, whats in actions.items()}


def _place(graph: UnrolledGraph, source: Node, reader: Node) -> Hashable:
    """A value by its distance from a reader, or by itself."""
    return source._replace(step=source.step - reader.step) if is_moving(graph, source, reader) else (source,)


# ---- finding the loop ------------------------------------------------------------


def _steady(patterns: dict[int, Pattern], steps: int, period: int) -> Iterator[tuple[int, int]]:
    """Stretches of steps, `first` to before `end`, whose pattern comes again one period later; the longest first."""
    stretches, start = [], 1
    for step in range(1, steps - period + 2):
        if step > steps - period or patterns.get(step) != patterns.get(step + period):
            stretches.append((start, step + period))
            start = step + 1
    stretches = [(first, end) for first, end in stretches if any(step in patterns for step in range(first, end))]
    yield from sorted(stretches, key=lambda stretch: stretch[0] - stretch[1])


def _loop(graph: UnrolledGraph, first: int, end: int, period: int) -> Loop | None:
    """The loop of as many runs as the stretch has room for, from where all values that its runs carry are there.

    Each run finds them and leaves them to the next. Near the end of time some are read for the last time from before
    the loop, and no run makes them again.
    """
    while (times := (end - first) // period) >= REPEATS:
        loop = Loop(first := end - times * period, period, times, times, {})
        rates = _rates(graph, loop)
        if rates is not None and all(_is_carried(graph, loop, value) for value in carried_values(graph, loop)):
            return Loop(first, period, times, times, rates)
        first += 1
    return None


def _is_carried(graph: UnrolledGraph, loop: Loop, value: Carried) -> bool:
    """Whether the first run finds a value, and makes the one that takes its place if it comes from one run before."""
    made = value.start._replace(step=value.start.step + loop.period)
    return value.start in graph and (value.back > loop.period or made in graph)


def _rates(graph: UnrolledGraph, loop: Loop) -> dict[str, int] | None:
    """How far the ordinal of each area rises in one run; None if not evenly."""
    rates = {}
    for name, counts in graph.info.live_updates.items():
        every = (0, *counts)  # by the end of each step, from step 0 on
        rises = {every[step + loop.period] - every[step] for step in range(loop.first - 1, loop.end - loop.period)}
        if len(rises) != 1:
            return None
        (rates[name],) = rises
    return rates


# ---- the values that a loop carries -----------------------------------------------------------


class Carried(NamedTuple):
    """A value that each run of a loop's body finds, and leaves to the next.

    Attributes:
        start: the node whose value the first run finds.
        back: how many steps that is before the run begins, from 1.
        part: the visible state `h`, or a hidden one of the cell.
    """

    start: Node
    back: int
    part: str


def carried_values(graph: UnrolledGraph, loop: Loop) -> list[Carried]:
    """What each run of the body finds and leaves, the furthest back last.

    A value that a run reads from further back than one period, or that is read so after the loop, passes through the
    runs between.
    """
    carried: dict[Carried, None] = {}
    for read in _reads(graph):
        inside, behind = loop.first <= read.reader.step <= loop.last, read.reader.step >= loop.end
        if not (inside or behind) or not is_moving(graph, read.source, read.reader):
            continue
        back = (loop.first if inside else loop.end) - read.source.step
        if inside or (back > loop.period and read.source.step >= loop.first):
            while back > 0:
                carried.setdefault(Carried(read.source._replace(step=loop.first - back), back, read.part))
                back -= loop.period
    return sorted(carried, key=lambda value: value.back)


@dataclass(frozen=True)
class _Read:
    reader: Node
    source: Node
    part: str


def _reads(graph: UnrolledGraph) -> Iterator[_Read]:
    for source, reader, edge in graph.edges(data=True):
        if source.kind in {"update", "evaluation"} and graph.live(source) and graph.live(reader):
            yield from (_Read(reader, source, part) for part in parts_read(graph, source, edge))


def parts_read(graph: UnrolledGraph, source: Node, edge: dict[str, object]) -> Iterator[str]:
    """The parts of a value that are read along an edge: the visible state `h`, or hidden ones of the cell."""
    continued = graph.areas.area(source.name).cell.reads if source.kind == "update" and edge["memory"] else ()
    yield from continued
    if "h" not in continued and (edge["connections"] or not edge["memory"]):
        yield "h"
