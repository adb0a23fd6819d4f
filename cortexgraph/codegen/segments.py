"""The loop of a network that is trained with checkpoints: in segments, each a call whose steps are computed again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cortexgraph.codegen.text import WIDTH, Call
from cortexgraph.codegen.view import StepView

__all__ = ["Handed", "reads", "segmented"]

INDENT = 8


@dataclass(frozen=True)
class Handed:
    """What goes through a loop.

    Attributes:
        before: names of the values in the body, as a run finds them.
        start: names of the same values before the loop.
        made: names in the body of values that are read after the loop alone.
        end: names after the loop of those in `before` and `made`; `_` where nothing reads one.
        gathered: names of lists and dictionaries that the body fills, with their types.
    """

    before: tuple[str, ...]
    start: tuple[str, ...]
    made: tuple[str, ...]
    end: tuple[str, ...]
    gathered: tuple[tuple[str, str], ...]


def segmented(loop: StepView, handed: Handed, first: int, end: int, period: int, runs: int) -> StepView:
    """The view of a loop from step `first` up to before `end`, as segments of so many runs of its body."""
    pad, stride = " " * INDENT, runs * period
    by = f", {period}" if period > 1 else ""
    names = [name for name, _ in handed.gathered]
    result = ", ".join(["carried", *(f"{name}_here" for name in names)])
    lines = [f"{pad}def steps(first: int, *carried: Tensor) -> {'Any' if names else 'tuple[Tensor, ...]'}:"]
    lines += [f"    {line}" for line in _assigned((*handed.before, *(["*_"] * bool(handed.made))), "carried")]
    lines += [
        f"{pad}    {name}: {kind} = {'{}' if kind.startswith('dict') else '[]'}" for name, kind in handed.gathered
    ]
    lines += [f"{pad}    for t in range(first, min(first + {stride}, {end}){by}):"]
    lines += [f"    {line}" if line else line for line in loop.lines]
    made = _tuple((*handed.before, *handed.made))
    lines += [f"{pad}    return {', '.join([made, *names])}" if names else f"{pad}    return {made}"]
    lines += ["", f"{pad}for first in range({first}, {end}, {stride}):"]
    lines += [f"{pad}    {result} = again(self, steps, first, *carried)"]
    for name, kind in handed.gathered:
        lines.append(f"{pad}    {name} {'|=' if kind.startswith('dict') else '+='} {name}_here")
    start = f"{pad}carried = {_tuple(handed.start)}"
    after = _assigned(handed.end, "carried") if any(name != "_" for name in handed.end) else []
    before = [start, *loop.before, ""]
    return replace(loop, lines=tuple(lines), loop="", before=tuple(before), after=(*after, *loop.after))


def _tuple(names: Sequence[str]) -> str:
    """`(a, b)`, or `(a,)`."""
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"


def _assigned(names: Sequence[str], value: str) -> list[str]:
    """The statement that unpacks a tuple, at the indent of the loop."""
    pad = " " * INDENT
    if not names:  # nothing goes from run to run
        return []
    if len(names) == 1:
        return [f"{pad}({names[0]},) = {value}"]
    line = f"{pad}{', '.join(names)} = {value}"
    if len(line) + 4 <= WIDTH:
        return [line]
    return [pad + text for text in Call("(", tuple(names), f") = {value}").laid_out(0, after=WIDTH).splitlines()]


def reads(lines: Sequence[str], name: str) -> bool:
    """Whether the code of these lines uses a name."""
    return any(re.search(rf"(?<![\w.]){re.escape(name)}\b", line.split("  #")[0]) for line in lines)
