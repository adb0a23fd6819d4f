"""Operations, norms, activations and cells are registered, and their options are valid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.ops import (
    ACTIVATIONS,
    CELLS,
    NORMS,
    OPERATIONS,
    Component,
    Problem,
    Registry,
)
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
            yield _unknown_word(graph, (*path, "norm"), "norm", area.norm.kind, ["none", *NORMS])
        if area.activation is not None and area.activation not in ACTIVATIONS:
            yield _unknown_word(graph, (*path, "activation"), "activation", area.activation, [*ACTIVATIONS])


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
        declared = spec.areas[area.name]
        parts = (
            ("body", area.body.problems, declared.body is not None, OPERATIONS),
            ("cell", area.cell_problems, declared.cell is not None, CELLS),
        )
        for key, problems, own, registry in parts:
            path: Path = ("areas", area.name, key) if own else ("defaults", "area", key)
            for problem in problems if own else _unseen(problems, seen):
                yield _finding(graph, path, problem, registry=registry)


def _unseen(problems: Iterable[Problem], seen: list[str]) -> Iterator[Problem]:
    """Problems of a body or cell under `defaults`, which every area that has it shares, once."""
    for problem in problems:
        if str(problem) not in seen:
            seen.append(str(problem))
            yield problem


def _finding(
    graph: AreaGraph, path: Path, problem: Problem, label: str = "", registry: Registry[Component] = OPERATIONS
) -> Diagnostic:
    where = (*path, *problem.path)
    if problem.detail is not None and problem.options is not None:
        words = words_for(problem.detail, tuple(problem.detail["loc"]), problem.options)
        inner = problem.inside[:-1] if problem.detail["type"] == "missing" else problem.inside
        return graph.spec.origin.diagnostic(
            words.code, (*where, *inner), words.found, words.expected, words.repair, label=label
        )
    if problem.found:
        return graph.spec.origin.diagnostic("bad-operation", where, problem.found, repair=problem.repair, label=label)
    return _unknown_word(graph, where, registry.family, problem.word, [*registry], label)
