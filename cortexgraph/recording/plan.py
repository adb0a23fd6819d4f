"""What is to be recorded: which areas at which steps, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from operator import index
from typing import SupportsIndex

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.unrolling import UnrolledGraph, first_responses
from cortexgraph.wording import quoted, unknown_area


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
    def bytes_per_image(self) -> int:
        """What one image takes in the file."""
        return 4 * len(self.steps) * prod(self.shape)


def plan(
    graph: UnrolledGraph, areas: str | Sequence[str] | None = None, steps: str | int | Sequence[int] = "all"
) -> tuple[Recorded, ...]:
    """What to record of an unrolled network.

    Args:
        graph: before passes.
        areas: a name or several; all areas by default.
        steps: `all`, `last`, a step or a list.

    Raises:
        CompileError: with all findings, for an unknown area, a step outside 1 … T, or an area that is silent at all
            steps that are asked for.
    """
    every = [area.name for area in graph.areas.areas]
    names = every if areas is None else [areas] if isinstance(areas, str) else [*dict.fromkeys(areas)]
    asked = _asked(steps, graph.steps)
    findings = [*_check_areas(graph, names), *_check_steps(graph, asked)]
    recorded: list[Recorded] = []
    for name in names if not findings else ():
        area, live = graph.areas.area(name), set(graph.live_steps(name))
        silent = tuple(step for step in asked if step not in live and steps != "all")
        recorded.append(Recorded(name, area.identifier, area.shape, tuple(s for s in asked if s in live), silent))
    findings += [_silent(graph, each.area) for each in recorded if not each.steps]
    if findings:
        raise CompileError(findings)
    return tuple(recorded)


def _asked(steps: str | int | Sequence[int], last: int) -> list[int]:
    """The steps in rising order."""
    if isinstance(steps, str):
        named = {"all": [*range(1, last + 1)], "last": [last]}
        if steps not in named:
            expected = "steps are `all`, `last` or a list such as 4,6,8"
            raise CompileError(Diagnostic("bad-steps", "steps", f"`{steps}` was given", expected))
        return named[steps]
    return sorted({*map(index, [steps] if isinstance(steps, SupportsIndex) else steps)})


def _check_areas(graph: UnrolledGraph, names: list[str]) -> Iterator[Diagnostic]:
    known = list(graph.areas.spec.areas)
    if not names:
        repair = "Name one, or leave it out."
        yield Diagnostic("no-areas", "areas", "no area was named", f"there are {quoted(known)}", repair)
    for name in names:
        if not graph.areas.is_area(name):
            yield Diagnostic("unknown-area", "areas", *unknown_area(name, known))


def _check_steps(graph: UnrolledGraph, asked: list[int]) -> Iterator[Diagnostic]:
    if beyond := [str(step) for step in asked if not 1 <= step <= graph.steps]:
        expected = f"the network runs for {graph.steps} steps"
        repair = "Name steps from 1 to T, or raise the total number of steps."
        yield Diagnostic("step-beyond-end", "steps", f"step {', '.join(beyond)} was asked for", expected, repair)


def _silent(graph: UnrolledGraph, area: str) -> Diagnostic:
    response = first_responses(graph.areas, graph.groups).get(area)
    when = f"it first responds at step {response.step}" if response else "no path drives it"
    problem = f"{area} is silent at every step that was asked for"
    repair = "Ask for a later step, or leave the area out."
    if response and response.step > graph.steps:
        repair = f"Run the network for {response.step} steps or more, or leave the area out."
    return Diagnostic("silent-record", f"record {area}", problem, when, repair if response else "Leave the area out.")
