"""From a spec to its area graph, with what the spec leaves to inference: levels, kinds, sizes and delays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf

from cortexgraph.graph import transforms
from cortexgraph.graph.model import Area, AreaGraph, Connection, Input, Readout
from cortexgraph.graph.names import Identifiers, identifiers
from cortexgraph.graph.tying import tied_connections
from cortexgraph.ops import GlobalPool, Linear, Shape, Simple
from cortexgraph.ops.output import CellWithOutput
from cortexgraph.spec import AreaSpec, ConnectionSpec, InputSpec, NetworkSpec
from cortexgraph.spec.fields import pair

Size = tuple[int, int]


def assemble(spec: NetworkSpec) -> AreaGraph:
    """The area graph of a spec, whether or not it makes a network: the checks say what is wrong with it."""
    graph = AreaGraph(name=spec.name, spec=spec)
    names, level = identifiers(spec), _levels(spec)
    size = _sizes(spec, level)
    parts: Mapping[str, InputSpec | AreaSpec] = {**spec.inputs, **spec.areas}
    channels = {name: part.channels for name, part in parts.items()}
    shapes: dict[str, Shape] = {name: (channels[name], *(size[name] or (0, 0))) for name in channels}
    connections = tied_connections(spec, _connections(spec, names, level, shapes))
    drives: Counter[str] = Counter()
    for connection in connections:
        drives[connection.target] += connection.output_shape[0] * (connection.role == "drive")
    graph.graph["inputs"] = tuple(
        Input(name, names.inputs[name], (each.channels, *pair(each.size)), each.present)
        for name, each in spec.inputs.items()
    )
    graph.add_nodes_from(spec.inputs)
    for index, name in enumerate(spec.areas):
        area = _area(spec, index, name, names.areas[name], shapes[name], drives[name])
        area = replace(area, start_identifier=names.starts[name])
        graph.add_node(name, area=replace(area, size=size[name], level=level[name]))
    for connection in connections:
        graph.add_edge(connection.source, connection.target, key=connection.identifier, connection=connection)
    graph.graph["readouts"] = _readouts(spec, names, shapes)
    return graph


def _area(spec: NetworkSpec, index: int, name: str, identifier: str, shape: Shape, drives: int) -> Area:
    """An area whose drives have this many channels in all, with the size of the shape; its level is set later."""
    declared = spec.areas[name]
    cell, merge = transforms.cell(spec, declared, shape), transforms.merge_of(spec, declared)
    component = cell.component if cell.component is not None else Simple(shape)
    body = transforms.body(spec, declared, (drives or shape[0], *shape[1:]) if merge == "concat" else shape)
    remembers = component.has_memory
    output = transforms.output(spec, declared, shape, remembers=remembers)
    return Area(
        name=name,
        identifier=identifier,
        index=index,
        channels=declared.channels,
        size=shape[1:],
        level=0,
        region=declared.region,
        merge=merge,
        body=body if remembers else transforms.joined(body, output),
        cell=CellWithOutput(shape, component, output) if remembers and output.links else component,
        cell_options=cell.options,
        cell_problems=cell.problems,
        output=output,
        start=transforms.start(spec, declared),
    )


def _connections(
    spec: NetworkSpec, names: Identifiers, level: Mapping[str, float], shapes: Mapping[str, Shape]
) -> Iterator[Connection]:
    """The connections between known areas, without their ties."""
    for index, identifier in names.connections.items():
        declared = spec.connections[index]
        source, target = shapes[declared.source], shapes[declared.target]
        yield Connection(
            identifier=identifier,
            index=index,
            source=declared.source,
            target=declared.target,
            kind=_kind(declared, level),
            role=declared.role,
            delay=_delay(spec, declared),
            active=declared.active,
            silence=declared.silence or spec.time.silence,
            init=declared.init or spec.defaults.connection.init or "default",
            source_shape=source,
            target_shape=target,
            transform=transforms.transform(spec, declared, source, target),
            strength=declared.strength,
        )


def _readouts(spec: NetworkSpec, names: Identifiers, shapes: Mapping[str, Shape]) -> tuple[Readout, ...]:
    readouts = []
    for index, declared in enumerate(spec.readouts):
        shape = shapes.get(declared.source, (0, 0, 0))
        if declared.over_time == "concat":
            shape = (len(declared.at) * shape[0], *shape[1:])
        pool = GlobalPool(shape, "avg" if declared.pool == "places" else declared.pool)
        readout = Readout(
            name=declared.name or declared.source,
            identifier=names.readouts[index],
            index=index,
            source=declared.source,
            classes=declared.classes,
            at=declared.at,
            source_shape=shape,
            pool=pool,
            linear=Linear(pool.output(), declared.classes),
            transform=transforms.readout(spec, declared, shape),
            over_time=declared.over_time,
            is_map=declared.pool == "places",
        )
        readouts.append(readout)
    return tuple(readouts)


# ---- inference ---------------------------------------------------------------


def _levels(spec: NetworkSpec) -> dict[str, float]:
    """Level of each area: as declared, otherwise one above the area declared before it, the first 0."""
    levels: dict[str, float] = {}
    before = -1.0
    for name, area in spec.areas.items():
        before = levels[name] = before + 1 if area.level is None else area.level
    return levels


def _kind(connection: ConnectionSpec, level: Mapping[str, float]) -> str:
    """The hierarchy's word for a connection; inputs, which have no level, lie below all areas."""
    source, target = level.get(connection.source, -inf), level[connection.target]
    if source < target:
        return "feedforward"
    return "lateral" if source == target else "feedback"


def _delay(spec: NetworkSpec, connection: ConnectionSpec) -> int:
    """Extra steps; milliseconds are rounded to the nearest whole step, halves upwards."""
    if connection.delay_ms is None or spec.time.dt_ms is None:
        return connection.delay
    return int(connection.delay_ms / spec.time.dt_ms + 0.5)


def _sizes(spec: NetworkSpec, level: Mapping[str, float]) -> dict[str, Size | None]:
    """Height and width of each input and area; None where nothing determines it.

    An area without a size takes that of its first feedforward source whose size is known, as the connection's
    transform makes it with the strides that are written, unless nothing is left of it.
    """
    sizes: dict[str, Size | None] = {name: pair(each.size) for name, each in spec.inputs.items()}
    sizes |= {name: pair(area.size) if area.size else None for name, area in spec.areas.items()}
    into: dict[str, list[ConnectionSpec]] = {}
    for connection in spec.connections:
        into.setdefault(connection.target, []).append(connection)
    for name in sorted(level, key=lambda name: level[name]):
        if sizes[name] is None:
            sizes[name] = next(_sizes_made(spec, into.get(name, []), level, sizes), None)
    return sizes


def _sizes_made(
    spec: NetworkSpec, connections: list[ConnectionSpec], level: Mapping[str, float], known: Mapping[str, Size | None]
) -> Iterator[Size]:
    """The sizes that feedforward connections make of the known sizes of their sources."""
    for connection in connections:
        source = known.get(connection.source)
        if source and connection.resize is None and _kind(connection, level) == "feedforward":
            height, width = transforms.unbridged(spec, connection, (1, *source)).output[1:]
            if min(height, width) >= 1:
                yield height, width
