"""The spec that says everything: what a spec leaves to defaults and inference, written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cortexgraph.graph.model import Area, AreaGraph, Connection
from cortexgraph.graph.transforms import written_body
from cortexgraph.ops import OPERATIONS, Elementwise, GainOperation, GateOperation, GroupNorm, Link, Norm, Resize
from cortexgraph.ops.output import CellWithOutput
from cortexgraph.spec import ConnectionSpec, NetworkSpec, OperationSpec
from cortexgraph.spec.area import NORM_OPTIONS
from cortexgraph.spec.connection import SHORTHAND


def resolved(graph: AreaGraph) -> NetworkSpec:
    """An equivalent spec in which levels, sizes, kinds, strides, resizings and defaults are explicit.

    It compiles to the same network even if a later version of the language has other defaults.
    """
    spec = graph.spec
    written = spec.model_dump(mode="json", by_alias=True, exclude={"areas", "connections", "defaults"})
    written["areas"] = {area.name: _area(graph, area) for area in sorted(graph.areas, key=lambda area: area.index)}
    written["connections"] = [_connection(graph, connection) for connection in graph.connections]
    return NetworkSpec.model_validate(written)


def _area(graph: AreaGraph, area: Area) -> dict[str, object]:
    declared = graph.spec.areas[area.name]
    written: dict[str, object] = {"channels": area.channels, "size": _brief(area.shape[1:]), "level": area.level}
    written |= declared.model_dump(mode="json", include={"region", "sign", "weights"}, exclude_defaults=True)
    written |= {"merge": area.merge} if area.merge != "sum" else {}
    written |= {"start": area.start} if area.start is not None else {}
    cell = declared.cell or graph.spec.defaults.area.cell
    if cell is not None:
        written["cell"] = {cell.name: _options(area.cell_options)} if area.cell_options else cell.name
    if isinstance(area.cell, CellWithOutput):
        written["output"] = [_entry(link) for link in area.output]
    appended = len(area.output) and not area.cell.has_memory
    if written_body(graph.spec, declared) is not None or area.merge == "concat" or appended:
        return written | {"body": [_entry(link) for link in area.body]}
    norms = [link for link in area.body if isinstance(link.operation, Norm)]
    activations = [link.word for link in area.body if isinstance(link.operation, Elementwise)]
    return written | {"norm": _norm(norms[0]) if norms else "none", "activation": activations[0]}


def _norm(link: Link) -> dict[str, object]:
    written = {key: link.options[key] for key in ("kind", "per_step", *NORM_OPTIONS) if link.options[key] is not None}
    if isinstance(link.operation, GroupNorm) and written["kind"] == "group":
        written["groups"] = link.operation.groups
    return written


def _brief(pair: tuple[int, int]) -> int | tuple[int, int]:
    return pair[0] if pair[0] == pair[1] else pair


# ---- connections -------------------------------------------------------------


def _connection(graph: AreaGraph, connection: Connection) -> dict[str, object]:
    declared = graph.spec.connections[connection.index]
    written: dict[str, object] = {"from": connection.source, "to": connection.target, "kind": connection.kind}
    written |= _transform(declared, connection)
    written["delay"] = connection.delay
    kept = declared.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    same = ("name", "role", "gate", "gain", "sign", "active", "tie", "strength")
    written |= {key: kept[key] for key in same if key in kept}
    written |= {"silence": connection.silence} if declared.silence else {}
    if declared.tie is not None:
        return written
    written |= {"init": connection.init} if connection.init != "default" else {}
    weights = declared.weights or graph.spec.defaults.connection.weights
    return written | ({"weights": weights} if weights == "per_step" else {})


def _transform(declared: ConnectionSpec, connection: Connection) -> dict[str, Any]:
    """The shorthand of one convolution, or the chain; and the resizing."""
    if declared.tie is not None and declared.tie.transpose:
        return {}
    if declared.resize is not None and declared.resize.mode == "transposed":
        link = next(link for link in connection.transform if link.word == "conv_transpose")
        written = {key: _plain(link.options[key]) for key in SHORTHAND if key in link.options}
        return written | {"resize": {"mode": "transposed"}}
    links = [link for link in connection.transform if not isinstance(link.operation, GainOperation | GateOperation)]
    resize = {}
    for place in (0, -1):
        if links and _bridges(links[place], declared, place):
            resize = {"resize": {"mode": links[place].word, "at": "before" if place == 0 else "after"}}
            del links[place]
            break
    if declared.transform is None and len(links) == 1 and links[0].word == "conv":
        return {key: _plain(links[0].options[key]) for key in SHORTHAND} | resize
    return {"transform": [_entry(link) for link in links]} | resize


def _bridges(link: Link, declared: ConnectionSpec, place: int) -> bool:
    """Whether this end of the chain is the resizing of the connection, not an operation of its transform."""
    if not isinstance(link.operation, Resize):
        return False
    if declared.resize is not None:
        return (declared.resize.at == "before") == (place == 0)
    return place == -1 and len(link.options) == 1


def _entry(link: Link) -> object:
    options = _options(link.options)
    options |= {name: [_entry(inner) for inner in chain] for name, chain in link.operation.chains().items()}
    if link.word == "norm":
        options = _norm(link)
    if link.word in OPERATIONS and not options:
        return link.word
    return {link.word: options}


def _options(options: Mapping[str, object]) -> dict[str, object]:
    return {name: _plain(value) for name, value in options.items() if value is not None}


def _plain(value: object) -> object:
    """A value as a spec has it."""
    if isinstance(value, tuple) and value and isinstance(value[0], OperationSpec):
        return [entry.model_dump(mode="json") for entry in value]
    if isinstance(value, tuple):
        brief = _brief(value) if len(value) == 2 else value
        return list(brief) if isinstance(brief, tuple) else brief
    return value
