"""The few numbers by which networks are compared; quick, where `summarise` says all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from cortexgraph.analysis.summary import step_summaries
from cortexgraph.unrolling import UnrolledGraph, macs_of, total_parameters

__all__ = ["Totals", "totals"]


@dataclass(frozen=True)
class Totals:
    """A network in short.

    Attributes:
        areas: number of areas.
        connections: number of driving connections of each kind, and of `modulating` ones.
        steps: number of steps T.
        responds_at: first step at which the state that the first readout reads can depend on the image; None if none.
        parameters: learned numbers, all per-step sets counted.
        flops: floating-point operations of one forward pass of one image, two for each multiply-add.
    """

    areas: int
    connections: dict[str, int]
    steps: int
    responds_at: int | None
    parameters: int
    flops: int


def totals(full: UnrolledGraph, kept: UnrolledGraph) -> Totals:
    """The numbers of a network from its unrolled graph before and after passes, as `lower` gives them."""
    graph, seen = full.areas, full.from_image()
    kinds = Counter("modulating" if c.role == "modulate" else c.kind for c in graph.connections)
    read = graph.readouts[0].source
    return Totals(
        areas=len(graph.areas),
        connections={kind: kinds[kind] for kind in ("feedforward", "lateral", "feedback", "modulating") if kinds[kind]},
        steps=full.steps,
        responds_at=next((node.step for node in full.live_updates(read) if node in seen), None),
        parameters=total_parameters(full),
        flops=2 * sum(step.macs for step in step_summaries(kept))
        + 2 * sum(macs_of(kept, node) for node in kept.readouts),
    )
