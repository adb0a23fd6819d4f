"""When an area first responds, and by which path."""

from __future__ import annotations

from dataclasses import dataclass

from cortexgraph.graph import AreaGraph
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling.build import unroll_graph
from cortexgraph.unrolling.model import Node, UnrolledGraph
from cortexgraph.unrolling.schedule import Groups

__all__ = ["Response", "first_responses"]

MOST_UPDATES = 200_000
"""How many updates are looked at beyond the network's own T: a few seconds' worth."""


@dataclass(frozen=True)
class Response:
    """The first live update of an area.

    Attributes:
        step, group: of the update.
        path: names from the image to the area; from a source that counts as zeros, `A (zeros)`.
    """

    step: int
    group: int
    path: tuple[str, ...]


def first_responses(areas: AreaGraph, groups: Groups) -> dict[str, Response]:
    """First response of every area that ever has one, also beyond T (within `MOST_UPDATES`).

    The network is unrolled further and further. After the last step that a window names, what an area reads depends
    on the time no more; whatever is live then reaches another area along a path without repetition, or never: so
    that the sum of all delays and steps is far enough.
    """
    steps = areas.spec.time.steps
    last = steps + sum(connection.delay + 1 for connection in areas.connections)
    furthest = max(steps, min(last, MOST_UPDATES // max(1, sum(map(len, groups)))))
    while True:
        found = _within(unroll_graph(areas, steps, groups))
        if len(found) == len(areas.areas) or steps == furthest:
            return found
        steps = min(2 * steps, furthest)


def _within(graph: UnrolledGraph) -> dict[str, Response]:
    found: dict[str, Response] = {}
    for node in graph.live_updates():
        if node.name not in found:
            found[node.name] = Response(node.step, node.group, (*_path_to(graph, node, found), node.name))
    return found


def _path_to(graph: UnrolledGraph, node: Node, known: dict[str, Response]) -> tuple[str, ...]:
    """The shortest path to what drives an area's first live update; empty under `zero_drive`."""
    paths = []
    for connection, source in graph.terms(node):
        if connection.role != "drive":
            continue
        if source.kind == "update":
            paths.append(known[source.name].path)
        else:
            paths.append((IMAGE if source.kind == "image" else f"{source.name} (zeros)",))
    return min(paths, key=len, default=())
