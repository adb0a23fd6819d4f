"""When an area first responds, and by which path."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from cortexgraph.graph import AreaGraph
from cortexgraph.spec import IMAGE, Span
from cortexgraph.unrolling.schedule import Groups

__all__ = ["Response", "first_responses"]


@dataclass(frozen=True, order=True)
class Response:
    """First response of an area: step, group within the step, and the path of names from the image."""

    step: int
    group: int
    path: tuple[str, ...]


def first_responses(areas: AreaGraph, groups: Groups) -> dict[str, Response]:
    """First response of every area that the image reaches, whatever T: earliest arrival over connections.

    Delays count in whole steps, so this is Dijkstra's algorithm on (step, group) with a cost that depends on the
    time of departure. Modulators, which make no area live, do not count.
    """
    shown = _first_step(areas.spec.input.present, 1) or 1
    positions: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        for name in group:
            positions.setdefault(name, []).append(index)
    queue = [Response(shown, -1, (IMAGE,))]  # the image stands before the first group of its step
    found: dict[str, Response] = {}
    while queue:
        response = heapq.heappop(queue)
        name = response.path[-1]
        if name in found:
            continue
        found[name] = response
        for _, target, data in areas.out_edges(name, data=True):
            connection = data["connection"]
            if target not in found and positions.get(target) and connection.role == "drive":
                step = response.step + connection.delay
                later = next((g for g in positions[target] if g > response.group), None)
                arrival = (step + 1, positions[target][0]) if later is None else (step, later)
                active = _first_step(connection.active, arrival[0])
                if active is not None:
                    turn = arrival[1] if active == arrival[0] else positions[target][0]
                    heapq.heappush(queue, Response(active, turn, (*response.path, target)))
    del found[IMAGE]
    return found


def _first_step(window: str | tuple[int, ...] | Span, earliest: int) -> int | None:
    """The first step of a window that is not before `earliest`."""
    match window:
        case str():
            return earliest
        case Span(first=first, last=last):
            step = max(first, earliest)
            return step if last is None or step <= last else None
    return min((step for step in window if step >= earliest), default=None)
