"""Parameters per step are for areas with several updates."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.unrolling import UnrolledGraph

__all__ = ["single_update"]


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
