"""Which states are to be recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.unrolling import Node, UnrolledGraph, add_sink
from cortexgraph.wording import quoted, suggest

__all__ = ["record_sinks"]

Record = Mapping[str, str | int | Sequence[int]]


def record_sinks(graph: UnrolledGraph, record: Record) -> UnrolledGraph:
    """The graph with a node for each recorded state.

    Raises:
        CompileError: with all findings, for an unknown area, a step outside 1 … T, or an area that is silent at
            every step.
    """
    findings: list[Diagnostic] = []
    for name, wanted in record.items():
        if name not in graph.areas.spec.areas:
            findings.append(_unknown(graph, name))
            continue
        steps = _steps(graph, name, wanted)
        findings += _problems(graph, name, wanted, steps)
        if not findings:
            for step in sorted(set(steps)):
                add_sink(graph, Node("record", name, step), name)
    if findings:
        raise CompileError(findings)
    return graph


def _steps(graph: UnrolledGraph, name: str, wanted: str | int | Sequence[int]) -> list[int]:
    if wanted == "all":
        return list(graph.live_steps(name))
    if wanted == "last":
        return [graph.steps]
    if isinstance(wanted, int):
        return [wanted]
    return [] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)


def _problems(graph: UnrolledGraph, name: str, wanted: object, steps: list[int]) -> Iterator[Diagnostic]:
    legal = "a record is `all`, `last`, a step or a list of steps"
    if any(not isinstance(step, int) or isinstance(step, bool) for step in steps):
        yield Diagnostic("bad-record", f"record {name}", f"{wanted!r} was asked for", legal)
        return
    if not steps and wanted == "all":
        yield Diagnostic(
            "silent-record",
            f"record {name}",
            f"{name} is silent at all {graph.steps} steps",
            repair="Raise `time.steps`.",
        )
    elif not steps:
        yield Diagnostic("bad-record", f"record {name}", f"{wanted!r} was asked for", legal)
    beyond = [str(step) for step in steps if not 1 <= step <= graph.steps]
    if beyond:
        yield Diagnostic(
            "step-beyond-end",
            f"record {name}",
            f"step {', '.join(beyond)} was asked for",
            f"the network runs for {graph.steps} steps",
            "Name steps from 1 to T, or raise `steps`.",
        )


def _unknown(graph: UnrolledGraph, name: str) -> Diagnostic:
    known = list(graph.areas.spec.areas)
    return Diagnostic(
        "unknown-area",
        "record",
        f"no area is called `{name}`",
        f"there are {quoted(known)}",
        suggest(name, known, "Name a declared area."),
    )
