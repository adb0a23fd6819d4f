"""When an area first responds, and by which path."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from cortexgraph.graph import AreaGraph
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling.build import unroll_graph
from cortexgraph.unrolling.model import Node, UnrolledGraph
from cortexgraph.unrolling.schedule import Groups, order_name
from cortexgraph.wording import shortened

__all__ = ["Response", "first_responses", "response_path", "response_text"]

MOST_UPDATES = 40_000
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
    steps, furthest = areas.spec.time.steps, min(_horizon(areas, groups))
    while True:
        responses = _within(unroll_graph(areas, steps, groups))
        if len(responses) == len(areas.areas) or steps == furthest:
            return responses
        steps = min(2 * steps, furthest)


def _horizon(areas: AreaGraph, groups: Groups) -> tuple[int, int]:
    """The step up to which every area that ever responds does so, and the last step that is looked at."""
    steps = areas.spec.time.steps
    needed = steps + sum(connection.delay + 1 for connection in areas.connections)
    return needed, max(steps, MOST_UPDATES // max(1, sum(map(len, groups))))


def _within(graph: UnrolledGraph) -> dict[str, Response]:
    responses: dict[str, Response] = {}
    for node in graph.live_updates():
        if node.name not in responses:
            responses[node.name] = Response(node.step, node.group, (*_path_to(graph, node, responses), node.name))
    return responses


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


def response_text(graph: UnrolledGraph, area: str, response: Response | None) -> str:
    """When and by which path an area first responds, for findings."""
    if response is None:
        needed, seen = _horizon(graph.areas, graph.groups)
        return f"{area} never responds" if needed <= seen else f"{area} does not respond within {seen:,} steps"
    path, order = " → ".join(_brief(response.path)), shortened(order_name(graph.order))
    return f"{area} first responds at step {response.step} ({path} under {order} order)"


def _brief(path: tuple[str, ...]) -> tuple[str, ...]:
    return path if len(path) <= 12 else (*path[:5], f"{len(path) - 10} more", *path[-5:])


def response_path(graph: UnrolledGraph, area: str) -> list[Node]:
    """The updates that carry the image to the area's first response: from a frame to that update.

    Of several paths it is one with the fewest updates. Empty if the area does not respond up to T.

    >>> import cortexgraph as cg
    >>> [str(node) for node in response_path(cg.unroll(cg.load("ventral")), "IT")]
    ['image@1', 'V1@1', 'V2@2', 'V4@3', 'IT@4']
    """
    depends = graph.from_image()
    end = next((node for node in graph.updates(area) if node in depends), None)
    if end is None:
        return []
    came: dict[Node, Node | None] = {end: None}
    waiting = deque([end])
    while waiting:
        node = waiting.popleft()
        if node.kind == "image":
            return _followed(came, node)
        for source in sorted(graph.predecessors(node)):
            if source in depends and source not in came and _carries(graph, source, node):
                came[source] = node
                waiting.append(source)
    return []


def _carries(graph: UnrolledGraph, source: Node, node: Node) -> bool:
    """Whether the read is a drive, the memory of the cell or a held state, not a gate alone."""
    read = graph.edges[source, node]
    return (
        bool(read["memory"])
        or graph.held(node) is not None
        or any(connection.role == "drive" for connection in read["connections"])
    )


def _followed(came: Mapping[Node, Node | None], start: Node) -> list[Node]:
    path: list[Node] = []
    node: Node | None = start
    while node is not None:
        path.append(node)
        node = came[node]
    return path
