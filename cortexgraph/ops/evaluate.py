"""Evaluates the modules of operations and cells: the one place of the package, beside compiling, that runs them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cortexgraph.ops.base import Cell, Chain, Component, Helper, Operation
from cortexgraph.ops.source import imports_for, library

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

State = Mapping[str, "Tensor"]
"""A state dict, or the entries of one operation by short name."""

StatisticsMove = Callable[[State], "dict[str, Tensor]"]
"""From a state dict to the entries of the running statistics that one evaluation moves."""


def below(state: State, prefix: str) -> dict[str, Tensor]:
    """The entries below a prefix, by the rest of their names."""
    return {name[len(prefix) + 1 :]: value for name, value in state.items() if name.startswith(prefix + ".")}


def evaluate_chain(
    chain: Chain,
    x: Tensor,
    state: State,
    prefix: str,
    *,
    training: bool,
    update: int = 1,
    moves: list[StatisticsMove] | None = None,
) -> Tensor:
    """The result of a chain, at a prefix of a whole state dict, on x: [B, *chain.shape].

    The live update of the area, from 1, selects per-step sets. `moves` is filled with the moves of running statistics.
    """
    for link in chain:
        path = link.owner or f"{prefix}.{link.name}"
        entries = below(state, path)
        if link.per_step:  # beyond the last set, the last is reused
            sets = 1 + max((int(name.split(".")[0]) for name in entries), default=0)
            path = f"{path}.{min(update, sets) - 1}"
            entries = below(state, path)
        inner = {
            name: evaluate_chain(
                part, x, state, f"{prefix}.{link.name}.{name}", training=training, update=update, moves=moves
            )
            for name, part in link.operation.chains().items()
        }
        x, moved = evaluate_operation(link.operation, x, entries | inner, training, update)
        if moved is not None and moves is not None:
            moves.append(partial(_moved, path, moved))
    return x


def _moved(path: str, move: StatisticsMove, state: State) -> dict[str, Tensor]:
    """The move of one operation, under the names of the state dict."""
    return {f"{path}.{name}": value for name, value in move(below(state, path)).items()}


def evaluate_operation(
    operation: Operation, x: Tensor, entries: State, training: bool, update: int = 1
) -> tuple[Tensor, StatisticsMove | None]:
    """The result of the operation's module, and how it moves its running statistics, if it has any.

    `entries` holds the operation's part of the state dict, and the results of its inner chains by their names.
    """
    if operation.chains():
        branches = {name: _constant(entries[name]) for name in operation.chains()}
        names = {**modules(), **{helper.__name__: helper for helper in operation.definitions()}}
        block = names[operation.constructor()](**branches)
        return block(x), None
    module: Any = _module(operation, x).train(training)
    if operation.masks():
        module.mask = entries.get("mask")
    result: Tensor = _call(module, entries, x, *([update] if operation.counts() else []))[0]
    if not (training and operation.averages):
        return result, None
    return result, partial(_statistics, module, entries, x.detach())


def draw_mask(operation: Operation, x: Tensor) -> Tensor:
    """What an operation draws for all steps of a call with the images x."""
    module: Any = _module(operation, x)
    mask: Tensor = module.draw(x)
    return mask


def evaluate_cell(
    cell: Cell, x: Tensor, carried: Mapping[str, Tensor], entries: State, training: bool
) -> dict[str, Tensor]:
    """The new states that the cell's module makes of x and of the carried ones."""
    module = _module(cell, x).train(training)
    result = _call(module, entries, x, *(carried[name] for name in cell.reads))[0]
    states = result if isinstance(result, tuple) else (result,)
    return dict(zip(("h", *cell.hidden), states, strict=True))


# ---- modules -------------------------------------------------------------------


@cache
def modules() -> dict[str, Helper]:
    """The names that constructors may use: every module of the library, and `nn`."""
    sources = [*library().values()]
    text = "\n".join(["from __future__ import annotations", *imports_for([*sources, "nn"]), *sources])
    module = sys.modules["cortexgraph.ops.modules"] = ModuleType("cortexgraph.ops.modules")  # for pickle
    exec(compile(text, "<modules of cortexgraph.ops>", "exec"), vars(module))
    return vars(module)


@lru_cache(maxsize=512)
def _empty_module(constructor: str, helpers: tuple[Helper, ...], dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The module with its fixed tensors of this type and on this device; its parameters take no memory.

    The parameters come with each call. The random generator stays as it was.
    """
    import torch
    from torch import nn

    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.random.fork_rng(devices=[]):
            module: nn.Module = eval(constructor, {**modules(), **{helper.__name__: helper for helper in helpers}})
    finally:
        torch.set_default_dtype(default)
    for part in module.to(device).modules():
        for name, parameter in part.named_parameters(recurse=False):
            setattr(part, name, nn.Parameter(parameter.detach().to("meta")))
    return module


def _module(component: Component, x: Tensor) -> nn.Module:
    return _empty_module(component.constructor(), component.definitions(), x.dtype, x.device)


def _call(module: nn.Module, entries: State, *inputs: Tensor | int) -> tuple[Tensor, dict[str, Tensor]]:
    """The result with these entries of the state dict, and the buffers as the module leaves them."""
    from torch.func import functional_call

    buffers = {name: entries.get(name, value).clone() for name, value in module.named_buffers()}
    tensors = {name: entries[name] for name, _ in module.named_parameters() if name in entries} | buffers
    result = functional_call(module, tensors, inputs)
    return result, {name: tensors[name] for name in buffers}


def _statistics(module: nn.Module, entries: State, x: Tensor, old: State) -> dict[str, Tensor]:
    """The running statistics that an evaluation on x makes of the old ones."""
    import torch

    with torch.no_grad():
        return _call(module.train(), {**entries, **old}, x)[1]


def _constant(value: Tensor) -> nn.Module:
    """A module that returns this value, whatever enters."""
    from torch import nn

    class Constant(nn.Module):
        def forward(self, x: Tensor, *update: int) -> Tensor:
            return value

    return Constant()
