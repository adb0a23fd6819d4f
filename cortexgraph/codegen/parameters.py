"""The statements of `__init__`: the modules of areas, connections and readouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cortexgraph.codegen.text import Call, ranges
from cortexgraph.codegen.view import ParameterGroup
from cortexgraph.graph import Area, Connection
from cortexgraph.graph.model import Readout
from cortexgraph.ops import Chain, Link
from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["parameter_groups"]

KINDS = ("feedforward", "lateral", "feedback")
FILLS = {
    "he": "nn.init.kaiming_normal_",
    "orthogonal": "nn.init.orthogonal_",
    "identity": "identity_",
    "zeros": "nn.init.zeros_",
}


@dataclass(frozen=True)
class Sets:
    """Per-step parameters: how many sets there are, and which a readout reaches."""

    count: int
    reached: tuple[int, ...]


def parameter_groups(full: UnrolledGraph) -> Iterator[ParameterGroup]:
    """All modules, whether or not a readout reaches them, so that a state dict depends on the spec alone."""
    areas = full.areas
    reached = [node for node in full.live_updates() if full.read(node)]
    ordinals = _ordinals(full, reached)
    yield ParameterGroup(
        "areas: what each does with what it receives",
        tuple(_area(area, Sets(full.sets[area.identifier], ordinals.get(area.name, ()))) for area in areas.areas),
    )
    used = _used(full, reached)
    own = [connection for connection in areas.connections if connection.owner is None]
    for kind in KINDS:
        yield from _group(kind, full, used, [connection for connection in own if connection.kind == kind])
    tied = [connection for connection in areas.connections if connection.owner is not None]
    yield from _group("tied: with the parameters of another connection", full, used, tied)
    heading = "readout" if len(areas.readouts) == 1 else "readouts"
    yield ParameterGroup(heading, tuple(_readout(full, readout) for readout in areas.readouts))


def _group(
    heading: str, full: UnrolledGraph, used: dict[str, set[int]], connections: list[Connection]
) -> Iterator[ParameterGroup]:
    statements = tuple(
        _connection(c, Sets(full.sets[c.identifier], tuple(sorted(used.get(c.identifier, ()))))) for c in connections
    )
    if statements:
        yield ParameterGroup(heading, statements)


# ---- what a readout reaches --------------------------------------------------


def _ordinals(full: UnrolledGraph, reached: list[Node]) -> dict[str, tuple[int, ...]]:
    """For each area, the ordinals of the updates that a readout reaches."""
    found: dict[str, set[int]] = {}
    for node in reached:
        found.setdefault(node.name, set()).update(full.every_ordinal(node))
    return {name: tuple(sorted(ordinals)) for name, ordinals in found.items()}


def _used(full: UnrolledGraph, reached: list[Node]) -> dict[str, set[int]]:
    """For each connection, the live updates of its target at which it, or one tied to it, is read."""
    found: dict[str, set[int]] = {}
    for node in reached:
        for connection, _ in full.terms(node):
            for identifier in {connection.identifier, connection.owner or connection.identifier}:
                found.setdefault(identifier, set()).update(full.every_ordinal(node))
    return found


# ---- statements --------------------------------------------------------------


def _area(area: Area, sets: Sets) -> str:
    operations = [_link(link, sets, link.name) for link in area.body]
    if area.cell.has_memory:
        operations.append(f"cell={area.cell.constructor()}")
    end = ")" if sets.reached or not area.parameters() else ").requires_grad_(False)"
    return Call(f"self.{area.identifier} = Area(", tuple(operations), end).laid_out()


def _connection(connection: Connection, sets: Sets) -> str:
    start = f"self.{connection.identifier} = "
    frozen = not sets.reached and connection.parameters() and connection.owner is None
    end = ".requires_grad_(False)" if frozen else ""
    weights = [shape for _, link in connection.transform.walk() for shape in link.operation.parameters().values()]
    starts = connection.owner is None and any(len(shape) > 1 for shape in weights)
    fill = FILLS.get(connection.init) if starts else None
    if fill is None:
        return _laid_out(_chain(connection.transform, sets, start, end))
    return _laid_out(Call(f"{start}started(", (_chain(connection.transform, sets), fill), f"){end}"))


def _laid_out(call: str | Call) -> str:
    return call if isinstance(call, str) else call.laid_out()


def _chain(chain: Chain, sets: Sets, start: str = "", end: str = "") -> str | Call:
    """The expression that makes a chain's module."""
    if not chain.links:
        return f"{start}nn.Identity(){end}"
    kind = "Stepwise" if chain.per_step else "chain"
    return Call(f"{start}{kind}(", tuple(_link(link, sets, link.name) for link in chain), f"){end}")


def _link(link: Link, sets: Sets, name: str) -> str | Call:
    operation = link.operation
    if inner := operation.chains():
        parts = tuple(_chain(chain, sets, f"{part}=") for part, chain in inner.items())
        return Call(f"{name}={operation.constructor()}(", parts)
    if not link.per_step or link.owner is not None:
        return f"{name}={operation.constructor()}"
    make = f"lambda: {operation.constructor()}"
    return Call(f"{name}=PerStep(", (make, f"sets={sets.count}", ranges("reached=", sets.reached)))


def _readout(full: UnrolledGraph, readout: Readout) -> str:
    arguments = (
        f"pool={readout.pool.constructor()}",
        "flatten=nn.Flatten()",
        f"linear={readout.linear.constructor()}",
    )
    return Call(f"self.{readout.identifier} = chain(", arguments).laid_out()
