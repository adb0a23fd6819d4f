"""The definitions that an emitted file carries: modules of operations and cells, built in or registered by users."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.ops.base import Component, Helper
from cortexgraph.ops.torch_names import Module

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
        "Collection": ("collections.abc", "Collection"),
        "Tensor": ("torch", "Tensor"),
        "nn": ("torch", "nn"),
        "F": ("torch.nn", "functional as F"),
    }
)
"""What an emitted file may import, by the name that it uses: the module (none for a plain import), and the name."""


TEXT = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\\n]|\\.)*"|#[^\n]*')
"""Docstrings, strings and comments."""

NAME = re.compile(r"(?<![\w.])[^\W\d]\w*+(?!\s*=[^=])")
"""A name that is read, but is not an attribute, an assigned name or an argument."""


@cache
def library() -> Mapping[str, str]:
    """The source of every module in the files of operations and cells, by its name."""
    modules = sorted(_below(Module), key=lambda module: len(module.__mro__))  # bases first
    return {module.__name__: source_of(module) for module in modules}


def _below(base: type) -> Iterator[type]:
    """The modules that inherit from the stand-in for `nn.Module`, directly or not; a user's inherit from torch's."""
    modules: list[type] = base.__subclasses__()
    for module in modules:
        if module.__module__ != Module.__module__:
            yield module
        yield from _below(module)


def taken_names(operations: Iterable[Component], extra: Iterable[str] = ()) -> set[str]:
    """Every name that an emitted file of these operations may import or define at its top level, with extra ones."""
    own = {helper.__name__ for operation in operations for helper in operation.definitions()}
    return {*IMPORTS, *library(), *extra, *own}


def names_in(source: str) -> set[str]:
    """Every name that the source reads; found by pattern, so it may include a name that is not read."""
    return set(NAME.findall(TEXT.sub("", source)))


def sources_of(items: Iterable[str | Helper], extra: Mapping[str, str] = MappingProxyType({})) -> tuple[str, ...]:
    """The sources of these definitions and of those that they use, each once, the used ones first.

    Items are names in `extra` or in the library, or classes and functions of the user's; `extra` has source by name.
    """
    known = {**library(), **extra}
    sources: dict[str, str] = {}

    def add(name: str, source: str) -> None:
        if name in sources:
            return
        for other in sorted(names_in(source) - {name}):
            if other in known:
                add(other, known[other])
        sources[name] = source

    for item in items:
        if isinstance(item, str):
            add(item, known[item])
            continue
        name, source = item.__name__, source_of(item)
        if name in IMPORTS or {**known, **sources}.get(name, source) != source:
            found = f"the emitted file has another definition called `{name}`"
            raise CompileError(
                Diagnostic("helper-name", f"helper {item!r}", found, repair="Give the helper a free name.")
            )
        add(name, source)
    return tuple(sources.values())


def source_of(item: Helper) -> str:
    """The source of a class or function. Raises CompileError if Python cannot find it."""
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
