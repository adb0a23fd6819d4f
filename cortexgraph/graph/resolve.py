"""The spec that says everything: what a spec leaves to defaults and inference, written out."""

from __future__ import annotations

from typing import Any

from cortexgraph.graph.infer import norm_of
from cortexgraph.graph.model import Area, AreaGraph, Connection
from cortexgraph.ops import RESIZES, Activation, Conv, GroupNorm, Norm, Resize
from cortexgraph.spec import NetworkSpec

__all__ = ["resolved"]


def resolved(graph: AreaGraph) -> NetworkSpec:
    """An equivalent spec in which levels, sizes, kinds, strides, resizings and defaults are explicit.

    It compiles to the same network whatever the defaults of a later version of the language.
    """
    spec = graph.spec
    written = spec.model_dump(mode="json", by_alias=True, exclude={"areas", "connections", "defaults"})
    written["areas"] = {area.name: _area(graph, area) for area in sorted(graph.areas, key=lambda area: area.index)}
    written["connections"] = [_connection(connection) for connection in graph.connections]
    return NetworkSpec.model_validate(written)


def _area(graph: AreaGraph, area: Area) -> dict[str, Any]:
    norm = norm_of(graph.spec, graph.spec.areas[area.name])
    (activation,) = (operation.name for operation in area.body if isinstance(operation, Activation))
    return {
        "channels": area.channels,
        "size": _brief(area.shape[1:]),
        "level": area.level,
        "norm": norm.model_dump(exclude_none=True) | _groups(area, norm.kind) if norm else "none",
        "activation": activation,
    }


def _groups(area: Area, kind: str) -> dict[str, int]:
    """The number of groups of a group norm, which the spec may leave to the language."""
    (operation,) = (operation for operation in area.body if isinstance(operation, Norm))
    return {"groups": operation.groups} if kind == "group" and isinstance(operation, GroupNorm) else {}


def _brief(pair: tuple[int, int]) -> int | tuple[int, int]:
    return pair[0] if pair[0] == pair[1] else pair


def _connection(connection: Connection) -> dict[str, Any]:
    (conv,) = (operation for operation in connection.transform if isinstance(operation, Conv))
    written: dict[str, Any] = {
        "from": connection.source,
        "to": connection.target,
        "kind": connection.kind,
        "kernel": _brief(conv.kernel),
        "stride": _brief(conv.stride),
        "dilation": _brief(conv.dilation),
        "groups": conv.groups,
        "bias": conv.bias,
        "delay": connection.delay,
    }
    for position, resize in enumerate(connection.transform):
        if isinstance(resize, Resize):
            mode = next(name for name in RESIZES if RESIZES[name] is type(resize))
            written["resize"] = {"mode": mode, "at": "before" if position == 0 else "after"}
    return written
