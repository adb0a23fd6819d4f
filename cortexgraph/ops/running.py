"""The modules of operations, made and run: the one place of this package that executes their source."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cortexgraph.ops.base import Operation, Run, State
from cortexgraph.ops.cells.base import Cell
from cortexgraph.ops.source import imports_for, library

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["instantiate", "modules", "run_cell", "run_operation"]


@cache
def modules() -> dict[str, Any]:
    """The names that constructors may use: every module of the library, and `nn`."""
    sources = [*library().values()]
    text = "\n".join(["from __future__ import annotations", *imports_for([*sources, "nn"]), *sources])
    module = sys.modules["cortexgraph.ops.modules"] = ModuleType("cortexgraph.ops.modules")  # for pickle
    exec(compile(text, "<modules of cortexgraph.ops>", "exec"), vars(module))
    return vars(module)


@lru_cache(maxsize=512)
def instantiate(constructor: str, helpers: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The module of a constructor, with its fixed tensors of this type and on this device, and no parameters yet.

    The parameters come with each call; here they take no memory. The random generator stays as it was.
    """
    import torch
    from torch import nn

    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.random.fork_rng(devices=[]), device:
            module: nn.Module = eval(constructor, {**modules(), **{helper.__name__: helper for helper in helpers}})
    finally:
        torch.set_default_dtype(default)
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            setattr(part, name, nn.Parameter(parameter.detach().to("meta")))
    return module


def _call(module: nn.Module, state: State, *inputs: Tensor) -> tuple[Any, dict[str, Tensor]]:
    """The result with these entries of the state dict, and the buffers as the module leaves them."""
    from torch.func import functional_call

    buffers = {name: state.get(name, value).clone() for name, value in module.named_buffers()}
    entries = {name: state[name] for name, _ in module.named_parameters() if name in state} | buffers
    result = functional_call(module, entries, inputs)
    return result, {name: entries[name] for name in buffers}


def run_operation(operation: Operation, x: Tensor, state: State, run: Run) -> Tensor:
    """What the module of the operation makes of x; inner chains are in `state`, already computed."""
    if operation.chains():
        names = {**modules(), **{helper.__name__: helper for helper in operation.helpers}}
        branches = {name: _given(state[name]) for name in operation.chains()}
        outer: Tensor = names[operation.constructor()](**branches)(x)
        return outer
    module = instantiate(operation.constructor(), operation.helpers, x.dtype, x.device).train(run.training)
    y: Tensor = _call(module, state, x)[0]
    if run.training and operation.averages:
        fixed = x.detach()

        def averaged(old: State) -> dict[str, Tensor]:
            import torch

            with torch.no_grad():
                return _call(module.train(), {**state, **old}, fixed)[1]

        run.take(averaged)
    return y


def _given(value: Tensor) -> nn.Module:
    """A module that gives this value, whatever enters."""
    from torch import nn

    class Given(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return value

    return Given()


def run_cell(cell: Cell, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
    """The new states that the module of the cell makes of x and of the carried ones."""
    module = instantiate(cell.constructor(), cell.helpers, x.dtype, x.device).train(training)
    result = _call(module, state, x, *(carried[name] for name in cell.reads))[0]
    return dict(zip(("h", *cell.hidden), result if isinstance(result, tuple) else (result,), strict=True))
