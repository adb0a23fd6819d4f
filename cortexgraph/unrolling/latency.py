"""When an area first responds, and by which path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cortexgraph.graph import AreaGraph
from cortexgraph.unrolling.build import unroll_graph
from cortexgraph.unrolling.model import Groups, Node, UnrolledGraph, order_name
from cortexgraph.wording import shortened

MOST_UPDATES = 40_000
"""How many updates are looked at beyond the network's own T: a few seconds' worth."""


@dataclass(frozen=True)
class Response:
    """The first live update of an area.

    Attributes:
        step, group: of the update.
        path: names from the image to the area; from a source that counts as zeros, `A (zeros)`, or a start
            state, `A (start)`.
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
    came = _carried(graph, {"image", "zero"})
    responses: dict[str, Response] = {}
    for node in graph.live_updates():
        if node.name not in responses:
            responses[node.name] = Response(node.step, node.group, _names(_path(came, node) or [node]))
    return responses


def _names(path: list[Node]) -> tuple[str, ...]:
    """The names along a path, without the rounds by which it comes back to an area."""
    names: list[str] = []
    for node in path:
        name = f"{node.name} ({node.part or 'zeros'})" if node.kind == "zero" else node.name
        names = [*names[: names.index(name)], name] if name in names else [*names, name]
    return tuple(names)


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
    return [] if end is None else _path(_carried(graph, {"image"}), end)


def _carried(graph: UnrolledGraph, origins: set[str]) -> dict[Node, Node | None]:
    """Each live node that a drive, the memory of a cell or a held state reaches from an origin, and what it reads.

    Of what it reads, it is that with the fewest updates from an origin.
    """
    came: dict[Node, Node | None] = {}
    lengths: dict[Node, int] = {}
    for node in graph:
        if node.kind in origins and graph.live(node):
            came[node], lengths[node] = None, 0
        elif graph.live(node):
            sources = [source for source in sorted(graph.predecessors(node)) if source in came]
            nearest = min((s for s in sources if _carries(graph, s, node)), key=lengths.__getitem__, default=None)
            if nearest is not None:
                came[node], lengths[node] = nearest, lengths[nearest] + 1
    return came


def _carries(graph: UnrolledGraph, source: Node, node: Node) -> bool:
    """Whether the read is a drive, the memory of the cell or a held state, not a gate alone."""
    read = graph.edges[source, node]
    drives = any(connection.role == "drive" for connection in read["connections"])
    return drives or bool(read["memory"]) or graph.held(node) is not None


def _path(came: Mapping[Node, Node | None], end: Node) -> list[Node]:
    """The way by which a node was reached, from its origin."""
    path: list[Node] = []
    node: Node | None = end if end in came else None
    while node is not None:
        path.append(node)
        node = came[node]
    return path[::-1]
