"""From a spec to its area graph."""

from __future__ import annotations

from cortexgraph.graph import infer
from cortexgraph.graph.model import Area, AreaGraph, Connection, Readout
from cortexgraph.graph.names import Namespace
from cortexgraph.ops import GlobalPool, Linear, Shape
from cortexgraph.spec import IMAGE, NetworkSpec

__all__ = ["assemble"]


def assemble(spec: NetworkSpec) -> AreaGraph:
    """The area graph of a spec, whether or not it makes a network: the checks say what is wrong with it."""
    graph = AreaGraph(name=spec.name, spec=spec)
    names = Namespace()
    level = infer.levels(spec)
    size = infer.sizes(spec, level)
    image: Shape = (spec.input.channels, *infer.pair(spec.input.size))
    shapes: dict[str, Shape] = {IMAGE: image}
    graph.graph["image_shape"] = image
    graph.add_node(IMAGE)
    for index, (name, declared) in enumerate(spec.areas.items()):
        area = Area(
            name=name,
            identifier=names.identifier(name),
            index=index,
            channels=declared.channels,
            size=size[name],
            level=level[name],
            body=infer.bodies(spec, declared),
        )
        shapes[name] = area.shape
        graph.add_node(name, area=area)
    _add_connections(graph, names, level, shapes)
    graph.graph["readout"] = _readout(spec, shapes)
    return graph


def _add_connections(graph: AreaGraph, names: Namespace, level: dict[str, float], shapes: dict[str, Shape]) -> None:
    for index, declared in enumerate(graph.spec.connections):
        source, target = declared.source, declared.target
        if source not in shapes or target not in level:
            continue
        ends = [IMAGE if name == IMAGE else graph.area(name).identifier for name in (source, target)]
        connection = Connection(
            identifier=names.claim("_to_".join(ends)),
            index=index,
            source=source,
            target=target,
            kind=infer.kind(source, target, level),
            delay=declared.delay,
            source_shape=shapes[source],
            target_shape=shapes[target],
            transform=infer.transform(graph.spec, declared, shapes[source], shapes[target]),
        )
        graph.add_edge(source, target, key=connection.identifier, connection=connection)


def _readout(spec: NetworkSpec, shapes: dict[str, Shape]) -> Readout:
    shape = shapes.get(spec.readout.source, (0, 0, 0))
    pool = GlobalPool(spec.readout.pool)
    return Readout(
        identifier="readout",
        source=spec.readout.source,
        classes=spec.readout.classes,
        at=spec.readout.at,
        source_shape=shape,
        pool=pool,
        linear=Linear(pool.output(shape)[0], spec.readout.classes),
    )
