"""Numbers about a compiled network: parameters, cost, and which updates are executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cortexgraph.graph import Area, Connection
from cortexgraph.unrolling import UnrolledGraph

__all__ = ["AreaSummary", "ConnectionSummary", "NetworkSummary", "summarise"]


@dataclass(frozen=True)
class AreaSummary:
    """An area over T steps.

    Attributes:
        name, level, channels, size: of the area.
        parameters: learned numbers of the area itself (body and cell), all per-step sets counted.
        flops: floating-point operations of its body and cell in one forward pass of one image.
        first_response: first step at which the area is live; None if it never is.
        executed: steps of the updates that are computed.
        silent: steps of the updates that are silent.
        unread: steps of the live updates that no readout or record needs.
    """

    name: str
    level: float
    channels: int
    size: tuple[int, int]
    parameters: int
    flops: int
    first_response: int | None
    executed: tuple[int, ...]
    silent: tuple[int, ...]
    unread: tuple[int, ...]


@dataclass(frozen=True)
class ConnectionSummary:
    """A connection over T steps.

    Attributes:
        source, target, kind, delay: of the connection.
        transform: its operations, in words.
        parameters: learned numbers.
        macs: multiply-accumulate operations of one evaluation for one image.
        evaluations: number of evaluations in one forward pass of a static image.
    """

    source: str
    target: str
    kind: str
    delay: int
    transform: str
    parameters: int
    macs: int
    evaluations: int

    @property
    def flops(self) -> int:
        """Floating-point operations in one forward pass of one image: two for each multiply-accumulate."""
        return 2 * self.macs * self.evaluations


@dataclass(frozen=True)
class NetworkSummary:
    """A network over T steps; `flops_unpruned` is the cost if every live update were computed."""

    areas: tuple[AreaSummary, ...]
    connections: tuple[ConnectionSummary, ...]
    readout_parameters: int
    readout_flops: int
    flops_unpruned: int

    @property
    def parameters(self) -> int:
        own = sum(area.parameters for area in self.areas)
        return own + sum(connection.parameters for connection in self.connections) + self.readout_parameters

    @property
    def flops(self) -> int:
        """Floating-point operations of one forward pass of one static image, in convolutions, cells and readouts."""
        own = sum(area.flops for area in self.areas) + sum(connection.flops for connection in self.connections)
        return own + self.readout_flops


def summarise(full: UnrolledGraph, kept: UnrolledGraph) -> NetworkSummary:
    """Summary of a network from its unrolled graph before and after passes."""
    areas = full.areas
    counts, counts_unpruned = _evaluations(kept), _evaluations(full)
    labels = {c.identifier: c.label.replace("->", "→") for c in areas.connections}
    connections = tuple(
        _connection(c, labels, counts.get(c.identifier, 0), full.ordinals[c.target]) for c in areas.connections
    )
    macs = {readout.name: readout.macs for readout in areas.readouts}
    readout_flops = 2 * sum(macs[node.name] for node in kept.readouts)
    return NetworkSummary(
        areas=tuple(_area(full, kept, area) for area in areas.areas),
        connections=connections,
        readout_parameters=sum(readout.parameters for readout in areas.readouts),
        readout_flops=readout_flops,
        flops_unpruned=readout_flops
        + sum(2 * c.macs * counts_unpruned.get(c.identifier, 0) for c in areas.connections)
        + sum(2 * areas.area(node.name).macs for node in full.live_updates()),
    )


def _evaluations(graph: UnrolledGraph) -> dict[str, int]:
    """How often each connection is evaluated; one from the image once, since a static image stays the same."""
    counts: dict[str, int] = {}
    for node in graph.live_updates():
        for connection, source in graph.terms(node):
            once = source.kind == "image" and not connection.per_step and not connection.transform.random
            again = 0 if once else counts.get(connection.identifier, 0)
            counts[connection.identifier] = again + 1
    return counts


def _area(full: UnrolledGraph, kept: UnrolledGraph, area: Area) -> AreaSummary:
    updates = list(full.updates(area.name))
    return AreaSummary(
        name=area.name,
        level=area.level,
        channels=area.channels,
        size=area.shape[1:],
        parameters=area.parameters(full.ordinals[area.name]),
        flops=2 * area.macs * sum(1 for _ in kept.live_updates(area.name)),
        first_response=full.first_response(area.name),
        executed=tuple(node.step for node in updates if node in kept and full.live(node)),
        silent=tuple(node.step for node in updates if not full.live(node)),
        unread=tuple(node.step for node in updates if full.live(node) and node not in kept),
    )


def _connection(connection: Connection, labels: Mapping[str, str], evaluations: int, sets: int) -> ConnectionSummary:
    return ConnectionSummary(
        source=connection.source,
        target=connection.target,
        kind=connection.kind,
        delay=connection.delay,
        transform=(connection.transform.summary() or "as it is")
        + (f", tied to {labels[connection.owner]}" if connection.owner else ""),
        parameters=connection.parameters(sets),
        macs=connection.macs,
        evaluations=evaluations,
    )
