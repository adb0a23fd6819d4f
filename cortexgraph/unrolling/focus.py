"""The part of an unrolled graph that matters for a question: the ancestors of a value, or its descendants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.spec import IMAGE
from cortexgraph.spec.origin import path_text
from cortexgraph.unrolling.latency import first_responses, response_text
from cortexgraph.unrolling.model import Node, UnrolledGraph
from cortexgraph.wording import listed, quoted, shortened, unknown_area

READOUT = "readout"
"""The name by which a focus means the readouts of a step (where no area is called so)."""


@dataclass(frozen=True)
class Focus:
    """A question about an unrolled graph. Places are written `V4@3`, or `V4` for all steps; also `image`, `readout`.

    Attributes:
        upstream: the place whose live ancestors are wanted.
        downstream: the place whose live descendants are wanted.
        between: two places; wanted is what lies on a live path from the first to the second.
    """

    upstream: str | None = None
    downstream: str | None = None
    between: tuple[str, str] | None = None

    def __str__(self) -> str:
        if self.upstream is not None:
            return f"upstream of {self.upstream}"
        if self.downstream is not None:
            return f"downstream of {self.downstream}"
        return "between {} and {}".format(*self.between or ("", ""))

    def __bool__(self) -> bool:
        return self != Focus()


def focused(graph: UnrolledGraph, focus: Focus) -> set[Node]:
    """The nodes that a focus asks for: live ones, along reads of live values.

    Raises CompileError with all findings: several questions, places that are unknown or silent, or two that no path
    joins.
    """
    asked = {key: value for key, value in vars(focus).items() if value is not None}
    if len(asked) != 1:
        found = f"{quoted(asked)} are given together" if asked else "nothing is asked for"
        repair = "Give one of `upstream`, `downstream` and `between`."
        raise CompileError(Diagnostic("bad-focus", "focus", found, "a drawing has one focus", repair))
    ((key, value),) = asked.items()
    texts: tuple[Any, ...] = tuple(value) if key == "between" and isinstance(value, list | tuple) else (value,)
    if len(texts) != 1 + (key == "between") or not all(isinstance(text, str) for text in texts):
        expected, repair = "it is one place, such as V4@3", f'Write {key}="V4@3".'
        if key == "between":
            expected, repair = "it is two places, such as V1@2 and readout@6", 'Write between=("V1@2", "readout@6").'
        raise CompileError(Diagnostic("bad-focus", key, f"`{shortened(str(value))}` was given", expected, repair))
    if findings := [finding for text in texts for finding in _problems(graph, key, text)]:
        raise CompileError(findings)
    start, end = _nodes(graph, texts[0]), _nodes(graph, texts[-1])
    if key != "between":
        return graph.live_past(end) if key == "upstream" else graph.live_future(start)
    if not (path := graph.live_future(start) & graph.live_past(end)):
        raise CompileError(_no_path(graph, *texts))
    return path


# ---- places ------------------------------------------------------------------


def _split(text: str) -> tuple[str, str | None]:
    name, at, step = text.rpartition("@")
    return (name.strip(), step.strip()) if at else (text.strip(), None)


def _kind(graph: UnrolledGraph, name: str) -> str | None:
    """What a place is: `image`, an `update` of an area, a `readout`; None if it is nothing."""
    if graph.areas.is_area(name):
        return "update"
    return {**dict.fromkeys(graph.areas.input_names, IMAGE), READOUT: READOUT}.get(name)


def _nodes(graph: UnrolledGraph, text: str) -> list[Node]:
    """The live nodes of a place."""
    name, step = _split(text)
    kind = _kind(graph, name)
    named = [node for node in graph if node.kind == kind and (kind == READOUT or node.name == name)]
    return [node for node in named if graph.live(node) and step in {None, str(node.step)}]


def _problems(graph: UnrolledGraph, key: str, text: str) -> Iterator[Diagnostic]:
    name, step = _split(text)
    place = f"{key} {shortened(text)}"
    if _kind(graph, name) is None:
        known = [*(area.name for area in graph.areas.areas), *graph.areas.input_names, READOUT]
        yield Diagnostic("unknown-area", place, *unknown_area(name, known))
    elif step is not None and not re.fullmatch(r"[0-9]{1,9}", step):
        yield Diagnostic("bad-focus", place, f"`{shortened(step)}` is not a step", "a place is written V4@3, or V4")
    elif step is not None and not 1 <= int(step) <= graph.steps:
        found, expected = f"step {step} was asked for", f"the network runs for {graph.steps} steps"
        yield Diagnostic("step-beyond-end", place, found, expected, "Name a step from 1 to T, or raise `steps`.")
    elif not _nodes(graph, f"{name}@{int(step)}" if step else name):
        yield _silent(graph, place, name, step)


def _silent(graph: UnrolledGraph, place: str, name: str, step: str | None) -> Diagnostic:
    when = f"at step {step}" if step else f"at all {graph.steps} steps"
    if _kind(graph, name) == IMAGE:
        called = "the image" if name == IMAGE else name
        path = path_text((*graph.areas.spec.input_path(name), "present"))
        return Diagnostic("silent-focus", place, f"{called} is not shown {when}", repair=f"See `{path}`.")
    if name == READOUT:
        steps = quoted(dict.fromkeys(f"readout@{node.step}" for node in graph.readouts))
        return Diagnostic("silent-focus", place, f"nothing is read out {when}", f"there are {steps or 'no readouts'}")
    steps = listed([*map(str, graph.live_steps(name)[:8])], "or")
    repair = f"Name a step at which it is live, such as {steps}." if steps else "Raise `time.steps`."
    first = response_text(graph, name, first_responses(graph.areas, graph.groups).get(name))
    return Diagnostic("silent-focus", place, f"{name} is silent {when}: {first}", "", repair)


def _no_path(graph: UnrolledGraph, start: str, end: str) -> Diagnostic:
    starts, name = _nodes(graph, start), _split(end)[0]
    reached = graph.live_future(starts)
    first = next((node for node in graph if node in reached and node.name == name), None)
    fresh = first is not None and first.name not in {node.name for node in starts}
    repair = f"{name} first depends on it at step {first.step}." if first and fresh else "Try other steps."
    return Diagnostic("no-path", f"between {start} and {end}", f"nothing of {start} reaches {end}", repair=repair)
