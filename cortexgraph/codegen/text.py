"""Pieces of Python source: calls that break as the formatter breaks them, assignments, literals, docstring text."""

from __future__ import annotations

import ast
import json
import textwrap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from unicodedata import east_asian_width

WIDTH = 120
"""Width of emitted lines, that of the project's own formatter."""
SHORT = 6
"""Up to this many numbers are written out."""


@dataclass(frozen=True)
class Value:
    """A number, a collection of numbers or a module among the arguments of a constructor, with a name for it."""

    name: str
    code: Code
    type: str
    keyword: bool = False
    tail: str = ""

    def __str__(self) -> str:
        return f"{self.name}={self.code}" if self.keyword else f"{self.code}{self.tail}"


@dataclass(frozen=True)
class Call:
    """`start`, items, `end`: on one line where that fits, otherwise one item a line, each with a comma."""

    start: str
    items: tuple[str | Call | Value, ...]
    end: str = ")"

    def __str__(self) -> str:
        return f"{self.start}{', '.join(map(str, self.items))}{self.end}"

    def behind(self, text: str) -> Call:
        """The call with text before it."""
        return replace(self, start=text + self.start)

    def laid_out(self, indent: int = 8, after: int = 0) -> str:
        """The text for a line that starts at column `indent`, with room left for `after` signs behind it."""
        line = str(self)
        if indent + len(line) + after <= WIDTH or not self.items:
            return line
        inner, outer = " " * (indent + 4), " " * indent
        items = [laid_out(item, indent + 4, after=1) for item in self.items]
        return "\n".join([self.start, *(f"{inner}{item}," for item in items), f"{outer}{self.end}"])


Code = str | Call
"""An expression: a name or other short text, or a call."""


def laid_out(code: Code | Value, indent: int, after: int = 0) -> str:
    """The text of an expression or argument for a line that starts at column `indent`."""
    if isinstance(code, Value):
        code = code.code.behind(f"{code.name}=") if code.keyword and isinstance(code.code, Call) else str(code)
    return code if isinstance(code, str) else code.laid_out(indent, after)


def assigned(target: str, value: Code, indent: int, comment: str = "") -> list[str]:
    """The lines of `target = value  # comment`, or without the comment where it would make the line too long."""
    pad = " " * indent
    line = f"{pad}{target} = {value}"
    if comment and len(line) + len(comment) + 4 <= WIDTH:
        return [f"{line}  # {comment}"]
    if len(line) > WIDTH and isinstance(value, Call):
        lines = (pad + value.behind(f"{target} = ").laid_out(indent)).splitlines()
        if len(lines[0]) <= WIDTH:
            return lines
    if len(line) <= WIDTH:
        return [line]
    return [f"{pad}{target} = (", *f"{pad}    {laid_out(value, indent + 4)}".splitlines(), f"{pad})"]


def term(start: str, code: Code, end: str, indent: int, comment: str = "") -> list[str]:
    """The lines of one term of an expression that is broken over several, with a comment where it leaves room."""
    line = f"{' ' * indent}{start}{code}{end}"
    if comment and len(line) + len(comment) + 4 <= WIDTH:
        return [f"{line}  # {comment}"]
    if len(line) <= WIDTH or isinstance(code, str):
        return [line]
    return f"{' ' * indent}{code.behind(start).laid_out(indent, len(end))}{end}".splitlines()


def numbers(values: Collection[int]) -> Code:
    """Whole numbers as `range(…)`, or as a list of ranges where one does not say them."""
    ordered = sorted(values)
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 1
    if not ordered:
        return "()"
    if ordered == list(range(ordered[0], ordered[-1] + 1, step)):
        stride = f", {step}" if step != 1 else ""
        return f"range({ordered[0]}, {ordered[-1] + 1}{stride})"
    if len(ordered) <= SHORT:
        return str(ordered)
    runs = (f"*range({run[0]}, {run[-1] + 1})" if len(run) > 1 else str(run[0]) for run in runs_of_steps(ordered))
    return Call("[", tuple(runs), "]")


def runs_of_steps(steps: Collection[int]) -> Iterator[list[int]]:
    """Rising whole numbers, cut where one is left out."""
    run: list[int] = []
    for step in steps:
        if run and step != run[-1] + 1:
            yield run
            run = []
        run.append(step)
    yield from [run] if run else []


def literal(text: str) -> str:
    """A string literal in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def docstring_text(text: str) -> str:
    """Free text made safe inside a docstring: no quotes that end it, no escapes, no control characters."""
    return _printable(text).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def wrapped(text: str, room: int = 10) -> list[str]:
    """A paragraph as docstring lines, each so much shorter than a line of code.

    They are half as long where escapes or wide characters (CJK) take twice the room.
    """
    double = "\\" in text or '"""' in text or any(east_asian_width(sign) in "WF" for sign in text)
    width = (WIDTH - room) // (2 if double else 1)
    return [docstring_text(line) for line in textwrap.wrap(" ".join(_printable(text).split()), width)]


def class_name(identifier: str, taken: Collection[str] = ()) -> str:
    """`ventral_stream` as `VentralStream`; `area`, which would hide a class of the emitted file, as `AreaNetwork`."""
    name = "".join(part[:1].upper() + part[1:] for part in identifier.split("_") if part)
    return f"{name}Network" if name in {"None", "True", "False", "ValueError", *taken} else name


@cache
def prelude() -> Mapping[str, str]:
    """The source of each definition of the prelude, by its name."""
    text = (resources.files("cortexgraph.codegen") / "prelude.py").read_text(encoding="utf-8")
    sources: dict[str, str] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            start = min(part.lineno for part in (node, *node.decorator_list))
            sources[node.name] = "\n".join(text.splitlines()[start - 1 : node.end_lineno])
    return sources
