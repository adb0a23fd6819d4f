"""Well-formedness of a network: each check looks for one thing, all run, all findings come at once.

A check is a pure function to findings: from an area graph (`STRUCTURE`, which a graph must pass to be unrolled, and
`REGISTERED`), or from the unrolled graph of one that passed (`BEHAVIOUR`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from cortexgraph.arguments import arguments_explained
from cortexgraph.checks import behaviour, shapes, structure, time
from cortexgraph.errors import MOST_FINDINGS, Diagnostic, unsaid
from cortexgraph.graph import AreaGraph, assemble
from cortexgraph.spec import NetworkSpec
from cortexgraph.spec.document import FURTHER, Document
from cortexgraph.spec.origin import Path, path_text
from cortexgraph.spec.shorthand import ARROW
from cortexgraph.unrolling import UnrolledGraph, unroll_graph

__all__ = ["BEHAVIOUR", "REGISTERED", "STRUCTURE", "Check", "check_graph", "check_structure", "register_check"]

Check = Callable[[AreaGraph], Iterable[Diagnostic]]
UnrolledCheck = Callable[[UnrolledGraph], Iterable[Diagnostic]]

STRUCTURE: tuple[Check, ...] = (
    structure.unknown_names,
    structure.inputs,
    structure.look_alikes,
    structure.unknown_words,
    structure.operations,
    shapes.ties,
    structure.signs,
    structure.starts_of_weights,
    structure.order,
    shapes.unknown_size,
    shapes.channel_groups,
    shapes.shape_mismatch,
    shapes.body_shape,
    shapes.outputs,
    shapes.readout_transforms,
    structure.declared_kind,
    structure.empty_values,
    structure.unreachable,
    time.steps,
    time.delays,
    time.late_relays,
    structure.repeated_readouts,
    structure.duplicate_connections,
    shapes.norm_over_one_value,
    shapes.uneven_resize,
    shapes.wide_kernel,
    structure.one_class,
    time.too_many_updates,
)

BEHAVIOUR: tuple[UnrolledCheck, ...] = (
    behaviour.silent_sinks,
    behaviour.dead_parameters,
    behaviour.image_independent,
    behaviour.single_update,
    shapes.memory,
)

REGISTERED: list[Check] = []
"""Checks of the user's own."""


@arguments_explained
def register_check(check: Check) -> Check:
    """Decorator: the check runs with the others from now on, once the graph is well formed.

    It takes an `AreaGraph` and yields `Diagnostic`s; ``graph.spec.origin.diagnostic(code, path, …)`` makes one that
    names file and line.
    """
    REGISTERED.append(check)
    return check


def check_graph(graph: AreaGraph) -> list[Diagnostic]:
    """All findings of all checks, errors first, then in the order of the user's file."""
    findings = check_structure(graph)
    if not any(finding.severity == "error" for finding in findings):
        unrolled = unroll_graph(graph)
        findings += [finding for check in BEHAVIOUR for finding in _bounded(check(unrolled))]
    return _sorted(findings)


def check_structure(graph: AreaGraph) -> list[Diagnostic]:
    """Findings of the checks that a graph must pass to be unrolled, and of the user's own."""
    findings = [finding for check in STRUCTURE for finding in _bounded(check(graph))]
    if not any(finding.severity == "error" for finding in findings):
        findings += [finding for check in REGISTERED for finding in _bounded(check(graph))]
    return _sorted(findings)


def _bounded(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings of one check, as many as are worth reading."""
    first = list(islice(findings, MOST_FINDINGS + 1))
    return first if len(first) <= MOST_FINDINGS else [*first[:-1], unsaid("more findings", first[-2])]


def _sorted(findings: list[Diagnostic]) -> list[Diagnostic]:
    return sorted(findings, key=lambda finding: (finding.severity, finding.line or 0))


# ---- specs that break the language -------------------------------------------


ENDS = (("from",), ("to",), ("name",))
"""What a tie may call a connection by."""


def further_findings(document: Document, lost: list[Path]) -> list[Diagnostic]:
    """Errors of a spec from which these wrong parts were left out or replaced, but for what may follow from them."""
    if not isinstance(document, NetworkSpec):
        return []
    graph = assemble(document)
    parts = {path[0] for path in lost}
    names_known = not any(path[0] == "areas" and (len(path) == 1 or path[1] not in document.areas) for path in lost)
    words: list[Check] = [structure.unknown_words, structure.operations, structure.repeated_readouts]
    words += [structure.unknown_names] * names_known + [time.steps] * ("time" not in parts)
    words += [shapes.ties] * (not any(path[0] == "connections" and path[2:] in ((), *ENDS) for path in lost))
    sizes_known = names_known and not {"defaults", "input", "inputs"} & parts
    sized: list[Check] = [shapes.channel_groups, shapes.shape_mismatch, structure.declared_kind] * sizes_known
    sized += [] if lost else [check for check in STRUCTURE if check not in (*words, *sized)]
    entries = [path[:2] for path in lost]
    areas = {str(path[1]) for path in lost if path[0] == "areas" and len(path) > 1}
    findings = [each for each in _errors(graph, words) if not _lies_in(each, graph, lost)]
    findings = [each for each in findings if each.code != "bad-tie" or not each.expected]  # of names, not of shapes
    for each in _errors(graph, sized):
        ends = {name.strip() for name in each.place.partition(" ")[2].split(ARROW)}
        if not ends & areas and not _lies_in(each, graph, entries):
            findings.append(each)
    return findings


def _errors(graph: AreaGraph, checks: Iterable[Check]) -> Iterator[Diagnostic]:
    for check in checks:
        yield from (finding for finding in _bounded(check(graph)) if finding.severity == "error")


def _lies_in(finding: Diagnostic, graph: AreaGraph, paths: Iterable[Path]) -> bool:
    """Whether a finding is about one of these parts."""
    wrong = [path_text(graph.spec.origin.written(path)) for path in paths]
    return any(
        finding.place == part or finding.place.startswith((f"{part}.", f"{part}[", f"{part} ")) for part in wrong
    )


FURTHER.append(further_findings)
