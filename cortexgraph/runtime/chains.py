"""Chains of operations, shared and per-step parameters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


def chain(**operations: nn.Module) -> nn.Sequential:
    """Operations one after another, under their names."""
    return nn.Sequential(OrderedDict(operations))


def untracked(module: nn.Module, *inputs: Tensor | None, **options: int) -> Any:
    """What the module gives; its running averages, and those that it shares, stay: no readout depends on this."""
    parts = list(module.modules())
    parts += [other for part in parts for owner in getattr(part, "owner", ()) for other in owner.modules()]
    norms: list[Any] = [part for part in parts if getattr(part, "track_running_stats", False)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        return module(*inputs, **options)
    finally:
        for norm in norms:
            norm.track_running_stats = True


class PerStep(nn.ModuleList):
    """One set of parameters for each live update of an area; beyond the last set, the last is reused.

    A set that no readout can reach requires no gradient. A state dict with another number of sets loads by
    the same rule: missing sets are copies of its last one, and sets too many are left out.
    """

    stepwise = True

    def __init__(self, make: Callable[[], nn.Module], sets: int, reached: Iterable[int]) -> None:
        super().__init__(make() for _ in range(sets))
        for update in set(range(1, sets + 1)).difference(reached):
            self[update - 1].requires_grad_(False)

    def at(self, update: int) -> nn.Module:
        return self[min(update, len(self)) - 1]

    def forward(self, u: Tensor, update: int) -> Tensor:
        return self.at(update)(u)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        parts = {key: key[len(prefix) :].partition(".") for key in state_dict if key.startswith(prefix)}
        own = [(key, int(index), name) for key, (index, _, name) in parts.items() if index.isdecimal()]
        last = max((index for _, index, _ in own), default=0)
        for key, index, name in own:
            if index == last:
                for missing in range(last + 1, len(self)):
                    state_dict[f"{prefix}{missing}.{name}"] = state_dict[key].clone()
            if index >= len(self):
                del state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *args)


class Stepwise(nn.Sequential):
    """Operations one after another, some with a set of parameters for each live update, counted from 1."""

    stepwise = True

    def __init__(self, **operations: nn.Module) -> None:
        super().__init__(OrderedDict(operations))

    def forward(self, x: Tensor, update: int) -> Tensor:
        for operation in self:
            x = operation(x, update) if getattr(operation, "stepwise", False) else operation(x)
        return x


def named(state: Any, step: int) -> Any:
    """The state itself; in a graph of torch.fx, the visible state is a node called `V4_step3`, or `V4.step3`.

    The one name is that of `torch.fx.symbolic_trace`; torchvision's feature extractors write the other.
    """
    if isinstance(state, tuple):
        return (named(state[0], step), *state[1:])
    if not isinstance(state, torch.fx.Proxy):
        return state
    path = state.tracer.scope.module_path  # empty in torchvision, which puts the path before the name
    return state.tracer.create_proxy(
        "call_function", torch.positive, (state,), {}, name=f"{path}_step{step}".strip("_")
    )


class Area(nn.Sequential):
    """What an area does at a step with its merged input u: operations, then its cell, which gets the old state too."""

    def __init__(self, **operations: nn.Module) -> None:
        super().__init__(OrderedDict(operations))

    def forward(self, u: Tensor, *state: Tensor | None, step: int = 1, update: int = 1) -> Tensor:
        for name, operation in self.named_children():
            if name == "cell":
                u = operation(u, *state)
            else:
                u = operation(u, update) if getattr(operation, "stepwise", False) else operation(u)
        return named(u, step)
