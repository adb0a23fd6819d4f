"""The statements of `__init__`: the modules of areas, heads, connections and readouts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cortexgraph.codegen.text import Call, ranges
from cortexgraph.graph import Area, Connection
from cortexgraph.graph.model import Readout
from cortexgraph.ops import Chain, Link
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.unrolling.heads import heads_of

__all__ = ["ParameterGroup", "parameter_groups", "trained_sets"]

KINDS = ("feedforward", "lateral", "feedback")
FILLS = {
    "he": "nn.init.kaiming_normal_",
    "orthogonal": "nn.init.orthogonal_",
    "identity": "identity_",
    "zeros": "nn.init.zeros_",
}


@dataclass(frozen=True)
class ParameterGroup:
    """Statements that make the modules of one kind, under a heading."""

    heading: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class Sets:
    """Per-step parameters: how many sets there are, and which a readout reaches."""

    count: int
    trained: tuple[int, ...]


def trained_sets(graph: UnrolledGraph) -> dict[str, set[int]]:
    """For each area and connection that a readout reaches, by identifier, the ordinals of the updates that it reaches.

    The graph is settled or unrolled; of a tied connection the sets count for its owner too.
    """
    trained: dict[str, set[int]] = {}
    for node in graph.live_past(graph.readouts):
        if node.kind == "update" and graph.carried_out(node):
            ordinals = graph.every_ordinal(node)
            trained.setdefault(graph.areas.area(node.name).identifier, set()).update(ordinals)
            for connection, _ in graph.terms(node):
                for identifier in {connection.identifier, connection.owner or connection.identifier}:
                    trained.setdefault(identifier, set()).update(ordinals)
    return trained


def parameter_groups(full: UnrolledGraph) -> Iterator[ParameterGroup]:
    """All modules, whether or not a readout reaches them, so that a state dict depends on the spec alone.

    Args:
        full: the graph before passes.
    """
    areas, trained, counts, heads = full.areas, trained_sets(full), full.sets, heads_of(full.areas)

    def sets(part: Area | Connection) -> Sets:
        return Sets(counts[part.identifier], tuple(sorted(trained.get(part.identifier, ()))))

    yield ParameterGroup("areas", tuple(_area(area, sets(area)) for area in areas.areas))
    shared = dict.fromkeys(heads.values())
    heading = "what several connections first do with a state"
    yield from _group(
        heading, (_laid_out(_module(head.links, Sets(1, ()), f"self.{head.identifier} = ")) for head in shared)
    )
    own = [connection for connection in areas.connections if connection.owner is None]
    tied = [connection for connection in areas.connections if connection.owner is not None]
    groups = [(kind, [connection for connection in own if connection.kind == kind]) for kind in KINDS]
    for heading, connections in (*groups, ("tied: with the parameters of another connection", tied)):
        skipped = {c.identifier: len(heads[c.identifier].links) if c.identifier in heads else 0 for c in connections}
        modules = ((c, c.transform.links[skipped[c.identifier] :]) for c in connections)
        yield from _group(heading, (_connection(c, links, sets(c)) for c, links in modules if links))
    heading = "readout" if len(areas.readouts) == 1 else "readouts"
    yield ParameterGroup(heading, tuple(map(_readout, areas.readouts)))


def _group(heading: str, statements: Iterable[str]) -> Iterator[ParameterGroup]:
    made = tuple(statements)
    if made:
        yield ParameterGroup(heading, made)


# ---- statements --------------------------------------------------------------


def _area(area: Area, sets: Sets) -> str:
    end = "" if sets.trained or not area.parameters() else ".requires_grad_(False)"
    if not area.cell.has_memory:
        return _laid_out(_module(area.body.links, sets, f"self.{area.identifier} = ", end))
    operations = [_link(link, sets, link.name) for link in area.body]
    items = (*operations, f"cell={area.cell.constructor()}")
    return Call(f"self.{area.identifier} = Area(", items, f"){end}").laid_out()


def _connection(connection: Connection, links: tuple[Link, ...], sets: Sets) -> str:
    start = f"self.{connection.identifier} = "
    frozen = not sets.trained and connection.parameters() and connection.owner is None
    end = ".requires_grad_(False)" if frozen else ""
    weights = [shape for _, link in connection.transform.walk() for shape in link.operation.parameters().values()]
    starts = connection.owner is None and any(len(shape) > 1 for shape in weights)
    fill = FILLS.get(connection.init) if starts else None
    if fill is None:
        return _laid_out(_module(links, sets, start, end))
    return _laid_out(Call(f"{start}started(", (_module(links, sets), fill), f"){end}"))


def _laid_out(call: str | Call) -> str:
    return call if isinstance(call, str) else call.laid_out()


def _module(links: tuple[Link, ...], sets: Sets, start: str = "", end: str = "") -> str | Call:
    """The expression that makes the module of operations one after another."""
    if not links:
        return f"{start}nn.Identity(){end}"
    chain = Chain(links[0].operation.shape, links)
    if len(links) == 1 and not chain.parameters() and not links[0].operation.chains() and links[0].owner is None:
        return f"{start}{links[0].operation.constructor()}{end}"
    kind = "Stepwise" if chain.per_step else "chain"
    return Call(f"{start}{kind}(", tuple(_link(link, sets, link.name) for link in links), f"){end}")


def _link(link: Link, sets: Sets, name: str) -> str | Call:
    operation = link.operation
    if inner := operation.chains():
        parts = tuple(_module(chain.links, sets, f"{part}=") for part, chain in inner.items())
        return Call(f"{name}={operation.constructor()}(", parts)
    if not link.per_step or link.owner is not None:
        return f"{name}={operation.constructor()}"
    make = f"lambda: {operation.constructor()}"
    return Call(f"{name}=PerStep(", (make, f"sets={sets.count}", ranges("trained=", sets.trained)))


def _readout(readout: Readout) -> str:
    arguments = (
        f"pool={readout.pool.constructor()}",
        "flatten=nn.Flatten()",
        f"linear={readout.linear.constructor()}",
    )
    return Call(f"self.{readout.identifier} = chain(", arguments).laid_out()
