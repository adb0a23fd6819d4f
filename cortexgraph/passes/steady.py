"""Steady states: where the steps of an unrolled graph repeat, and how a loop stands for them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cortexgraph.graph import AreaGraph
from cortexgraph.spec import Span
from cortexgraph.unrolling import Loop, Node, Repeat, UnrolledGraph, count_sets

__all__ = ["cut", "find_loop", "patterns", "reach_of", "short_clocks", "stretched"]

LONGEST_PERIOD = 12
"""In steps. Activity that alternates between areas has short periods, about the length of a cycle of connections."""

Pattern = Hashable
"""What a step does, in terms of its distance from other steps."""


def reach_of(areas: AreaGraph) -> int:
    """How many steps back an update can read: one, more by delays."""
    return 1 + max((connection.delay for connection in areas.connections), default=0)


# ---- what a step does --------------------------------------------------------


def patterns(graph: UnrolledGraph, reach: int) -> dict[int, Pattern]:
    """For each step what it does: equal patterns, equal statements but for the number of the step.

    Args:
        graph: a graph that is not rolled.
        reach: values of up to so many steps before are told by their distance, others by themselves.
    """
    found: dict[int, list[Hashable]] = {}
    for node, data in graph.nodes(data=True):
        if node.kind == "zero":
            continue
        reads = frozenset(
            (_place(source, node.step, reach), tuple(c.identifier for c in edge["connections"]), edge["memory"])
            for source, _, edge in graph.in_edges(node, data=True)
        )
        repeat: Repeat | None = data.get("repeat")
        told = None if repeat is None else (_place(repeat.of, node.step, reach), repeat.still, repeat.evaluation)
        counts = (data.get("read", False), data.get("counted"), data.get("again"))
        what = (node.kind, node.name, node.group, data["live"], graph.folded(node), reads, told, counts)
        found.setdefault(node.step, []).append(what)
    return {step: tuple(whats) for step, whats in found.items()}


def _place(source: Node, step: int, reach: int) -> Hashable:
    """A value by its distance from a step, or by itself if it is further away than `reach`."""
    if source.kind == "zero" or step - source.step > reach:
        return source
    return (source.kind, source.name, source.group, source.step - step)


# ---- finding the loop --------------------------------------------------------


def find_loop(*graphs: UnrolledGraph) -> Loop | None:
    """The longest steady state of the shortest period, as a loop that runs at least twice; None if there is none.

    A step is steady if its pattern comes again one period later, in each of the graphs. For the state of the network to
    be the same one period later, so must be the patterns of all steps between which values are read by distance: so
    many in a row are asked for. The loop begins where all values are there that its runs, and what follows it, read.

    Args:
        graphs: the graph before passes and after, or one alone; none is rolled. The first says how many updates of
            each area are live.
    """
    steps, reach = graphs[0].steps, reach_of(graphs[0].areas)
    views = [patterns(graph, reach) for graph in graphs]
    told = [tuple(view.get(step) for view in views) for step in range(1, steps + 1)]
    for period in range(1, min(LONGEST_PERIOD, steps // 2) + 1):
        start, length = _longest_run([one == other for one, other in zip(told, told[period:], strict=False)])
        first = start + 1 + max(0, reach - period)
        times = (start + length + period - first + 1) // period
        if length >= reach + period + 1 and times >= 2:
            loop = Loop(first, period, times, reach, _rates(graphs[0], first, period))
            if all(_counts_evenly(graph, loop) for graph in graphs):
                return loop
    return None


def short_clocks(areas: AreaGraph, recorded: Iterable[int]) -> Iterator[int]:
    """Numbers of steps, rising, that may show the steady state of a network of many more.

    They go beyond every step that the spec names; nothing else can change the state of the network.

    Args:
        areas: the network.
        recorded: steps that are to be recorded.
    """
    spec = areas.spec
    windows = [spec.input.present, *(c.active for c in areas.connections), *(r.at for r in areas.readouts)]
    named = [*recorded, *(step for window in windows for step in _named_steps(window))]
    delay = reach_of(areas)
    steps = max(16, 2 * delay, delay + 4 + max(named, default=0))
    while 2 * steps < spec.time.steps:
        yield steps
        steps *= 2


def _named_steps(window: str | tuple[int, ...] | Span) -> tuple[int, ...]:
    if isinstance(window, Span):
        return (window.first, window.last or window.first)
    return () if isinstance(window, str) else window


def _longest_run(same: Sequence[bool]) -> tuple[int, int]:
    """Where the longest run of True begins (from 0), and its length."""
    best, start = (0, 0), 0
    for n, equal in enumerate([*same, False]):
        if not equal:
            if n - start > best[1]:
                best = (start, n - start)
            start = n + 1
    return best


def _rates(graph: UnrolledGraph, first: int, period: int) -> dict[str, int]:
    """How far the ordinal of each area goes in one period, from the updates in the graph; 0 without any."""
    found = dict.fromkeys(graph.ordinals, 0)
    for node in graph.live_updates():
        later = node._replace(step=node.step + period)
        if first <= node.step < first + period and later in graph:
            found[node.name] = graph.ordinal(later) - graph.ordinal(node)
    return found


def _counts_evenly(graph: UnrolledGraph, loop: Loop) -> bool:
    """Whether the ordinals of all areas go up by the loop's rates from run to run."""
    end = loop.first + loop.times * loop.period
    for node in graph.live_updates():
        later = node._replace(step=node.step + loop.period)
        inside = loop.first <= node.step and later.step < end
        if inside and graph.ordinal(later) - graph.ordinal(node) != loop.rates[node.name]:
            return False
    return True


