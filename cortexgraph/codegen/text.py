"""Pieces of Python source: calls that break as the formatter breaks them, ranges, literals, docstring text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Sequence

__all__ = ["WIDTH", "call", "class_name", "docstring_text", "literal", "ranges", "wrapped"]

WIDTH = 120
"""Width of emitted lines, that of the project's own formatter."""


def call(start: str, arguments: Sequence[str], end: str = ")", *, indent: int = 8) -> str:
    """`start(arguments)` on one line if it fits, otherwise one argument a line with a trailing comma."""
    line = f"{start}{', '.join(arguments)}{end}"
    if indent + len(line) <= WIDTH:
        return line
    inner, outer = " " * (indent + 4), " " * indent
    return "\n".join([start, *(f"{inner}{argument}," for argument in arguments), f"{outer}{end}"])


def ranges(numbers: Collection[int]) -> str:
    """Rising whole numbers as `range(…)`, or as a list of ranges where one does not say them."""
    ordered = sorted(numbers)
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 1
    if not ordered:
        return "()"
    if ordered == list(range(ordered[0], ordered[-1] + 1, step)):
        stride = f", {step}" if step != 1 else ""
        return f"range({ordered[0]}, {ordered[-1] + 1}{stride})"
    runs: list[list[int]] = []
    for n in ordered:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    parts = [f"*range({run[0]}, {run[-1] + 1})" if len(run) > 1 else str(run[0]) for run in runs]
    return f"[{', '.join(parts)}]"


def literal(text: str) -> str:
    """A string literal in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def docstring_text(text: str) -> str:
    """Free text made safe inside a docstring: no quotes that end it, no escapes, no control characters."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def wrapped(text: str, width: int = WIDTH - 10) -> list[str]:
    """A paragraph as docstring lines."""
    return [docstring_text(line) for line in textwrap.wrap(" ".join(text.split()), width)]


def class_name(identifier: str) -> str:
    """`ventral_stream` as `VentralStream`."""
    return "".join(part[:1].upper() + part[1:] for part in identifier.split("_") if part)
