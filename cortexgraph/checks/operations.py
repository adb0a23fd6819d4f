"""Every operation and cell is registered, and its options are legal."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from cortexgraph.checks.unknown_words import unknown_word
from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.graph.transforms import context_of_area, context_of_connection, written_body
from cortexgraph.ops import (
    CELLS,
    OPERATIONS,
    Problem,
    problems,
)
from cortexgraph.spec import OperationSpec
from cortexgraph.spec.origin import Path
from cortexgraph.spec.wording import words_for

__all__ = ["operations"]


def operations(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-operation`, `bad-operation`, and what validation finds in the options of operations and cells."""
    spec = graph.spec
    for connection in graph.connections:
        declared = spec.connections[connection.index]
        if declared.transform is not None:
            path: Path = ("connections", connection.index, "transform")
            context = context_of_connection(spec, declared)
            for problem in problems(declared.transform, connection.source_shape, context):
                yield _finding(graph, path, problem, connection.label)
    seen: set[Path] = set()
    for area in graph.areas:
        own = spec.areas[area.name]
        body = written_body(spec, own)
        at: Path = ("areas", area.name, "body") if own.body is not None else ("defaults", "area", "body")
        if body is not None and (own.body is not None or at not in seen):
            seen.add(at)
            for problem in problems(body, area.body.shape, context_of_area(spec, own)):
                yield _finding(graph, at, problem)
        if own.cell is not None:
            yield from _cell(graph, ("areas", area.name, "cell"), own.cell, area.name)
    default = spec.defaults.area.cell
    inheriting = [name for name, area in spec.areas.items() if area.cell is None]
    if default is not None and inheriting:
        yield from _cell(graph, ("defaults", "area", "cell"), default, inheriting[0])


def _cell(graph: AreaGraph, path: Path, entry: OperationSpec, area: str) -> Iterator[Diagnostic]:
    if entry.name not in CELLS:
        yield unknown_word(graph, path, CELLS.family, entry.name, [*CELLS])
        return
    kind, context = CELLS[entry.name], context_of_area(graph.spec, graph.spec.areas[area])
    try:
        options = kind.read(entry.options, context)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            yield _finding(graph, path, Problem((entry.name,), entry.name, detail, kind.options))
        return
    if (rule := kind.make_from.problem(options, graph.area(area).shape, context)) is not None:
        yield graph.spec.origin.diagnostic("bad-operation", path, rule[0], repair=rule[1])


def _finding(graph: AreaGraph, path: Path, problem: Problem, label: str = "") -> Diagnostic:
    where = (*path, *problem.path)
    if problem.detail is not None and problem.options is not None:
        loc = tuple(problem.detail["loc"])
        words = words_for(problem.detail, loc, problem.options)
        inner = loc[:-1] if problem.detail["type"] == "missing" else loc
        return graph.spec.origin.diagnostic(
            words.code, (*where, *inner), words.found, words.expected, words.repair, label=label
        )
    if problem.found:
        return graph.spec.origin.diagnostic("bad-operation", where, problem.found, repair=problem.repair, label=label)
    return unknown_word(graph, where, OPERATIONS.family, problem.word, [*OPERATIONS], label)
