"""From the entries of a spec to operations: options are read, completed by their place, and turned into chains."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cortexgraph.ops.base import Context, Operation, Shape
from cortexgraph.ops.chain import Chain, Link
from cortexgraph.ops.registry import Kind, Registry
from cortexgraph.spec import OperationSpec
from cortexgraph.spec.fields import WORD_PATTERN

__all__ = [
    "OPERATIONS",
    "Problem",
    "make_chain",
    "make_operation",
    "problems",
    "register_operation",
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


def make_operation(name: str, shape: Shape, channels: int | None = None, **options: Any) -> Operation:
    """One operation by its word, for use and test outside a spec.

    >>> make_operation("conv", (3, 32, 32), 16, kernel=5).output()
    (16, 32, 32)
    """
    context = Context(shape[0] if channels is None else channels)
    (link,) = make_chain([OperationSpec(name=name, options=options)], shape, context)
    return link.operation


@dataclass(frozen=True)
class Problem:
    """What is wrong with an entry: an unknown word, an option that validation refused, or a rule of the operation.

    Attributes:
        path: from the entry's list on.
        word: the operation.
        detail: pydantic's error about `options`.
        options: the model of the options.
        found, repair: the broken rule.
    """

    path: tuple[str | int, ...]
    word: str
    detail: ErrorDetails | None = None
    options: type[BaseModel] | None = None
    found: str = ""
    repair: str = ""


def make_chain(entries: Sequence[OperationSpec], shape: Shape, context: Context, *, apart: bool = False) -> Chain:
    """The chain of a list of entries; an entry that cannot be made is left out, and the chain is not whole.

    Args:
        entries: as the spec has them.
        shape: of the input.
        context: of the place.
        apart: whether all parameters are per step.
    """
    links: list[Link] = []
    names: dict[str, int] = {}
    whole, at = True, shape
    for index, entry in enumerate(entries):
        here = replace(context, bias=_bias(entries, index, context))
        made = _made(entry, at, here, apart)
        if made is None:
            whole = False
            continue
        operation, options, per_step = made
        if "stride" in OPERATIONS[entry.name].by_place:
            context = replace(context, stride=(1, 1))
        number = names[operation.role] = names.get(operation.role, 0) + 1
        name = operation.role if number == 1 else f"{operation.role}_{number}"
        links.append(Link(name, entry.name, options, operation, per_step))
        at = operation.output()
    inner = (chain for link in links for chain in link.operation.chains().values())
    return Chain(shape, tuple(links), whole and all(chain.whole for chain in inner))


def _made(
    entry: OperationSpec, shape: Shape, context: Context, apart: bool
) -> tuple[Operation, dict[str, Any], bool] | None:
    if entry.name not in OPERATIONS:
        return None
    kind = OPERATIONS[entry.name]
    try:
        options = kind.read(entry.options, context)
    except ValidationError:
        return None
    if kind.make_from.problem(options, shape, context) is not None:
        return None
    operation = kind.make_from.made(shape, options | kind.fixed, context, apart)
    per_step = bool(options.get("per_step")) or (apart and bool(operation.parameters()))
    return operation, options, per_step


def _bias(entries: Sequence[OperationSpec], index: int, context: Context) -> bool:
    """A convolution has a bias unless a norm follows it, whose shift would make it redundant."""
    following = [entry.name for entry in entries[index + 1 :] if entry.name not in ("identity", "dropout")]
    return context.bias if not following else following[0] != "norm"


def problems(entries: Sequence[OperationSpec], shape: Shape, context: Context) -> Iterator[Problem]:
    """Everything that is wrong with the entries of a chain, also inside operations that have chains."""
    at = shape
    for index, entry in enumerate(entries):
        if entry.name not in OPERATIONS:
            yield Problem((index,), entry.name)
            continue
        kind = OPERATIONS[entry.name]
        try:
            options = kind.read(entry.options, context)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                yield Problem((index, entry.name), entry.name, detail, kind.options)
            continue
        if (rule := kind.make_from.problem(options, at, context)) is not None:
            yield Problem((index,), entry.name, found=rule[0], repair=rule[1])
            continue
        for name, value in options.items():
            if isinstance(value, tuple) and value and isinstance(value[0], OperationSpec):
                for problem in problems(value, at, context):
                    yield replace(problem, path=(index, entry.name, name, *problem.path))
        at = kind.make_from.made(at, options | kind.fixed, context, False).output()
