"""Roll: write the steady state as a loop, so that the size of the source does not grow with T."""

from __future__ import annotations

from cortexgraph.passes.steady import cut, find_loop
from cortexgraph.unrolling import UnrolledGraph

__all__ = ["roll"]


def roll(graph: UnrolledGraph) -> UnrolledGraph:
    """Keep one period of the longest stretch of steps that do the same, and note how often it runs (`Loop`).

    Requires: nodes in the order of execution; a graph that is not rolled. It runs after the passes that change what is
    computed.
    Ensures: written out again, the loop gives the same updates that read the same values by the same parameters: in
    each of its steps, updates differ from those one period earlier in the number of the step, and in ordinals, which
    go up evenly. Without a stretch that comes twice the graph stays as it is.
    """
    loop = find_loop(graph)
    return graph if loop is None else cut(graph, loop)
