"""The definitions that an emitted file carries with it: source from `cortexgraph.runtime`, or of a user's class."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from cortexgraph.errors import CompileError, Diagnostic

__all__ = ["IMPORTS", "imports_for", "names_in", "sources_of", "taken_names"]

IMPORTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "Any": ("typing", "Any"),
        "math": ("", "math"),
        "torch": ("", "torch"),
        "OrderedDict": ("collections", "OrderedDict"),
        "Callable": ("collections.abc", "Callable"),
        "Iterator": ("collections.abc", "Iterator"),
        "contextmanager": ("contextlib", "contextmanager"),
        "nullcontext": ("contextlib", "nullcontext"),
        "checkpoint": ("torch.utils.checkpoint", "checkpoint"),
        "Iterable": ("collections.abc", "Iterable"),
        "Tensor": ("torch", "Tensor"),
        "nn": ("torch", "nn"),
        "F": ("torch.nn", "functional as F"),
    }
)
"""What an emitted file may import, by the name that it uses: the module (none for a plain import), and the name."""


TEXT = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\\n]|\\.)*"|#[^\n]*')
"""Docstrings, strings and comments."""

NAME = re.compile(r"(?<![\w.])[^\W\d]\w*+(?!\s*=[^=])")
"""A name that is no attribute, and neither assigned nor the name of an argument."""


@cache
def _library() -> Mapping[str, str]:
    """The source of every definition of `cortexgraph.runtime`, by its name."""
    found: dict[str, str] = {}
    for file in sorted(resources.files("cortexgraph.runtime").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py"):
            text = file.read_text(encoding="utf-8")
            for node in ast.parse(text).body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef):
                    start = min(part.lineno for part in (node, *node.decorator_list))
                    found[node.name] = "\n".join(text.splitlines()[start - 1 : node.end_lineno])
    return found


def taken_names(operations: Iterable[object]) -> set[str]:
    """Every name that an emitted file may use or define at its top."""
    own = [item for operation in operations for item in getattr(operation, "helpers", ()) if not isinstance(item, str)]
    return {*IMPORTS, *_library(), *(item.__name__ for item in own)}


def names_in(source: str) -> set[str]:
    """Every name that the source reads, and perhaps one more that looks so: by its words, for it may be long."""
    return set(NAME.findall(TEXT.sub("", source)))


def sources_of(wanted: Iterable[Any]) -> tuple[str, ...]:
    """The source of the wanted definitions and of those that they use, each once, used before user.

    Args:
        wanted: names of definitions in `cortexgraph.runtime`, or classes and functions of the user's.
    """
    found: dict[str, str] = {}

    def add(name: str, source: str) -> None:
        if name in found:
            return
        for other in sorted(names_in(source) - {name}):
            if other in _library():
                add(other, _library()[other])
        found[name] = source

    for item in wanted:
        if isinstance(item, str):
            add(item, _library()[item])
        else:
            add(item.__name__, _source(item))
    return tuple(found.values())


def _source(item: Any) -> str:
    """The source of a user's class.

    Raises:
        CompileError: if Python cannot find it.
    """
    try:
        return textwrap.dedent(inspect.getsource(item)).rstrip()
    except (OSError, TypeError):
        found = "its source cannot be found, so that the emitted file could not carry it"
        repair = "Define it in a file, not at a prompt."
        raise CompileError(Diagnostic("no-source", f"helper {item!r}", found, repair=repair)) from None


def imports_for(sources: Iterable[str]) -> tuple[str, ...]:
    """The import lines that the sources need, the standard library's first, a blank line before torch's."""
    names = set().union(*(names_in(source) for source in sources))
    modules: dict[str, list[str]] = {}
    for name in sorted(names & IMPORTS.keys()):
        module, imported = IMPORTS[name]
        modules.setdefault(module, []).append(imported)
    plain = sorted(modules.pop("", []))
    groups = ([], [])  # type: tuple[list[str], list[str]]
    for name in plain:
        groups[name == "torch"].append(f"import {name}")
    for module in sorted(modules):
        line = f"from {module} import {', '.join(sorted(modules[module], key=_rank))}"
        groups[module.startswith("torch")].append(line)
    return (*groups[0], *([""] if groups[0] and groups[1] else []), *groups[1])


def _rank(name: str) -> tuple[bool, str]:
    """The order of names in one import: classes before modules, as the linter has it."""
    return (not name[0].isupper(), name)
