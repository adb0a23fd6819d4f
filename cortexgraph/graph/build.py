"""From a spec to its area graph."""

from __future__ import annotations

from dataclasses import replace

from cortexgraph.graph import infer, transforms, tying
from cortexgraph.graph.model import Area, AreaGraph, Connection, Readout
from cortexgraph.graph.names import Identifiers, identifiers
from cortexgraph.ops import CELLS, Cell, GlobalPool, Linear, Shape, Simple
from cortexgraph.ops.registry import Made
from cortexgraph.spec import IMAGE, AreaSpec, NetworkSpec

__all__ = ["assemble"]


def assemble(spec: NetworkSpec) -> AreaGraph:
    """The area graph of a spec, whether or not it makes a network: the checks say what is wrong with it."""
    graph = AreaGraph(name=spec.name, spec=spec)
    names = identifiers(spec)
    level = infer.levels(spec)
    size = infer.sizes(spec, level)
    image: Shape = (spec.input.channels, *(size[IMAGE] or (0, 0)))
    shapes = {name: (area.channels, *(size[name] or (0, 0))) for name, area in spec.areas.items()} | {IMAGE: image}
    connections = _connections(spec, names, level, shapes)
    graph.graph["image_shape"] = image
    graph.add_node(IMAGE)
    for index, (name, declared) in enumerate(spec.areas.items()):
        area = Area(
            name=name,
            identifier=names.areas[name],
            index=index,
            channels=declared.channels,
            size=size[name],
            level=level[name],
            region=declared.region,
            merge=declared.merge,
            body=transforms.body(spec, declared, _merged(declared, shapes[name], name, connections)),
            cell=Simple(shapes[name]),
        )
        cell = _cell(spec, declared, area.shape)
        area = replace(area, cell_options=cell.options, cell_problems=cell.problems)
        graph.add_node(name, area=replace(area, cell=cell.component) if cell.component is not None else area)
    for connection in connections:
        graph.add_edge(connection.source, connection.target, key=connection.identifier, connection=connection)
    graph.graph["readouts"] = _readouts(spec, names, shapes)
    return graph


def _connections(
    spec: NetworkSpec,
    names: Identifiers,
    level: dict[str, float],
    shapes: dict[str, Shape],
) -> list[Connection]:
    found: dict[int, Connection] = {}
    for index, declared in enumerate(spec.connections):
        source, target = declared.source, declared.target
        if index not in names.connections:
            continue
        found[index] = Connection(
            identifier=names.connections[index],
            index=index,
            source=source,
            target=target,
            kind=infer.kind(source, target, level),
            role=declared.role,
            delay=infer.delay(spec, declared),
            active=declared.active,
            silence=declared.silence or spec.time.silence,
            init=declared.init or spec.defaults.connection.init or "default",
            source_shape=shapes[source],
            target_shape=shapes[target],
            transform=transforms.transform(spec, declared, shapes[source], shapes[target]),
            strength=declared.strength,
        )
    roots = tying.roots(spec)
    return [_tied(spec, connection, roots, found) for connection in found.values()]


def _tied(
    spec: NetworkSpec,
    connection: Connection,
    roots: dict[int, int | tying.TieError],
    every: dict[int, Connection],
) -> Connection:
    tie = spec.connections[connection.index].tie
    if tie is None:
        return connection
    root = roots[connection.index]
    try:
        if isinstance(root, tying.TieError):
            raise root
        owner = every.get(root)
        if owner is not None and owner.transform.whole:
            return tying.tied(connection, owner, tie.transpose)
        problem = None  # that of the owner is a finding of its own
    except tying.TieError as error:
        problem = (error.found, error.expected, error.repair)
    return replace(connection, transform=replace(connection.transform, sound=False), tie_problem=problem)


def _merged(declared: AreaSpec, shape: Shape, name: str, connections: list[Connection]) -> Shape:
    """Shape of the merged input."""
    if declared.merge == "sum":
        return shape
    drives = [c for c in connections if c.target == name and c.role == "drive"]
    return (sum(c.output_shape[0] for c in drives) or shape[0], *shape[1:])


def _cell(spec: NetworkSpec, declared: AreaSpec, shape: Shape) -> Made[Cell]:
    entry = declared.cell or spec.defaults.area.cell
    if entry is None:
        return Made(Simple(shape))
    return CELLS.make(entry, shape, transforms.context_of_area(spec, declared))


def _readouts(spec: NetworkSpec, names: Identifiers, shapes: dict[str, Shape]) -> tuple[Readout, ...]:
    found = []
    for index, declared in enumerate(spec.readouts):
        shape = shapes.get(declared.source, (0, 0, 0))
        pool = GlobalPool(shape, declared.pool)
        name = declared.name or declared.source
        found.append(
            Readout(
                name=name,
                identifier=names.readouts[index],
                index=index,
                source=declared.source,
                classes=declared.classes,
                at=declared.at,
                source_shape=shape,
                pool=pool,
                linear=Linear(pool.output(), declared.classes),
            )
        )
    return tuple(found)
