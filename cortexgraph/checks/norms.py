"""Norms that do nothing, or not what they seem to."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.ops import Chain, GroupNorm
from cortexgraph.spec.origin import Path
from cortexgraph.unrolling import UnrolledGraph

__all__ = ["norm_over_one_value", "single_update"]


def norm_over_one_value(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`norm-over-one-value` (a warning): a value minus its own mean is 0, so that only the shift is left."""
    for area in graph.areas:
        yield from _in_chain(graph, area.body, ("areas", area.name))
    for connection in graph.connections:
        yield from _in_chain(graph, connection.transform, ("connections", connection.index), connection.label)


def _in_chain(graph: AreaGraph, chain: Chain, path: Path, label: str = "") -> Iterator[Diagnostic]:
    for _, link in chain.walk():
        norm = link.operation
        if isinstance(norm, GroupNorm) and norm.shape[0] // norm.groups * norm.shape[1] * norm.shape[2] == 1:
            yield graph.spec.origin.diagnostic(
                "norm-over-one-value",
                path,
                f"the {norm.summary()} of {' × '.join(map(str, norm.shape))} normalises each value by itself: "
                "its result does not depend on its input",
                repair="Choose fewer groups, or a batch norm.",
                label=label,
                severity="warning",
            )


def single_update(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`single-update` (a warning): per-step parameters asked for where there is but one update."""
    spec = unrolled.areas.spec
    for area in unrolled.areas.areas:
        declared = spec.areas[area.name]
        own = declared.weights == "per_step" or declared.body is not None or (declared.norm and declared.norm.per_step)
        if own and area.per_step and unrolled.ordinals[area.name] == 1:
            yield spec.origin.diagnostic(
                "single-update",
                ("areas", area.name),
                f"{area.name} asks for parameters per step, and is updated once in {unrolled.steps} steps",
                repair="Raise `time.steps`, or share the parameters: one set is all that there is.",
                severity="warning",
            )
