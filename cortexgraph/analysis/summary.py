"""`summarise`: the numbers of a network from its unrolled graph before and after passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod

from cortexgraph.analysis.model import AreaSummary, ConnectionSummary, NetworkSummary, StepSummary
from cortexgraph.analysis.paths import Paths, steps_to_readouts
from cortexgraph.analysis.receptive_field import Extent, receptive_fields, window_of
from cortexgraph.compiler import lower
from cortexgraph.graph import Area, Connection
from cortexgraph.passes import Status, statuses
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import Node, Order, UnrolledGraph

__all__ = ["evaluations", "step_summaries", "summarise", "summarise_spec"]

FLOAT_BYTES = 4


def summarise(full: UnrolledGraph, kept: UnrolledGraph) -> NetworkSummary:
    """Summary of a network from its unrolled graph before and after passes, as `lower` gives them."""
    areas = full.areas
    fields = receptive_fields(full)
    of_areas, of_connections = steps_to_readouts(full)
    evaluated, found = evaluations(kept), statuses(full, kept)
    macs = {readout.name: readout.macs for readout in areas.readouts}
    readout_macs = sum(macs[node.name] for node in kept.readouts)
    return NetworkSummary(
        areas=tuple(_area(full, found, area, fields, of_areas.get(area.name, {})) for area in areas.areas),
        connections=tuple(
            _connection(full, c, evaluated.get(c.identifier, []), of_connections.get(c.identifier, {}))
            for c in areas.connections
        ),
        steps=tuple(step_summaries(kept, evaluated)),
        image_size=areas.image_shape[1:],
        readout_parameters=sum(readout.parameters for readout in areas.readouts),
        readout_macs=readout_macs,
        macs_unpruned=sum(step.macs for step in step_summaries(full, evaluations(full))) + readout_macs,
    )


def summarise_spec(spec: NetworkSpec, steps: int | None = None, order: Order | None = None) -> NetworkSummary:
    """The numbers of a spec: sizes, parameters, multiply-adds, receptive fields, executed updates, paths.

    Args:
        spec: the network.
        steps, order: number of steps T and order of updates; those of the spec by default.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout of a silent area.

    Examples:
        >>> import cortexgraph as cg
        >>> v4 = cg.summarise(cg.load("ventral")).areas[2]
        >>> v4.receptive_field_px[3], v4.steps_to_readout
        ((11, 11), {'IT': (1, 3)})
    """
    return summarise(*lower(spec, steps, order))


def evaluations(graph: UnrolledGraph) -> dict[str, list[int]]:
    """Steps at which each connection is evaluated, for one static image in evaluation."""
    found: dict[str, list[int]] = {}
    for node in graph:
        if graph.repeat(node) is not None or not graph.live(node):
            continue
        if node.kind == "drive":
            found.setdefault(node.name, []).append(node.step)
        elif node.kind == "update":
            for connection, source in graph.terms(node):
                if source.kind != "drive":
                    found.setdefault(connection.identifier, []).append(node.step)
    return found


def step_summaries(graph: UnrolledGraph, evaluated: Mapping[str, list[int]]) -> Iterator[StepSummary]:
    """What each step executes, given the steps of the evaluations of each connection."""
    updates, macs, numbers = Counter[int](), Counter[int](), Counter[int]()
    for node in graph.live_updates():
        if graph.repeat(node) is not None:
            continue
        area = graph.areas.area(node.name)
        updates[node.step] += 1
        macs[node.step] += area.macs
        numbers[node.step] += prod(area.shape)
    for connection in graph.areas.connections:
        for step in evaluated.get(connection.identifier, []):
            macs[step] += connection.macs
            numbers[step] += prod(connection.output_shape)
    for step in range(1, graph.steps + 1):
        yield StepSummary(step, updates[step], macs[step], numbers[step] * FLOAT_BYTES)


def _area(
    full: UnrolledGraph, found: Mapping[Node, Status], area: Area, fields: Mapping[Node, Extent], paths: Paths
) -> AreaSummary:
    updates = list(full.updates(area.name))
    status = {node: found[node].word for node in updates}
    return AreaSummary(
        name=area.name,
        level=area.level,
        channels=area.channels,
        size=area.shape[1:],
        parameters=area.parameters(full.sets[area.identifier]),
        macs=area.macs,
        state_bytes=prod(area.shape) * FLOAT_BYTES,
        first_response=full.first_response(area.name),
        executed=tuple(node.step for node in updates if status[node] == "executed"),
        shared=tuple(node.step for node in updates if status[node] == "shared"),
        silent=tuple(node.step for node in updates if status[node] == "silent"),
        unread=tuple(node.step for node in updates if status[node] == "unread"),
        receptive_field_px={node.step: fields[node] for node in updates if node in fields},
        steps_to_readout=paths,
    )


def _connection(full: UnrolledGraph, connection: Connection, evaluated: list[int], paths: Paths) -> ConnectionSummary:
    labels = {c.identifier: c.label.replace("->", "→") for c in full.areas.connections}
    return ConnectionSummary(
        source=connection.source,
        target=connection.target,
        kind=connection.kind,
        delay=connection.delay,
        transform=(connection.transform.summary() or "as it is")
        + (f", tied to {labels[connection.owner]}" if connection.owner else ""),
        size=connection.output_shape[1:],
        window=window_of(connection),
        parameters=connection.parameters(full.sets[connection.identifier]),
        macs=connection.macs,
        output_bytes=prod(connection.output_shape) * FLOAT_BYTES,
        evaluated=tuple(evaluated),
        first_response=_first_signal(full, connection),
        steps_to_readout=paths,
    )


def _first_signal(full: UnrolledGraph, connection: Connection) -> int | None:
    for node in full.live_updates(connection.target):
        if any(read is connection and source.kind != "zero" for read, source in full.terms(node)):
            return node.step
    return None
