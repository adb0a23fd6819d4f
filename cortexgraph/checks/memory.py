"""The network is not too large for this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import prod

from cortexgraph.errors import Diagnostic
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.wording import count_text

__all__ = ["memory"]


FLOAT_BYTES = 4


def memory(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`memory` (a warning): parameters, or the states of one image in training, exceed this machine's memory.

    An estimate from below: gradients, the optimiser and intermediate results come on top.
    """
    areas = unrolled.areas
    sets = unrolled.sets
    parameters = sum(area.parameters(sets[area.identifier]) for area in areas.areas)
    parameters += sum(c.parameters(sets[c.identifier]) for c in areas.connections)
    parameters += sum(readout.parameters for readout in areas.readouts)
    states = sum(prod(areas.shape(node.name)) for node in unrolled.live_updates())
    there = _machine_bytes()
    for what, numbers in (("the parameters", parameters), ("the states of one image", states)):
        if there is not None and numbers * FLOAT_BYTES > there:
            yield areas.spec.origin.diagnostic(
                "memory",
                ("areas",) if what == "the parameters" else ("time", "steps"),
                f"{what} take {count_text(numbers * FLOAT_BYTES)}B as 32-bit numbers",
                f"this machine has {count_text(there)}B of memory",
                "Choose fewer channels, smaller areas or fewer steps.",
                severity="warning",
            )


def _machine_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on this system
        return None
