"""What a rolled graph's loop carries from run to run, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from cortexgraph.unrolling.model import Loop, Node, UnrolledGraph

__all__ = ["Carried", "Carries", "carries", "is_inline", "parts_read"]


class Carried(NamedTuple):
    """A value that an area or drive had some steps before a run of the loop's body begins, or after the last run.

    Attributes:
        node: whose value it is; its step is that before the first run.
        back: number of steps back, from 1.
        part: the visible state `h`, or a hidden one of the cell.
    """

    node: Node
    back: int
    part: str


@dataclass(frozen=True)
class Carries:
    """What goes into the loop, round, and out of it.

    Attributes:
        round: what each run finds and leaves to the next, the furthest back last.
        out: what is read by its distance after the last run.
        named: values of the body that go round or out, and those from before it that go in.
    """

    round: tuple[Carried, ...] = ()
    out: tuple[Carried, ...] = ()
    named: frozenset[tuple[Node, str]] = frozenset()


def carries(graph: UnrolledGraph) -> Carries:
    """What the loop of a graph carries; nothing where there is no loop."""
    loop = graph.loop
    if loop is None:
        return Carries()
    found: dict[Carried, None] = {}
    out: dict[Carried, None] = {}
    for reader in graph:
        if reader.step < loop.first or not graph.live(reader):
            continue
        behind = reader.step > loop.last
        start = loop.last + 1 if behind else loop.first
        for source, part in _near(graph, reader, loop):
            back = start - source.step
            if behind and back > 0:
                out.setdefault(Carried(source._replace(step=loop.first - back), back, part))
            if not behind or back > loop.period:
                _carry(found, source, back, part, loop)
    values = tuple(sorted(found, key=lambda value: value.back))
    ends = {(v.node._replace(step=loop.last + 1 - v.back), v.part) for v in (*values, *out) if v.back <= loop.period}
    return Carries(values, tuple(out), frozenset({(value.node, value.part) for value in values} | ends))


def _carry(found: dict[Carried, None], source: Node, back: int, part: str, loop: Loop) -> None:
    """A value so far back, and those that become it in later runs."""
    while back > 0:
        found.setdefault(Carried(source._replace(step=loop.first - back), back, part))
        back -= loop.period


def _near(graph: UnrolledGraph, reader: Node, loop: Loop) -> Iterator[tuple[Node, str]]:
    """What a reader reads by distance."""
    if _is_framed(graph, reader):
        return
    for source, _, edge in graph.in_edges(reader, data=True):
        near = source.kind in {"update", "drive"} and reader.step - source.step <= loop.reach
        if near and graph.live(source) and not is_inline(graph, source):
            yield from ((source, part) for part in parts_read(graph, source, edge))


def parts_read(graph: UnrolledGraph, source: Node, edge: dict[str, Any]) -> Iterator[str]:
    """The parts of a value that are read along an edge: the visible state `h`, or hidden ones of the cell."""
    cell = graph.areas.area(source.name).cell if source.kind == "update" else None
    continued = cell.reads if cell is not None and edge["memory"] else ()
    yield from continued
    if "h" not in continued and (edge["connections"] or not edge["memory"]):
        yield "h"


def is_inline(graph: UnrolledGraph, node: Node) -> bool:
    """Whether a drive is written where it is read: what the image drives, for one update."""
    return _is_framed(graph, node) and sum(reader.kind != "drive" for reader in graph.successors(node)) <= 1


def _is_framed(graph: UnrolledGraph, node: Node) -> bool:
    """Whether a drive is asked of the image by its step, and reads no earlier drive that it may repeat."""
    if node.kind != "drive":
        return False
    connection, source = graph.evaluation(node)
    return source.kind == "image" and not connection.averages