# ---- making the loop ---------------------------------------------------------


def cut(graph: UnrolledGraph, loop: Loop) -> UnrolledGraph:
    """The graph with only the first run of the loop's body; what comes after moves to just behind it."""
    rolled = UnrolledGraph(**graph.graph | {"loop": loop})
    end = loop.first + loop.times * loop.period
    moved = {node: _moved(node, loop, end) for node in graph if node.step <= loop.last or node.step >= end}
    for node, new in moved.items():
        rolled.add_node(new, **_moved_data(graph.nodes[node], node, loop, end))
    for node, new in moved.items():
        for source, _, edge in graph.in_edges(node, data=True):
            rolled.add_edge(_moved_source(source, node, loop, end), new, **edge)
    rolled.graph["folded"] = frozenset(new for node, new in moved.items() if graph.folded(node))
    rolled.graph["shared"] = dict(_moved_shared(graph, moved, loop, end))
    return rolled


def _moved(node: Node, loop: Loop, end: int) -> Node:
    return node._replace(step=node.step - loop.skipped) if node.step >= end else node


def _moved_source(source: Node, reader: Node, loop: Loop, end: int) -> Node:
    """What a reader behind the loop reads by distance moves with it."""
    near = source.kind != "zero" and reader.step - source.step <= loop.reach
    return source._replace(step=source.step - loop.skipped) if near and reader.step >= end else source


def _moved_data(data: Mapping[str, Any], node: Node, loop: Loop, end: int) -> dict[str, Any]:
    found = dict(data)
    if node.step >= end and node.kind == "update" and data["live"]:
        found["ordinal"] = data["ordinal"] - loop.rates[node.name] * (loop.times - 1)
    if (repeat := data.get("repeat")) is not None:
        found["repeat"] = replace(repeat, of=_moved_source(repeat.of, node, loop, end))
    return found


def _moved_shared(
    graph: UnrolledGraph, moved: Mapping[Node, Node], loop: Loop, end: int
) -> Iterator[tuple[Node, Node]]:
    for node, first in graph.shared.items():
        if node.step <= loop.last or node.step >= end:
            yield _moved(node, loop, end), _moved_source(first, node, loop, end)


def stretched(rolled: UnrolledGraph, steps: int) -> UnrolledGraph:
    """The same rolled graph for more steps, by a multiple of the loop's period."""
    loop = rolled.loop
    assert loop is not None
    more = (steps - rolled.steps) // loop.period
    ordinals = {name: number + more * loop.rates[name] for name, number in rolled.ordinals.items()}
    rolled.graph |= {"loop": replace(loop, times=loop.times + more), "steps": steps, "ordinals": ordinals}
    rolled.graph["sets"] = count_sets(rolled)
    return rolled
