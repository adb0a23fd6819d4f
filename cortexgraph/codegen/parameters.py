"""The statements of `__init__`: the modules of areas, heads, connections and readouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cortexgraph.codegen.blocks import Module
from cortexgraph.codegen.text import Call, ranges
from cortexgraph.graph import Area, Connection
from cortexgraph.graph.model import Readout
from cortexgraph.ops import Chain, Link
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.unrolling.heads import heads_of

__all__ = ["ParameterGroup", "parameter_groups", "trained_sets"]

FILLS = {
    "he": "nn.init.kaiming_normal_",
    "orthogonal": "nn.init.orthogonal_",
    "identity": "identity_",
    "zeros": "nn.init.zeros_",
}


@dataclass(frozen=True)
class ParameterGroup:
    """The modules of one kind, under a heading."""

    heading: str
    modules: tuple[Module, ...]


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

    def own_links(connection: Connection) -> tuple[Link, ...]:
        head = heads.get(connection.identifier)
        return connection.transform.links[0 if head is None else len(head.links) :]

    groups = {"areas": [_area(area, sets(area)) for area in areas.areas]}
    groups["what several connections first do with a state"] = [
        Module(head.identifier, head.source, _module(head.links, Sets(1, ()))) for head in dict.fromkeys(heads.values())
    ]
    for connection in sorted(areas.connections, key=lambda c: GROUPS.index(_heading(c))):
        if links := own_links(connection):
            groups.setdefault(_heading(connection), []).append(_connection(connection, links, sets(connection)))
    groups["readout" if len(areas.readouts) == 1 else "readouts"] = [_readout(readout) for readout in areas.readouts]
    yield from (ParameterGroup(heading, tuple(modules)) for heading, modules in groups.items() if modules)


GROUPS = ("feedforward", "lateral", "feedback", "tied: with the parameters of another connection")


def _heading(connection: Connection) -> str:
    return connection.kind if connection.owner is None else GROUPS[-1]


# ---- modules -----------------------------------------------------------------


def _area(area: Area, sets: Sets) -> Module:
    end = "" if sets.trained or not area.parameters() else ".requires_grad_(False)"
    if not area.cell.has_memory:
        return Module(area.identifier, area.name, _module(area.body.links, sets, end))
    operations = (_link(link, sets) for link in area.body)
    return Module(
        area.identifier, area.name, Call("Area(", (*operations, f"cell={area.cell.constructor()}"), f"){end}")
    )


def _connection(connection: Connection, links: tuple[Link, ...], sets: Sets) -> Module:
    frozen = not sets.trained and connection.parameters() and connection.owner is None
    end = ".requires_grad_(False)" if frozen else ""
    weights = [shape for _, link in connection.transform.walk() for shape in link.operation.parameters().values()]
    starts = connection.owner is None and any(len(shape) > 1 for shape in weights)
    fill = FILLS.get(connection.init) if starts else None
    module = _module(links, sets, end) if fill is None else Call("started(", (_module(links, sets), fill), f"){end}")
    return Module(connection.identifier, f"{connection.source} → {connection.target}", module)


def _module(links: tuple[Link, ...], sets: Sets, end: str = "") -> str | Call:
    """The expression that makes the module of operations one after another; of one without parameters, it alone."""
    if not links:
        return f"nn.Identity(){end}"
    chain = Chain(links[0].operation.shape, links)
    if len(links) == 1 and not chain.parameters() and not links[0].operation.chains() and links[0].owner is None:
        return f"{links[0].operation.constructor()}{end}"
    return _chain(links, sets, end=end)


def _chain(links: tuple[Link, ...], sets: Sets, start: str = "", end: str = "") -> Call:
    return Call(f"{start}Chain(", tuple(_link(link, sets) for link in links), f"){end}")


def _link(link: Link, sets: Sets) -> str | Call:
    name, operation = link.name, link.operation
    if inner := operation.chains():
        parts = tuple(_chain(chain.links, sets, f"{part}=") for part, chain in inner.items())
        return Call(f"{name}={operation.constructor()}(", parts)
    if not link.per_step or link.owner is not None:
        return f"{name}={link.constructor}"
    make, count = f"lambda: {operation.constructor()}", f"sets={sets.count}"
    if sets.trained == tuple(range(1, sets.count + 1)):
        return Call(f"{name}=PerStep(", (make, count))
    return Call(f"{name}=SomeSteps(", (make, count, ranges("trained=", sets.trained)))


def _readout(readout: Readout) -> Module:
    arguments = (
        f"pool={readout.pool.constructor()}",
        "flatten=nn.Flatten()",
        f"linear={readout.linear.constructor()}",
    )
    return Module(readout.identifier, readout.name, Call("Chain(", arguments))
