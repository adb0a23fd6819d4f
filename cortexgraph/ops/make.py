"""From the entries of a spec to operations: options are read, completed by their place, and turned into chains."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cortexgraph.ops.base import Context, Given, Operation, Shape
from cortexgraph.ops.chain import Chain, Link, Problem
from cortexgraph.ops.registry import Kind, Registry
from cortexgraph.spec import OperationSpec
from cortexgraph.spec.fields import WORD_PATTERN
from cortexgraph.spec.origin import Path

__all__ = [
    "OPERATIONS",
    "make_chain",
    "make_operation",
    "register_operation",
    "shifts",
]

OPERATIONS: Registry[Kind[Operation]] = Registry("operation")

OperationType = TypeVar("OperationType", bound=Operation)


def register_operation(name: str, **fixed: Any) -> Callable[[type[OperationType]], type[OperationType]]:
    """Class decorator: specs may name the operation from now on.

    Args:
        name: its word in the language: small letters, digits and underscores.
        fixed: fields that the word decides, as `relu` decides the function of an activation.

    Raises:
        ValueError: if the name is taken, or cannot be a word of the language.
    """

    def add(made_from: type[OperationType]) -> type[OperationType]:
        if not re.fullmatch(WORD_PATTERN, name):
            raise ValueError(f"`{name}` cannot be an operation: use small letters, digits and underscores")
        OPERATIONS.register(name)(Kind(name, made_from, fixed))
        return made_from

    return add


def make_operation(name: str, shape: Shape, area_channels: int | None = None, /, **options: Any) -> Operation:
    """One operation by its word, for use and test outside a spec.

    Raises:
        ValueError: if it cannot be made.

    >>> make_operation("conv", (3, 32, 32), 16, kernel=5).output()
    (16, 32, 32)
    """
    context = Context(shape[0] if area_channels is None else area_channels)
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    chain = make_chain([OperationSpec(name=name, options=plain)], shape, context)
    if not chain.whole:
        raise ValueError(f"`{name}` cannot be made of {options}: {chain.problems}")
    return chain.links[0].operation


def make_chain(
    entries: Sequence[OperationSpec], shape: Shape, context: Context, *, apart: bool = False, path: Path = ()
) -> Chain:
    """The chain of a list of entries; one that cannot be made is left out, and the chain says why.

    Args:
        entries: as the spec has them.
        shape: of the input.
        context: of the place.
        apart: whether all parameters are per step.
        path: of the list, before that of an entry in problems.
    """
    links: list[Link] = []
    problems: list[Problem] = []
    names: dict[str, int] = {}
    at = shape
    for index, entry in enumerate(entries):
        here = replace(context, bias=_bias(entries, index, context))
        made = _made(entry, at, here, apart, (*path, index))
        if isinstance(made, list):
            problems += made
            continue
        if "stride" in made.by_place:
            context = replace(context, stride=(1, 1))
        number = names[made.name] = names.get(made.name, 0) + 1
        links.append(made if number == 1 else replace(made, name=f"{made.name}_{number}"))
        problems += [problem for chain in made.operation.chains().values() for problem in chain.problems]
        at = made.operation.output()
    return Chain(shape, tuple(links), tuple(problems))


def _made(entry: OperationSpec, shape: Shape, context: Context, apart: bool, path: Path) -> Link | list[Problem]:
    """The link of an entry, under its role, or what is wrong with it."""
    if entry.name not in OPERATIONS:
        return [Problem(path, entry.name)]
    kind = OPERATIONS[entry.name]
    try:
        options, by_place = kind.read(entry.options, context)
    except ValidationError as error:
        inside = (*path, entry.name)
        return [Problem(inside, entry.name, *_told(kind, entry, d)) for d in error.errors(include_url=False)]
    if (rule := kind.make_from.problem(options, shape, context)) is not None:
        return [Problem(path, entry.name, found=rule[0], repair=rule[1])]
    given = Given(context, apart, path=(*path, entry.name), main=None if isinstance(entry.options, dict) else kind.main)
    operation = kind.make_from.made(shape, options | kind.fixed, given)
    if (rule := operation.fault()) is not None:
        return [Problem(path, entry.name, found=rule[0], repair=rule[1])]
    per_step = bool(options.get("per_step")) or (apart and bool(operation.parameters()))
    return Link(operation.role, entry.name, options, operation, per_step, by_place=by_place)


def _told(
    kind: Kind[Operation], entry: OperationSpec, detail: ErrorDetails
) -> tuple[ErrorDetails, type[BaseModel], Path]:
    """A problem of validation, and where it lies below the operation: not in an option that is not written."""
    loc = tuple(detail["loc"])
    return detail, kind.options, loc if isinstance(entry.options, dict) else loc[1:]


def _bias(entries: Sequence[OperationSpec], index: int, context: Context) -> bool:
    """A convolution has a bias unless a norm follows it, whose shift would make it redundant."""
    following = (entry for entry in islice(entries, index + 1, None) if entry.name not in ("identity", "dropout"))
    after = next(following, None)
    return context.bias if after is None else not shifts(after)


def shifts(entry: OperationSpec) -> bool:
    """Whether the operation is a norm with a learned shift, as all kinds have but `local_response`."""
    kind = entry.options.get("kind") if isinstance(entry.options, dict) else entry.options
    return entry.name == "norm" and kind != "local_response"
