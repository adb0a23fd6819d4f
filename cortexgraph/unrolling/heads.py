"""Heads: the operations without parameters that several connections apply first to one area's state."""

from __future__ import annotations

from dataclasses import dataclass

from cortexgraph.graph import Area, AreaGraph, Connection, Readout
from cortexgraph.graph.names import Namespace
from cortexgraph.ops import Chain, Link


@dataclass(frozen=True)
class Head:
    """The first operations of the transforms of several connections from one source, such as its upsampling.

    Attributes:
        identifier: its name in emitted code.
        source: the area, or the input.
        links: the operations.
    """

    identifier: str
    source: str
    links: tuple[Link, ...]

    @property
    def chain(self) -> Chain:
        return Chain(self.links[0].operation.shape, self.links)


def heads_of(areas: AreaGraph) -> dict[str, Head]:
    """The head of each connection that has one, by the connection's identifier.

    It depends on the spec alone, so that every emission of a network has the same modules.
    """
    by_source: dict[str, list[Connection]] = {}
    for connection in areas.connections:
        by_source.setdefault(connection.source, []).append(connection)
    names = Namespace()
    parts: list[Area | Connection | Readout] = [*areas.areas, *areas.connections, *areas.readouts]
    for identifier in [part.identifier for part in parts] + [area.start_identifier for area in areas.areas]:
        names.claim(identifier)
    stems = areas.identifiers
    heads: dict[str, Head] = {}
    for source, connections in by_source.items():
        groups: dict[tuple[object, ...], list[Connection]] = {}
        for connection in connections:
            length = max((_common(connection, other) for other in connections if other is not connection), default=0)
            if length:
                groups.setdefault(connection.transform.operations[:length], []).append(connection)
        for operations, sharing in groups.items():
            if len(sharing) > 1:
                links = sharing[0].transform.links[: len(operations)]
                head = Head(names.claim("_".join([stems[source], *(link.name for link in links)])), source, links)
                heads |= {connection.identifier: head for connection in sharing}
    return heads


def _common(one: Connection, other: Connection) -> int:
    """How many operations without parameters two transforms have in common from their start on."""
    length = 0
    for mine, theirs in zip(one.transform, other.transform, strict=False):
        chain = Chain(mine.operation.shape, (mine,))
        if mine.operation != theirs.operation or chain.parameters() or chain.random or chain.averages or mine.owner:
            break
        length += 1
    return length
