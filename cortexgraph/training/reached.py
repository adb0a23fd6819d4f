"""Which steps training read, which parameters it reached, and which readouts use others.

An area with per-step parameters has one set for each live update up to T, but no readout may depend on the
last of them: with simultaneous updates the last state of V1 is read by nothing. Such a set stays as it was
initialised; a state dict holds the last trained set in its place, which updates beyond T also use.
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from cortexgraph.codegen import trained_sets
from cortexgraph.compiler import unroll
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.graph import Readout
from cortexgraph.passes import prune
from cortexgraph.spec import NetworkSpec
from cortexgraph.training.losses import step_weights
from cortexgraph.training.tasks import unregistered_losses
from cortexgraph.unrolling import Node, UnrolledGraph
from cortexgraph.wording import step_ranges

Part = tuple[str, int]
"""An area's or connection's identifier, with the number of its parameter set (0 without sets)."""


def read_steps(graph: UnrolledGraph) -> tuple[int, ...]:
    """The steps of the first readout's logits, in their order."""
    return all_read_steps(graph)[0]


def all_read_steps(graph: UnrolledGraph) -> tuple[tuple[int, ...], ...]:
    """The steps of the logits of each readout."""
    return tuple(_steps_of_logits(graph, readout) for readout in graph.areas.readouts)


def _steps_of_logits(graph: UnrolledGraph, readout: Readout) -> tuple[int, ...]:
    """The steps at which a readout is read, or the last of them where it reads all states together."""
    steps = graph.readout_steps(readout.name)
    return steps[-1:] if readout.over_time == "concat" else steps


def check_losses(graph: UnrolledGraph, loss_over: str) -> None:
    """Raise CompileError unless each readout's loss is registered and has one weight for each readout step."""
    findings = [*unregistered_losses(graph.areas.spec)]
    for readout, declared in zip(graph.areas.readouts, graph.areas.spec.readouts, strict=True):
        place = ("readout", readout.index)
        steps, over = _steps_of_logits(graph, readout), declared.loss_over or loss_over
        if len(weights := step_weights(over, len(steps))) != len(steps):
            found = f"{len(weights)} weights were given"
            expected = f"{readout.name} is read out at {len(steps)} steps ({step_ranges(steps)})"
            repair = "Give one weight for each step, with commas between."
            diagnostic = Diagnostic("loss-weights", "settings.loss_over", found, expected, repair)
            if declared.loss_over is not None:
                diagnostic = graph.areas.spec.diagnostic("loss-weights", (*place, "loss_over"), found, expected, repair)
            findings.append(diagnostic)
    if findings:
        raise CompileError(findings)


def reached_steps(trained: NetworkSpec, evaluated: NetworkSpec) -> dict[int, bool]:
    """For each step of the first readout of `evaluated`, whether it uses only what a readout of `trained` depended on.

    Both have the same areas; steps of readout, T or order may be others.
    """
    graph, other = prune(unroll(trained)), prune(unroll(evaluated))
    last = {identifier: max(sets) for identifier, sets in trained_sets(graph).items()}
    reached = set().union(*(_parts(graph, readout, last) for readout in graph.readouts))
    first = other.areas.readouts[0].name
    return {node.step: _parts(other, node, last) <= reached for node in other.readouts if node.name == first}


def _used(graph: UnrolledGraph, node: Node) -> Iterator[Part]:
    """The parameters that an update uses, those of other connections under the names of these."""
    if node.kind != "update" or not graph.live(node):
        return
    area, ordinal = graph.areas.area(node.name), graph.ordinal(node)
    yield area.identifier, ordinal if area.per_step else 0
    for connection, _ in graph.terms(node):
        number = ordinal if connection.per_step else 0
        yield connection.identifier, number
        if connection.owner is not None:
            yield connection.owner, number


def _parts(graph: UnrolledGraph, readout: Node, last: dict[str, int]) -> set[Part]:
    """All that one readout depends on; a set after the last that training reached is that last one."""
    used = {part for node in nx.ancestors(graph, readout) for part in _used(graph, node)}
    return {(identifier, min(number, last.get(identifier, 0))) for identifier, number in used}
