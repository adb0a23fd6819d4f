"""The one cost model: learned numbers, multiply-adds, evaluations and the numbers that are held."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from cortexgraph.graph import Area, Connection
from cortexgraph.ops import Chain
from cortexgraph.unrolling.model import Node, UnrolledGraph, trained_sets

FLOAT_BYTES = 4


def parameters_by_part(graph: UnrolledGraph) -> dict[str, int]:
    """Learned numbers of each area, connection and readout, by identifier; all per-step sets are counted."""
    areas, sets = graph.areas, graph.sets
    counts = {area.identifier: area.parameters(sets[area.identifier]) for area in areas.areas}
    counts |= {c.identifier: c.parameters(sets[c.identifier]) for c in areas.connections}
    return counts | {readout.identifier: readout.parameters for readout in areas.readouts}


def total_parameters(graph: UnrolledGraph) -> int:
    """Learned numbers of the network; all per-step sets are counted."""
    return sum(parameters_by_part(graph).values())


def trained_parameters(graph: UnrolledGraph) -> int:
    """Learned numbers that training changes: not of areas, connections and per-step sets that no readout reads."""
    reached = trained_sets(graph)
    parts: list[Area | Connection] = [*graph.areas.areas, *graph.areas.connections]
    numbers = sum(part.parameters(len(reached[part.identifier])) for part in parts if part.identifier in reached)
    starts = {area.identifier: area for area in graph.areas.areas if area.start == "learned"}
    read = {node.name for node in graph.live_past(graph.readouts) if node.part == "start"}
    numbers -= sum(area.channels for name, area in starts.items() if name in reached and area.name not in read)
    return numbers + sum(readout.parameters for readout in graph.areas.readouts)


def evaluations(graph: UnrolledGraph, node: Node) -> Iterator[Connection]:
    """The connections that a node evaluates: an evaluation its own, an update those that it reads directly."""
    if node.kind == "evaluation" and not node.part:
        yield graph.evaluated(node)[0]
    elif node.kind == "update":
        yield from (c for c, source in graph.terms(node) if source.kind != "evaluation" or source.part)


def macs_of(graph: UnrolledGraph, node: Node) -> int:
    """Multiply-adds of a node that is carried out, for one image."""
    if node.kind == "readout":
        return next(readout.macs for readout in graph.areas.readouts if readout.name == node.name)
    own = graph.areas.area(node.name).macs if node.kind == "update" else 0
    if node.kind == "evaluation" and node.part:
        return graph.applied(node).macs
    return own + sum(connection.macs for connection in evaluations(graph, node))


def numbers_of(graph: UnrolledGraph, node: Node) -> int:
    """Numbers for one image that a node makes and keeps: its state, and the results of the connections it evaluates."""
    state = prod(graph.areas.shape(node.name)) if node.kind == "update" else 0
    return state + sum(prod(connection.output_shape) for connection in evaluations(graph, node))


def numbers_within(graph: UnrolledGraph, node: Node) -> int:
    """Numbers for one image that training keeps of an update: of each operation's result, and the state."""
    transforms = sum(_made(connection.transform) for connection, _ in graph.terms(node))
    return prod(graph.areas.shape(node.name)) + _made(graph.areas.area(node.name).body) + transforms


def _made(chain: Chain) -> int:
    return sum(prod(link.operation.output()) for link in chain)
