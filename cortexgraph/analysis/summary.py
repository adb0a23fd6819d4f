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
from cortexgraph.spec import SpecLike
from cortexgraph.unrolling import (
    FLOAT_BYTES,
    Node,
    Order,
    UnrolledGraph,
    evaluations,
    macs_of,
    numbers_of,
    parameters_by_part,
)

__all__ = ["evaluated_steps", "step_summaries", "summarise", "summarise_spec"]


def summarise(full: UnrolledGraph, kept: UnrolledGraph) -> NetworkSummary:
    """Summary of a network from its unrolled graph before and after passes, as `lower` gives them."""
    areas = full.areas
    fields = receptive_fields(full)
    of_areas, of_connections = steps_to_readouts(full)
    evaluated, status, parameters = evaluated_steps(kept), statuses(full, kept), parameters_by_part(full)
    readout_macs = sum(macs_of(kept, node) for node in kept.readouts)
    return NetworkSummary(
        areas=tuple(
            _area(full, status, area, parameters[area.identifier], fields, of_areas.get(area.name, {}))
            for area in areas.areas
        ),
        connections=tuple(
            _connection(
                full, c, parameters[c.identifier], evaluated.get(c.identifier, []), of_connections.get(c.identifier, {})
            )
            for c in areas.connections
        ),
        steps=tuple(step_summaries(kept)),
        image_size=areas.image_shape[1:],
        readout_parameters=sum(parameters[readout.identifier] for readout in areas.readouts),
        readout_macs=readout_macs,
        macs_unpruned=sum(step.macs for step in step_summaries(full)) + readout_macs,
    )


def summarise_spec(spec: SpecLike, steps: int | None = None, order: Order | None = None) -> NetworkSummary:
    """The numbers of a spec: sizes, parameters, multiply-adds, receptive fields, executed updates, paths.

    Args:
        spec: the network, or its path or zoo name.
        steps, order: number of steps T and order of updates; those of the spec by default.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout of a silent area.

    Examples:
        >>> import cortexgraph as cg
        >>> v4 = cg.summarise("ventral").areas[2]
        >>> v4.receptive_field_px[3], v4.steps_to_readout
        ((11, 11), {'IT': (1, 3)})
    """
    return summarise(*lower(spec, steps, order))


def evaluated_steps(graph: UnrolledGraph) -> dict[str, list[int]]:
    """Steps at which each connection is evaluated."""
    steps: dict[str, list[int]] = {}
    for node in _carried_out(graph):
        for connection in evaluations(graph, node):
            steps.setdefault(connection.identifier, []).append(node.step)
    return steps


def _carried_out(graph: UnrolledGraph) -> Iterator[Node]:
    return (node for node in graph if node.kind in {"update", "evaluation"} and graph.carried_out(node))


def step_summaries(graph: UnrolledGraph) -> Iterator[StepSummary]:
    """What each step executes."""
    updates, macs, numbers = Counter[int](), Counter[int](), Counter[int]()
    for node in _carried_out(graph):
        updates[node.step] += node.kind == "update"
        macs[node.step] += macs_of(graph, node)
        numbers[node.step] += numbers_of(graph, node)
    for step in range(1, graph.steps + 1):
        yield StepSummary(step, updates[step], macs[step], numbers[step] * FLOAT_BYTES)


def _area(
    full: UnrolledGraph,
    statuses: Mapping[Node, Status],
    area: Area,
    parameters: int,
    fields: Mapping[Node, Extent],
    paths: Paths,
) -> AreaSummary:
    updates = list(full.updates(area.name))
    status = {node: statuses[node].word for node in updates}
    return AreaSummary(
        name=area.name,
        level=area.level,
        channels=area.channels,
        size=area.shape[1:],
        parameters=parameters,
        macs=area.macs,
        state_bytes=prod(area.shape) * FLOAT_BYTES,
        first_response=full.first_response(area.name),
        executed=tuple(node.step for node in updates if status[node] == "executed"),
        shared=tuple(node.step for node in updates if status[node] in {"held", "shared"}),
        silent=tuple(node.step for node in updates if status[node] == "silent"),
        unread=tuple(node.step for node in updates if status[node] == "unread"),
        receptive_field_px={node.step: fields[node] for node in updates if node in fields},
        steps_to_readout=paths,
    )


def _connection(
    full: UnrolledGraph, connection: Connection, parameters: int, evaluated: list[int], paths: Paths
) -> ConnectionSummary:
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
        parameters=parameters,
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
