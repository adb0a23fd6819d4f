"""Pieces of Python source: calls that break as the formatter breaks them, ranges, literals, docstring text."""

from __future__ import annotations

import ast
import json
import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from unicodedata import east_asian_width

__all__ = [
    "WIDTH",
    "Call",
    "class_name",
    "commented",
    "docstring_text",
    "fitted",
    "literal",
    "prelude",
    "ranges",
    "wrapped",
]

WIDTH = 120
"""Width of emitted lines, that of the project's own formatter."""
SHORT = 6
"""So many numbers are written out."""


@dataclass(frozen=True)
class Call:
    """`start`, items, `end`: on one line where that fits, otherwise one item a line, each with a comma."""

    start: str
    items: tuple[str | Call, ...]
    end: str = ")"

    def __str__(self) -> str:
        return f"{self.start}{', '.join(map(str, self.items))}{self.end}"

    def laid_out(self, indent: int = 8, after: int = 0) -> str:
        """The text for a line that starts at column `indent`, with room left for `after` signs behind it."""
        line = str(self)
        if indent + len(line) + after <= WIDTH:
            return line
        items = [
            _broken(item, indent + 4) if isinstance(item, str) else item.laid_out(indent + 4, after=1)
            for item in self.items
        ]
        inner, outer = " " * (indent + 4), " " * indent
        return "\n".join([self.start, *(f"{inner}{item}," for item in items), f"{outer}{self.end}"])


def fitted(line: str) -> list[str]:
    """The line, or where it is too long for one, with the arguments of its last call on lines of their own.

    Where that is still too long, the value of an assignment stands in brackets.
    """
    lines = _opened(line)
    target, assigns, value = line.partition(" = ")
    if len(lines[0]) <= WIDTH or not assigns:
        return lines
    pad = " " * (len(line) - len(line.lstrip()))
    return [f"{target} = (", *_opened(f"{pad}    {value}"), f"{pad})"]


def _opened(line: str) -> list[str]:
    code = line.rstrip(",")
    opened = _last_bracket(code) if len(line) > WIDTH else None
    if opened is None:
        return [line]
    pad = " " * (len(line) - len(line.lstrip()))
    inner, arguments = f"{pad}    ", code[opened + 1 : -1]
    lines = [f"{inner}{arguments}"]
    if len(lines[0]) > WIDTH:
        lines = [f"{inner}{argument}," for argument in _split(arguments)]
        lines = lines if len(lines) > 1 else [lines[0][:-1]]
    return [code[: opened + 1], *(part for each in lines for part in fitted(each)), f"{pad}){line[len(code) :]}"]


def _last_bracket(code: str) -> int | None:
    """Where the bracket opens that the last sign closes."""
    depth = 0
    for place in reversed(range(len(code) if code.endswith(")") else 0)):
        depth += (code[place] == ")") - (code[place] == "(")
        if depth == 0:
            return place
    return None


def _split(arguments: str) -> list[str]:
    """The arguments of a call, one by one."""
    parts, depth = [""], 0
    for sign in arguments:
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def _broken(item: str, indent: int) -> str:
    """An item, with the arguments of a call that is too long for its line on a line of their own."""
    head, bracket, arguments = item.partition("(")
    if indent + len(item) + 1 <= WIDTH or not bracket or not item.endswith(")"):
        return item
    return f"{head}(\n{' ' * (indent + 4)}{arguments[:-1]}\n{' ' * indent})"


def commented(code: str, comment: str) -> str:
    """The line with its comment, or without where it would grow too long."""
    line = f"{code}  # {comment}" if comment else code
    return line if len(line) <= WIDTH else code


def ranges(start: str, numbers: Collection[int]) -> str | Call:
    """Whole numbers as `range(…)`, or as a list of ranges where one does not say them, behind `start`."""
    ordered = sorted(numbers)
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 1
    if not ordered:
        return f"{start}()"
    if ordered == list(range(ordered[0], ordered[-1] + 1, step)):
        stride = f", {step}" if step != 1 else ""
        return f"{start}range({ordered[0]}, {ordered[-1] + 1}{stride})"
    if len(ordered) <= SHORT:
        return f"{start}{ordered}"
    runs: list[list[int]] = []
    for n in ordered:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    parts = (f"*range({run[0]}, {run[-1] + 1})" if len(run) > 1 else str(run[0]) for run in runs)
    return Call(f"{start}[", tuple(parts), "]")


def literal(text: str) -> str:
    """A string literal in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def docstring_text(text: str) -> str:
    """Free text made safe inside a docstring: no quotes that end it, no escapes, no control characters."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def wrapped(text: str, room: int = 10) -> list[str]:
    """A paragraph as docstring lines, each so much shorter than a line of code.

    They are half as long where escapes or wide characters (CJK) take twice the room.
    """
    double = "\\" in text or '"""' in text or any(east_asian_width(sign) in "WF" for sign in text)
    width = (WIDTH - room) // (2 if double else 1)
    return [docstring_text(line) for line in textwrap.wrap(" ".join(text.split()), width)]


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
