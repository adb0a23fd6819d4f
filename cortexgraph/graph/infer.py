"""What the spec leaves unsaid: levels, kinds, sizes and delays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortexgraph.graph.transforms import first_guess
from cortexgraph.spec import IMAGE, ConnectionSpec, NetworkSpec
from cortexgraph.spec.fields import pair

__all__ = ["delay", "kind", "levels", "sizes"]

Size = tuple[int, int]


def levels(spec: NetworkSpec) -> dict[str, float]:
    """Level of each area: as declared, otherwise one above the area declared before it, the first 0."""
    found: dict[str, float] = {}
    before = -1.0
    for name, area in spec.areas.items():
        before = found[name] = before + 1 if area.level is None else area.level
    return found


def kind(source: str, target: str, level: Mapping[str, float]) -> str:
    """The hierarchy's word for a connection; the image lies below all areas."""
    if source == IMAGE or level[source] < level[target]:
        return "feedforward"
    return "lateral" if level[source] == level[target] else "feedback"


def delay(spec: NetworkSpec, connection: ConnectionSpec) -> int:
    """Extra steps; milliseconds are rounded to the nearest whole step, halves upwards."""
    if connection.delay_ms is None or spec.time.dt_ms is None:
        return connection.delay
    return int(connection.delay_ms / spec.time.dt_ms + 0.5)


def sizes(spec: NetworkSpec, level: Mapping[str, float]) -> dict[str, Size | None]:
    """Height and width of the image and of each area; None where nothing determines it.

    An area without a size takes that of its first feedforward source whose size is known, as the connection's
    transform makes it with the strides that are written, unless nothing is left of it.
    """
    found: dict[str, Size | None] = {IMAGE: pair(spec.input.size)}
    found |= {name: pair(area.size) if area.size else None for name, area in spec.areas.items()}
    into: dict[str, list[ConnectionSpec]] = {}
    for connection in spec.connections:
        into.setdefault(connection.target, []).append(connection)
    for name in sorted(level, key=lambda name: level[name]):
        if found[name] is None:
            found[name] = next(_from_sources(spec, into.get(name, []), level, found), None)
    return found


def _from_sources(
    spec: NetworkSpec,
    connections: list[ConnectionSpec],
    level: Mapping[str, float],
    known: Mapping[str, Size | None],
) -> Iterator[Size]:
    for connection in connections:
        source = known.get(connection.source)
        up = source is not None and kind(connection.source, connection.target, level) == "feedforward"
        if up and source and connection.resize is None:
            height, width = first_guess(spec, connection, (1, *source)).output[1:]
            if min(height, width) >= 1:
                yield height, width
