"""Passes: functions from a settled graph to an equivalent one, each with its legality stated, in one list."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.passes.cse import cse
from cortexgraph.passes.fold import fold
from cortexgraph.passes.prune import prune
from cortexgraph.passes.release import release
from cortexgraph.passes.roll import Lowered, Lowering, lowered_by_loop, roll
from cortexgraph.passes.status import Status, statuses
from cortexgraph.unrolling import UnrolledGraph, verify

Pass = Callable[[UnrolledGraph], UnrolledGraph]

PASSES: dict[str, Pass] = {
    "prune": prune,  # leave out what is silent, or what no readout or record needs
    "cse": cse,  # compute equal values once
    "fold": fold,  # compute what cannot depend on the image for a batch of one
    "roll": roll,  # write the steady state as a loop
    "release": release,  # delete values after their last use
}
"""All passes by name, in the order in which they run."""

LOOPS = frozenset({"roll"})
"""The passes that write loops."""

FORMER_NAMES = {"share": "cse"}
"""What passes were called in version 0.1."""


def chosen(names: object = None, *, loops: bool = True) -> list[str]:
    """The passes to run, of these names or all, in the order in which they run; without loops if these may not be.

    Raises CompileError if this is not a list of names of passes.
    """
    if names is not None and not isinstance(names, str | Iterable):
        found, repair = f"{names!r} was given", "Give their names, such as `passes=['prune']`."
        raise CompileError(Diagnostic("unknown-pass", "passes", found, "passes is a list of names", repair))
    listed = [*PASSES] if names is None else [names] if isinstance(names, str) else [*names]
    current = [FORMER_NAMES.get(str(name), name) for name in listed]
    expected = f"the passes are {', '.join(PASSES)}"
    if unknown := [name for name in current if name not in [*PASSES]]:
        raise CompileError(Diagnostic("unknown-pass", "passes", f"`{n}` is not a pass", expected) for n in unknown)
    return [name for name in PASSES if name in current and (loops or name not in LOOPS)]


def run_passes(graph: UnrolledGraph, names: Iterable[str] | None = None) -> UnrolledGraph:
    """Run the named passes (all by default) in their order on a settled graph; the graph is verified after each."""
    for name in chosen(names):
        graph = verify(PASSES[name](graph))
    return graph


def lowered(lower: Lowering, areas: AreaGraph, names: Iterable[str], recorded: tuple[int, ...]) -> Lowered:
    """The unrolled graph before and after passes of these names, of a function that makes both for a number of steps.

    Where the steps become a loop, only as many are unrolled as show it, and as the record names.
    """
    short = None if LOOPS.isdisjoint(names) else lowered_by_loop(lower, areas, recorded)
    return short or lower(areas.spec.time.steps)
