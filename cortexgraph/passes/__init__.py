"""Passes: functions from a settled graph to an equivalent one, each with its legality stated, in one list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.passes.cse import cse
from cortexgraph.passes.fold import fold
from cortexgraph.passes.prune import prune
from cortexgraph.passes.release import release
from cortexgraph.passes.roll import roll
from cortexgraph.passes.status import Status, statuses
from cortexgraph.unrolling import UnrolledGraph, verify

__all__ = ["PASSES", "Pass", "Status", "chosen", "cse", "fold", "prune", "release", "roll", "run_passes", "statuses"]

Pass = Callable[[UnrolledGraph], UnrolledGraph]

PASSES: dict[str, Pass] = {
    "prune": prune,  # leave out what is silent, or what no readout or record needs
    "cse": cse,  # compute equal values once
    "fold": fold,  # compute what cannot depend on the image for a batch of one
    "roll": roll,  # write the steady state as a loop
    "release": release,  # delete values after their last use
}
"""All passes by name, in the order in which they run."""

FORMER_NAMES = {"share": "cse"}
"""What passes were called in version 0.1."""


def chosen(names: Collection[str] | None) -> list[str]:
    """The named passes (all by default) in the order in which they run.

    Raises:
        CompileError: for a name that is not a pass.
    """
    if names is None:
        return [*PASSES]
    current = [FORMER_NAMES.get(name, name) for name in names]
    expected = f"the passes are {', '.join(PASSES)}"
    if unknown := [name for name in current if name not in PASSES]:
        raise CompileError(Diagnostic("unknown-pass", "passes", f"`{n}` is not a pass", expected) for n in unknown)
    return [name for name in PASSES if name in current]


def run_passes(graph: UnrolledGraph, names: Sequence[str] | None = None) -> UnrolledGraph:
    """Run the named passes (all by default) in their order on a settled graph; the graph is verified after each.

    Raises:
        CompileError: for a name that is not a pass.
    """
    for name in chosen(names):
        graph = verify(PASSES[name](graph))
    return graph
