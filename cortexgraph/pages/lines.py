"""Which lines of the emitted source compute which update."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from itertools import islice

from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["Lines", "update_lines"]

Lines = tuple[int, int]
"""First and last line, from 1."""

Run = Sequence["tuple[int, list[ast.stmt]]"]


def update_lines(source: str, graph: UnrolledGraph) -> dict[Node, Lines]:
    """The lines of every update that the source computes; in a rolled loop, those of one turn for many updates.

    Found in the source itself, whatever passes made of it: the statements of an area come in the order of its
    updates, those of a loop as often as it turns.

    Args:
        source: as `emit` gives it.
        graph: the graph after passes.
    """
    called = [(name, lines) for name, lines in _calls(_forward(source))]
    found: dict[Node, Lines] = {}
    for area in graph.areas.areas:
        own = [lines for name, lines in called if name == area.identifier]
        updates = list(graph.live_updates(area.name))
        if len(own) == len(updates):
            found |= dict(zip(updates, own, strict=True))
    return found


def _forward(source: str) -> list[ast.stmt]:
    """The body of `forward` of the network, which is the last class of the file."""
    network = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)][-1]
    method = [node for node in network.body if isinstance(node, ast.FunctionDef) and node.name == "forward"]
    return method[-1].body


def _calls(body: Sequence[ast.stmt]) -> Iterator[tuple[str, Lines]]:
    """The calls `self.<name>(…)` of each statement in the order of execution, with the lines of the statement."""
    for statement in body:
        if isinstance(statement, ast.For):
            turns = _turns(statement)
            once = list(_calls(statement.body))
            for _ in range(turns):
                yield from once
        elif isinstance(statement, ast.If):
            yield from _calls(statement.body)
        elif isinstance(statement, ast.Assign):
            end = statement.end_lineno or statement.lineno
            for name in _outermost(statement.value):
                yield name, (statement.lineno, end)


def _turns(loop: ast.For) -> int:
    """How often a loop over `range(…)` of plain numbers turns."""
    call = loop.iter
    if not isinstance(call, ast.Call) or not all(isinstance(bound, ast.Constant) for bound in call.args):
        return 0
    bounds = [int(bound.value) for bound in call.args if isinstance(bound, ast.Constant)]  # type: ignore[arg-type]
    return len(range(*islice(bounds, 3)))


def _outermost(value: ast.expr) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "self":
                yield node.func.attr
