"""Folding of long unrollings: runs of steps that look alike are drawn once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from cortexgraph.unrolling import Loop, Node, UnrolledGraph

__all__ = ["Span", "columns", "unrolled_columns"]

LONGEST_PERIOD = 6


@dataclass(frozen=True)
class Span:
    """A column of the drawing: one step, or several that repeat with a period."""

    first: int
    last: int
    period: int = 1

    @property
    def folded(self) -> bool:
        return self.last > self.first

    @property
    def repeats(self) -> int:
        return (self.last - self.first) // self.period + 1

    def __str__(self) -> str:
        return f"{self.first}–{self.last}" if self.folded else str(self.first)


def columns(
    graph: UnrolledGraph, status: Mapping[Node, str], nodes: Sequence[Node], least: int | None
) -> tuple[Span, ...]:
    """The columns of a drawing of some nodes, from their first to their last step.

    A run of steps in which the same is computed from the same keeps its first and its last repetition; those between
    are folded into one column, if there are at least `least` of them (None: nothing is folded).
    """
    first, last = min(node.step for node in nodes), max(node.step for node in nodes)
    if least is None:
        return tuple(Span(step, step) for step in range(first, last + 1))
    looks = _looks(graph, status, nodes)
    signs = [looks.get(step, frozenset()) for step in range(first, last + 1)]
    found: list[Span] = []
    place = 0
    while place < len(signs):
        period, repeats = _run(signs, place, least + 2)
        head, tail = place + period, place + period * (repeats - 1)
        if repeats >= least + 2:
            found += [Span(first + n, first + n) for n in range(place, head)]
            found.append(Span(first + head, first + tail - 1, period))
            found += [Span(first + n, first + n) for n in range(tail, tail + period)]
            place = tail + period
        else:
            found.append(Span(first + place, first + place))
            place += 1
    return tuple(found)


def unrolled_columns(spans: tuple[Span, ...], loop: Loop) -> tuple[Span, ...]:
    """The columns of a graph that is rolled, by their true steps: those of the loop's body stand for all its runs."""

    def true(step: int) -> Span:
        if step < loop.first:
            return Span(step, step)
        if step <= loop.last:
            return Span(step, step + loop.period * (loop.times - 1), loop.period)
        return Span(step + loop.skipped, step + loop.skipped)

    return tuple(true(span.first) for span in spans)


def _run(signs: Sequence[Hashable], start: int, enough: int) -> tuple[int, int]:
    """Period and number of repetitions of the run that begins here: the shortest period that repeats enough."""
    for period in range(1, LONGEST_PERIOD + 1):
        end = start + period
        while end < len(signs) and signs[end] == signs[end - period]:
            end += 1
        if (end - start) // period >= enough:
            return period, (end - start) // period
    return 1, 1


def _looks(
    graph: UnrolledGraph, status: Mapping[Node, str], nodes: Sequence[Node]
) -> dict[int, frozenset[tuple[Hashable, ...]]]:
    """What is drawn in each step, relative to the step: nodes with their status, and what each reads."""
    shown, found = set(nodes), dict[int, set[tuple[Hashable, ...]]]()
    for node in nodes:
        sign = found.setdefault(node.step, set())
        sign.add((node.kind, node.name, node.group, status[node]))
        for source, _, data in graph.in_edges(node, data=True):
            if source in shown:
                read = tuple(connection.identifier for connection in data["connections"])
                ends = (source.kind, source.name, source.group, node.step - source.step, node.kind, node.name)
                sign.add((*ends, node.group, status[source], read, data["memory"]))
    return {step: frozenset(sign) for step, sign in found.items()}
