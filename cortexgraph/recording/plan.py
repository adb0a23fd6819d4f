"""What is to be recorded: which areas at which steps, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.wording import quoted, suggest

__all__ = ["Recorded", "plan"]


@dataclass(frozen=True)
class Recorded:
    """One area of a recording.

    Attributes:
        area: its name.
        identifier: its name in the file.
        shape: channels, height and width.
        steps: at which it is recorded, rising; those at which it is silent are left out.
        silent: steps that were asked for, but at which it is silent.
    """

    area: str
    identifier: str
    shape: tuple[int, int, int]
    steps: tuple[int, ...]
    silent: tuple[int, ...]

    @property
    def numbers(self) -> int:
        """How many numbers one image gives."""
        return len(self.steps) * prod(self.shape)


def plan(
    graph: UnrolledGraph, areas: Sequence[str] | None = None, steps: str | Sequence[int] = "all"
) -> tuple[Recorded, ...]:
    """What to record of an unrolled network.

    Args:
        graph: before passes.
        areas: names; all areas by default.
        steps: `all`, `last`, or a list.

    Raises:
        CompileError: with all findings, for an unknown area, a step outside 1 … T, or an area that is silent at
            all steps that are asked for.
    """
    names = list(dict.fromkeys(areas)) if areas is not None else [area.name for area in graph.areas.areas]
    wanted = _steps(graph, steps)
    findings = [*_check_areas(graph, names), *_check_steps(graph, wanted)]
    known = [name for name in names if graph.areas.is_area(name)]
    found = tuple(_recorded(graph, name, wanted, given=steps != "all") for name in known)
    findings += [_silent(graph, each) for each in found if not each.steps and not findings]
    if findings:
        raise CompileError(findings)
    return found


def _steps(graph: UnrolledGraph, steps: str | Sequence[int]) -> list[int]:
    match steps:
        case "all":
            return list(range(1, graph.steps + 1))
        case "last":
            return [graph.steps]
        case str():
            raise CompileError(
                Diagnostic(
                    "bad-steps", "steps", f"`{steps}` was given", "steps are `all`, `last` or a list such as 4,6,8"
                )
            )
    return sorted(set(steps))


def _recorded(graph: UnrolledGraph, name: str, wanted: list[int], *, given: bool) -> Recorded:
    area, live = graph.areas.area(name), set(graph.live_steps(name))
    steps = tuple(step for step in wanted if step in live)
    silent = tuple(step for step in wanted if step not in live) if given else ()
    return Recorded(name, area.identifier, area.shape, steps, silent)


def _check_areas(graph: UnrolledGraph, names: list[str]) -> Iterator[Diagnostic]:
    known = list(graph.areas.spec.areas)
    if not names:
        yield Diagnostic(
            "no-areas", "areas", "no area was named", f"there are {quoted(known)}", "Name one, or leave it out."
        )
    for name in names:
        if not graph.areas.is_area(name):
            repair = suggest(name, known, "Name a declared area.")
            yield Diagnostic(
                "unknown-area", "areas", f"no area is called `{name}`", f"there are {quoted(known)}", repair
            )


def _check_steps(graph: UnrolledGraph, wanted: list[int]) -> Iterator[Diagnostic]:
    beyond = [str(step) for step in wanted if not 1 <= step <= graph.steps]
    if beyond:
        yield Diagnostic(
            "step-beyond-end",
            "steps",
            f"step {', '.join(beyond)} was asked for",
            f"the network runs for {graph.steps} steps",
            "Name steps from 1 to T, or raise the total number of steps.",
        )


def _silent(graph: UnrolledGraph, each: Recorded) -> Diagnostic:
    first = graph.first_response(each.area)
    when = f"it first responds at step {first}" if first else f"it is silent at all {graph.steps} steps"
    return Diagnostic(
        "silent-record",
        f"record {each.area}",
        f"{each.area} is silent at every step that was asked for",
        when,
        "Ask for a later step, or leave the area out.",
    )
