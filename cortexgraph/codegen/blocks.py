"""Local classes: chains of the same structure, such as the blocks of a residual network, are written once."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from cortexgraph.codegen.text import Call, wrapped
from cortexgraph.graph.names import Namespace

__all__ = ["Block", "Module", "blocks_of"]


@dataclass(frozen=True)
class Module:
    """A module that the network makes: `self.identifier = expression`.

    Attributes:
        identifier: its attribute.
        label: what it belongs to, for a reader.
        expression: the text that makes it.
    """

    identifier: str
    label: str
    expression: str | Call

    @property
    def text(self) -> str:
        start = f"self.{self.identifier} = "
        if isinstance(self.expression, str):
            return start + self.expression
        return replace(self.expression, start=start + self.expression.start).laid_out()


@dataclass(frozen=True)
class Block:
    """A class for modules of one structure.

    Attributes:
        name: of the class.
        source: its text.
        modules: those that use it, by identifier.
    """

    name: str
    source: str
    modules: dict[str, Module]


def blocks_of(modules: Sequence[Module], taken: Collection[str]) -> list[Block]:
    """A class for each structure that several modules have, where that makes the file shorter.

    Two chains have one structure if they differ only in numbers, or in the module whose parameters they use.

    Args:
        modules: all modules of the network.
        taken: names that the classes must not have.
    """
    alike: dict[str, list[Module]] = {}
    for module in modules:
        if isinstance(module.expression, Call) and module.expression.start == "Chain(":
            alike.setdefault(_structure(module.expression), []).append(module)
    blocks: list[Block] = []
    for group in alike.values():
        name = next(n for i in range(len(taken) + 2) if (n := f"Block{i + 1 if i else ''}") not in taken)
        block = _block(name, group)
        before = sum(_lines(module.text) for module in group)
        if len(group) > 1 and _lines(block.source) + 2 + sum(_lines(m.text) for m in block.modules.values()) < before:
            blocks.append(block)
            taken = {*taken, name}
    return blocks


def _lines(text: str) -> int:
    return text.count("\n") + 1


# ---- what differs between modules of one structure -------------------------------------


@dataclass(frozen=True)
class _Value:
    """A number, a collection of numbers or a module in the text of an expression, and a name for it."""

    name: str
    text: str


def _parts(item: str) -> list[str | _Value]:
    """The text of one argument, cut where its values stand."""
    code = f"f({item})".encode()  # ast counts bytes
    parts: list[str | _Value] = []
    end = 2
    for value, name in sorted(_values(ast.parse(code, mode="eval").body, ""), key=lambda pair: pair[0].col_offset):
        text = code[value.col_offset : value.end_col_offset].decode()
        parts += [code[end : value.col_offset].decode(), _Value(name, text)]
        end += len(code[end : value.end_col_offset])
    return [*parts, code[end:-1].decode()]


POSITIONAL = {"Upsample": "size", "AdaptiveAvgPool2d": "size", "MaxPool2d": "kernel_size", "Dropout": "p"}
"""What the first argument of a module is; otherwise a number of channels."""


def _values(node: ast.AST, name: str) -> Iterator[tuple[ast.expr, str]]:
    """The values in an expression, each with a name: that of its argument."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            yield node, name
    elif _numbers(node):
        yield node, name
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        yield node, "owner"
    elif isinstance(node, ast.Call):
        first = POSITIONAL.get(getattr(node.func, "attr", ""), "width")
        for n, argument in enumerate(node.args):
            yield from _values(argument, "kernel_size" if n == 2 else first)
        for keyword in node.keywords:
            yield from _values(keyword.value, keyword.arg or name)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _values(child, name)


def _numbers(node: ast.AST) -> TypeGuard[ast.expr]:
    """Whether it is a range, or a list of numbers and ranges."""
    if isinstance(node, ast.List):
        return all(isinstance(item, ast.Constant) or _numbers(getattr(item, "value", item)) for item in node.elts)
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "range"


def _leaves(call: Call) -> Iterator[str]:
    for item in call.items:
        yield from [item] if isinstance(item, str) else _leaves(item)


def _structure(call: Call) -> str:
    """The text of an expression with a dot for each value: equal structures have equal texts."""
    parts = (_parts(leaf) for leaf in _leaves(call))
    return str(_mapped(call, ("".join(part if isinstance(part, str) else "·" for part in leaf) for leaf in parts)))


def _mapped(call: Call, leaves: Iterator[str]) -> Call:
    """The call with other leaves."""
    items = tuple(next(leaves) if isinstance(item, str) else _mapped(item, leaves) for item in call.items)
    return replace(call, items=items)


def _type(texts: Sequence[str]) -> str:
    if any(text.startswith("self.") for text in texts):
        return "nn.Module"
    if not all(text[0].isdigit() for text in texts):
        return "Collection[int]"
    return "int" if all(text.isdecimal() for text in texts) else "float"


# ---- the class -------------------------------------------------------------------------


def _block(name: str, modules: Sequence[Module]) -> Block:
    calls = [module.expression for module in modules if isinstance(module.expression, Call)]
    rows = [[_parts(leaf) for leaf in _leaves(call)] for call in calls]
    columns = [
        *zip(*([part for leaf in row for part in leaf if isinstance(part, _Value)] for row in rows), strict=True)
    ]
    names, parameters = Namespace(frozenset({"self"})), dict[tuple[str, ...], str]()
    for column in columns:
        texts = tuple(value.text for value in column)
        if (len(set(texts)) > 1 or texts[0].startswith("self.")) and texts not in parameters:
            parameters[texts] = names.claim(column[0].name)
    values = (parameters.get(tuple(value.text for value in column), column[0].text) for column in columns)
    leaves = ["".join(part if isinstance(part, str) else next(values) for part in leaf) for leaf in rows[0]]
    call = _mapped(replace(calls[0], start="super().__init__(", end=")"), iter(leaves))
    arguments = [f"{name}: {_type(texts)}" for texts, name in parameters.items()]
    signature = Call("def __init__(", ("self", *arguments), ") -> None:").laid_out(4)
    labels = "\n    ".join(wrapped(f"{', '.join(module.label for module in modules)}."))
    source = f'class {name}(Chain):\n    """{labels}"""\n\n    {signature}\n        {call.laid_out(8)}'
    modules_of_block = {}
    for n, module in enumerate(modules):
        items = tuple(texts[n] for texts in parameters)
        modules_of_block[module.identifier] = replace(module, expression=Call(f"{name}(", items, calls[n].end))
    return Block(name, source, modules_of_block)
