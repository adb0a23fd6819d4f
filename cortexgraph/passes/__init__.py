"""Passes: functions from an unrolled graph to an equivalent smaller one, each with its legality stated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.passes.fold import fold
from cortexgraph.passes.prune import prune
from cortexgraph.passes.release import release
from cortexgraph.passes.roll import roll
from cortexgraph.passes.share import share
from cortexgraph.passes.status import Status, statuses
from cortexgraph.unrolling import UnrolledGraph

__all__ = ["PASSES", "Pass", "Status", "chosen", "fold", "prune", "release", "roll", "run_passes", "share", "statuses"]

Pass = Callable[[UnrolledGraph], UnrolledGraph]

PASSES: dict[str, Pass] = {"prune": prune, "share": share, "fold": fold, "roll": roll, "release": release}
"""All passes by name, in the order in which they run."""


def chosen(names: Sequence[str] | None) -> list[str]:
    """The named passes (all by default) in the order in which they run.

    Raises:
        CompileError: for a name that is no pass.
    """
    unknown = [name for name in names or () if name not in PASSES]
    if unknown:
        raise CompileError(
            [
                Diagnostic("unknown-pass", "passes", f"`{n}` is no pass", f"the passes are {', '.join(PASSES)}")
                for n in unknown
            ]
        )
    return [name for name in PASSES if names is None or name in names]


def run_passes(graph: UnrolledGraph, names: Sequence[str] | None = None) -> UnrolledGraph:
    """Run the named passes (all by default) in their order.

    Raises:
        CompileError: for a name that is no pass.
    """
    for name in chosen(names):
        graph = PASSES[name](graph)
    return graph
