"""Well-formedness of a network: each check looks for one thing, all run, all findings come at once.

A check is a pure function from an area graph to findings. `STRUCTURE` holds those that a graph must pass to be
unrolled; `BEHAVIOUR` those that need the unrolled graph, and so run only on a graph that passed the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cortexgraph.checks.dead_parameters import dead_parameters
from cortexgraph.checks.declared_kind import declared_kind
from cortexgraph.checks.order import order
from cortexgraph.checks.readout_steps import readout_steps
from cortexgraph.checks.shapes import channel_groups, shape_mismatch, unknown_size
from cortexgraph.checks.silent_readout import silent_readout
from cortexgraph.checks.unknown_names import unknown_names
from cortexgraph.checks.unknown_operations import unknown_operations
from cortexgraph.checks.unreachable import unreachable
from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph

__all__ = ["BEHAVIOUR", "STRUCTURE", "Check", "check_graph"]

Check = Callable[[AreaGraph], Iterable[Diagnostic]]

STRUCTURE: tuple[Check, ...] = (
    unknown_names,
    unknown_operations,
    order,
    unknown_size,
    channel_groups,
    shape_mismatch,
    declared_kind,
    unreachable,
    readout_steps,
)

BEHAVIOUR: tuple[Check, ...] = (silent_readout, dead_parameters)


def check_graph(graph: AreaGraph, checks: Iterable[Check] | None = None) -> list[Diagnostic]:
    """All findings of the checks, in the order of the user's file; by default of all of them."""
    if checks is not None:
        found = [finding for check in checks for finding in check(graph)]
    else:
        found = check_graph(graph, STRUCTURE)
        if not any(finding.severity == "error" for finding in found):
            found += check_graph(graph, BEHAVIOUR)
    return sorted(found, key=lambda finding: (finding.severity, finding.line or 0))
