"""Release: delete each value after its last use."""

from __future__ import annotations

from cortexgraph.unrolling import UnrolledGraph


def release(graph: UnrolledGraph) -> UnrolledGraph:
    """Note that values are deleted after the last statement that reads them, so that memory does not grow with T.

    Requires: nothing. Which statement is the last to read a value is known once the graph is lowered to statements.

    Ensures: values do not change.
    """
    return graph.noted(releases=True)
