"""Chains of operations, from the entries of a spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cortexgraph.ops.base import Chain, Context, Link, Operation, Problem, Shape
from cortexgraph.ops.registry import OPERATIONS
from cortexgraph.spec import OperationSpec
from cortexgraph.spec.origin import Path

__all__ = ["make_chain", "make_operation", "shifts"]


def make_operation(name: str, shape: Shape, area_channels: int | None = None, /, **options: object) -> Operation:
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
        here = replace(context, bias=_bias(entries[index + 1 :], context))
        made = OPERATIONS.make(entry, at, here, apart=apart, path=(*path, index))
        operation = made.component
        if operation is None:
            problems += made.problems
            continue
        if "stride" in made.by_place:
            context = replace(context, stride=(1, 1))
        name = operation.role or entry.name
        number = names[name] = names.get(name, 0) + 1
        per_step = bool(made.options.get("per_step")) or (apart and bool(operation.parameters()))
        links.append(
            Link(
                name if number == 1 else f"{name}_{number}",
                entry.name,
                made.options,
                operation,
                per_step,
                by_place=made.by_place,
            )
        )
        problems += [problem for chain in operation.chains().values() for problem in chain.problems]
        at = operation.output()
    return Chain(shape, tuple(links), tuple(problems))


def _bias(following: Sequence[OperationSpec], context: Context) -> bool:
    """A convolution has a bias unless a norm follows it, whose shift would make it redundant."""
    answers = (shifts(entry) for entry in following)
    redundant = next((answer for answer in answers if answer is not None), None)
    return context.bias if redundant is None else not redundant


def shifts(entry: OperationSpec) -> bool | None:
    """Whether a bias right before the operation is redundant; None if that depends on what follows it."""
    if entry.name not in OPERATIONS:
        return False
    kind = OPERATIONS[entry.name]
    options = kind.written(entry.options)
    return kind.make_from.shifts({**(options if isinstance(options, dict) else {}), **kind.fixed})
