"""Well-formedness of a network: each check looks for one thing, all run, all findings come at once.

A check is a pure function to findings: from an area graph (`STRUCTURE`, which a graph must pass to be unrolled, and
`REGISTERED`), or from the unrolled graph of one that passed (`BEHAVIOUR`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from cortexgraph.checks.behaviour import dead_parameters, image_independent, silent_sinks, single_update
from cortexgraph.checks.operations import operations, unknown_words
from cortexgraph.checks.shapes import (
    body_shape,
    channel_groups,
    memory,
    norm_over_one_value,
    shape_mismatch,
    ties,
    unknown_size,
)
from cortexgraph.checks.structure import (
    declared_kind,
    duplicate_connections,
    look_alikes,
    order,
    repeated_readouts,
    unknown_names,
    unreachable,
)
from cortexgraph.checks.time import delays, steps, too_many_updates
from cortexgraph.errors import MOST_FINDINGS, Diagnostic, unsaid
from cortexgraph.graph import AreaGraph, assemble
from cortexgraph.spec import NetworkSpec
from cortexgraph.spec.document import FURTHER, Document
from cortexgraph.spec.origin import Path, path_text
from cortexgraph.unrolling import UnrolledGraph, unroll_graph

__all__ = ["BEHAVIOUR", "REGISTERED", "STRUCTURE", "Check", "check_graph", "check_structure", "register_check"]

Check = Callable[[AreaGraph], Iterable[Diagnostic]]
UnrolledCheck = Callable[[UnrolledGraph], Iterable[Diagnostic]]

STRUCTURE: tuple[Check, ...] = (
    unknown_names,
    look_alikes,
    unknown_words,
    operations,
    ties,
    order,
    unknown_size,
    channel_groups,
    shape_mismatch,
    body_shape,
    declared_kind,
    unreachable,
    steps,
    delays,
    repeated_readouts,
    duplicate_connections,
    norm_over_one_value,
    too_many_updates,
)

BEHAVIOUR: tuple[UnrolledCheck, ...] = (silent_sinks, dead_parameters, image_independent, single_update, memory)

REGISTERED: list[Check] = []
"""Checks of the user's own."""


def register_check(check: Check) -> Check:
    """Decorator: the check runs with the others from now on, once the graph is well formed.

    It takes an `AreaGraph` and yields `Diagnostic`s; ``graph.spec.origin.diagnostic(code, path, …)`` makes one that
    names file and line.
    """
    REGISTERED.append(check)
    return check


def check_graph(graph: AreaGraph) -> list[Diagnostic]:
    """All findings of all checks, errors first, then in the order of the user's file."""
    found = check_structure(graph)
    if not any(finding.severity == "error" for finding in found):
        unrolled = unroll_graph(graph)
        found += [finding for check in BEHAVIOUR for finding in _bounded(check(unrolled))]
    return _sorted(found)


def check_structure(graph: AreaGraph) -> list[Diagnostic]:
    """Findings of the checks that a graph must pass to be unrolled, and of the user's own."""
    found = [finding for check in STRUCTURE for finding in _bounded(check(graph))]
    if not any(finding.severity == "error" for finding in found):
        found += [finding for check in REGISTERED for finding in _bounded(check(graph))]
    return _sorted(found)


WORDS: tuple[Check, ...] = (unknown_words, operations)
LOCAL: tuple[Check, ...] = (unknown_names, channel_groups, shape_mismatch, declared_kind, steps, repeated_readouts)
"""Checks whose findings about one part do not follow from another that is missing."""


def further_findings(document: Document, wrong: list[Path]) -> list[Diagnostic]:
    """Errors of a spec that was salvaged from one with these wrong parts, but for what may follow from them."""
    if not isinstance(document, NetworkSpec):
        return []
    graph = assemble(document)
    findings = [finding for check in WORDS for finding in _bounded(check(graph))]
    if all(path[0] in {"areas", "connections", "readout"} and len(path) > 1 for path in wrong):
        entries = {path_text(document.origin.written(path[:2])) for path in wrong if path[0] != "readout"}
        areas = {str(path[1]) for path in wrong if path[0] == "areas"}
        others = (
            finding
            for check in (LOCAL if wrong else STRUCTURE)
            if check not in WORDS
            for finding in _bounded(check(graph))
        )
        findings += [finding for finding in others if not _follows(finding, entries, areas)]
    return [finding for finding in findings if finding.severity == "error"]


def _follows(finding: Diagnostic, entries: set[str], areas: set[str]) -> bool:
    """Whether a finding is about a part that is wrong already, or about a connection of such an area."""
    place, *label = finding.place.split(" ", 1)
    ends = {name.strip() for name in label[0].split("->")} if label else set()
    return bool(ends & areas) or any(
        place == entry or place.startswith((f"{entry}.", f"{entry}[")) for entry in entries
    )


FURTHER.append(further_findings)


def _bounded(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings of one check, as many as are worth reading."""
    found = list(islice(findings, MOST_FINDINGS + 1))
    return found if len(found) <= MOST_FINDINGS else [*found[:-1], unsaid("more findings", found[-2])]


def _sorted(found: list[Diagnostic]) -> list[Diagnostic]:
    return sorted(found, key=lambda finding: (finding.severity, finding.line or 0))
