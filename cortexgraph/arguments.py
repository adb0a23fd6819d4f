"""A finding in place of Python's bare error, where a public function fails over an argument of a wrong type."""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import wraps
from numbers import Real
from operator import index
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.wording import quoted, shortened, suggest

P = ParamSpec("P")
R = TypeVar("R")
VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
MODULE = re.compile(r"(?<![\w'])(?:\w+\.)+(?=\w)")


class _Names(dict[str, Any]):
    """The names of a module; one that is imported for type checkers alone may be anything."""

    def __missing__(self, name: str) -> object:
        return getattr(builtins, name, Any)


class ArgumentError(CortexGraphError, TypeError):
    """An argument is not of the type that the function takes."""


def arguments_explained(function: Callable[P, R]) -> Callable[P, R]:
    """Explain an error of the function by those of its arguments that are not what its annotations say.

    Nothing is checked before the function fails, so that everything that works without a check still works.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            known = isinstance(error, CortexGraphError) and not isinstance(error, ArgumentError)
            findings = [] if known else [*_findings(function, args, kwargs)]
            if not findings:
                raise
        raise ArgumentError(findings)

    return call


def _findings(function: Callable[..., object], args: Iterable[Any], kwargs: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """What is wrong with the arguments: those that are missing or unknown, then those of a wrong type."""
    signature = inspect.signature(function)
    try:
        bound = signature.bind_partial(*args, **kwargs).arguments
    except TypeError:
        known = [name for name, each in signature.parameters.items() if each.kind is not each.POSITIONAL_ONLY]
        for name in kwargs.keys() - {*known}:
            repair = suggest(name, known, f"The arguments are {quoted(known)}.")
            yield Diagnostic("bad-argument", name, "no argument has this name", repair=repair)
        return
    for name, parameter in signature.parameters.items():
        is_needed = parameter.default is parameter.empty and parameter.kind not in VARIABLE
        if is_needed and name not in bound:
            yield Diagnostic("bad-argument", name, "this argument is missing", repair=_meaning(function, name))
    for name, value in bound.items():
        parameter = signature.parameters[name]
        try:
            kind = eval(parameter.annotation, {}, _Names(getattr(function, "__globals__", {})))  # our own annotation
        except (AttributeError, TypeError):  # of a module that is imported for type checkers alone, or none
            continue
        values = value if parameter.kind is parameter.VAR_POSITIONAL else (value,)
        if parameter.kind is not parameter.VAR_KEYWORD and not all(_fits(each, kind) for each in values):
            text = kind.__name__ if isinstance(kind, type) and not get_args(kind) else MODULE.sub("", str(kind))
            expected = f"`{name}` must be `{text.replace('NoneType', 'None')}`"
            yield Diagnostic("bad-argument", name, f"{_shown(value)} was given", expected, _meaning(function, name))


def _shown(value: object) -> str:
    """The value, if it is short; otherwise its type."""
    text = repr(value) if isinstance(value, str | bytes | int | float | list | tuple | set | dict | NoneType) else ""
    return shortened(text) if text and len(text) < 500 else f"a {type(value).__name__}"


def _meaning(function: Callable[..., object], name: str) -> str:
    """What the docstring says of an argument, in its first sentence."""
    for names, text in re.findall(r"^    ([\w*, ]+): (.+(?:\n {8}.+)*)", inspect.getdoc(function) or "", re.MULTILINE):
        if name in names.replace("*", "").split(", "):
            words = " ".join(text.split())
            return f"It means: {words.split('; ')[0].split('. ')[0].rstrip('.')}."
    return ""


def _fits(value: object, kind: Any) -> bool:
    """Whether a value is of an annotated type; True where that cannot be said."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return any(isinstance(value, type(part)) and value == part for part in parts)
    if kind is int:
        return _is_whole(value)
    if kind is float:
        return isinstance(value, Real)
    try:
        return isinstance(value, origin or kind or NoneType) and (not parts or _holds(value, origin, parts))
    except TypeError:  # such as Any, or a protocol
        return True


def _holds(value: object, origin: Any, parts: tuple[Any, ...]) -> bool:
    """Whether the items of a container have the annotated types."""
    if isinstance(value, Mapping):
        return len(parts) != 2 or all(_fits(k, parts[0]) and _fits(v, parts[1]) for k, v in value.items())
    if not issubclass(origin, Iterable) or not isinstance(value, Collection):
        return True
    if isinstance(value, str | bytes):
        return origin in (str, bytes)
    kinds = parts if origin is tuple and Ellipsis not in parts else parts[:1] * len(value)
    return len(kinds) == len(value) and all(map(_fits, value, kinds))


def _is_whole(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and index(value) is not None
    except TypeError:
        return False
