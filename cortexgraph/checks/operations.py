"""Operations, norms, activations and cells are registered, and their options are valid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.graph.transforms import context_of_area
from cortexgraph.ops import (
    ACTIVATIONS,
    CELLS,
    NORMS,
    OPERATIONS,
    Problem,
)
from cortexgraph.spec import OperationSpec
from cortexgraph.spec.origin import Path
from cortexgraph.spec.wording import words_for
from cortexgraph.wording import quoted, suggest

__all__ = ["operations", "unknown_words"]


def unknown_words(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-operation`: a norm or activation in shorthand that is not registered."""
    spec = graph.spec
    places = [(("defaults", "area"), spec.defaults.area), *((("areas", n), a) for n, a in spec.areas.items())]
    for path, area in places:
        if area.norm is not None and area.norm.kind not in ("none", *NORMS):
            yield _unknown_word(graph, (*path, "norm"), NORMS.family, area.norm.kind, ["none", *NORMS])
        if area.activation is not None and area.activation not in ACTIVATIONS:
            yield _unknown_word(graph, (*path, "activation"), ACTIVATIONS.family, area.activation, [*ACTIVATIONS])


def _unknown_word(
    graph: AreaGraph, path: Path, family: str, name: str, known: list[str], label: str = ""
) -> Diagnostic:
    return graph.spec.origin.diagnostic(
        "unknown-operation",
        path,
        f"no {family} is called `{name}`",
        f"there are {quoted(known)}",
        suggest(name, known, f"Choose one of the registered names of {'an' if family[0] in 'ao' else 'a'} {family}."),
        label=label,
    )


def operations(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-operation`, `bad-operation`, and what validation finds in the options of operations and cells."""
    spec = graph.spec
    for connection in graph.connections:
        for problem in connection.transform.problems:
            yield _finding(graph, ("connections", connection.index, "transform"), problem, connection.label)
    seen: list[str] = []
    for area in graph.areas:
        own = spec.areas[area.name].body is not None
        at: Path = ("areas", area.name, "body") if own else ("defaults", "area", "body")
        for problem in area.body.problems if own else _unseen(area.body.problems, seen):
            yield _finding(graph, at, problem)
        cell = spec.areas[area.name].cell
        if cell is not None:
            yield from _cell(graph, ("areas", area.name, "cell"), cell, area.name)
    default = spec.defaults.area.cell
    inheriting = [name for name, area in spec.areas.items() if area.cell is None]
    if default is not None and inheriting:
        yield from _cell(graph, ("defaults", "area", "cell"), default, inheriting[0])


def _unseen(problems: Iterable[Problem], seen: list[str]) -> Iterator[Problem]:
    """Problems of a body under `defaults`, which every area that has it shares, once."""
    for problem in problems:
        if str(problem) not in seen:
            seen.append(str(problem))
            yield problem


def _cell(graph: AreaGraph, path: Path, entry: OperationSpec, area: str) -> Iterator[Diagnostic]:
    if entry.name not in CELLS:
        yield _unknown_word(graph, path, CELLS.family, entry.name, [*CELLS])
        return
    kind, context = CELLS[entry.name], context_of_area(graph.spec, graph.spec.areas[area])
    try:
        options, _ = kind.read(entry.options, context)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            inside = tuple(detail["loc"]) if isinstance(entry.options, dict) else ()
            yield _finding(graph, path, Problem((entry.name,), entry.name, detail, kind.options, inside))
        return
    if (rule := kind.make_from.problem(options, graph.area(area).shape, context)) is not None:
        yield graph.spec.origin.diagnostic("bad-operation", path, rule[0], repair=rule[1])


def _finding(graph: AreaGraph, path: Path, problem: Problem, label: str = "") -> Diagnostic:
    where = (*path, *problem.path)
    if problem.detail is not None and problem.options is not None:
        words = words_for(problem.detail, tuple(problem.detail["loc"]), problem.options)
        inner = problem.inside[:-1] if problem.detail["type"] == "missing" else problem.inside
        return graph.spec.origin.diagnostic(
            words.code, (*where, *inner), words.found, words.expected, words.repair, label=label
        )
    if problem.found:
        return graph.spec.origin.diagnostic("bad-operation", where, problem.found, repair=problem.repair, label=label)
    return _unknown_word(graph, where, OPERATIONS.family, problem.word, [*OPERATIONS], label)
