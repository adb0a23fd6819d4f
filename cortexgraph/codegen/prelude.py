"""Definitions that emitted files carry with them, beside the modules of operations and cells.

Each is ordinary code, linted and typed here; the source of those that a network needs is copied into its file, so that
the file imports only torch. Nothing of cortexgraph imports this module.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

# ---- chains and parameters per step ------------------------------------------------


class Chain(nn.Sequential):
    """Operations one after another, by name; those with a set of parameters for each update get its number, from 1."""

    stepwise = True

    def __init__(self, *operations: Any, **named: nn.Module) -> None:
        super().__init__(OrderedDict(*operations, **named))

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        for operation in self:
            x = operation(x, update) if hasattr(type(operation), "stepwise") else operation(x)
        return x


class PerStep(nn.ModuleList):
    """One set of parameters for each update, counted from 1; updates beyond them, also at a longer T, use the last."""

    stepwise = True

    def __init__(self, make: Callable[[], nn.Module], sets: int) -> None:
        super().__init__(make() for _ in range(sets))

    def at(self, update: int) -> nn.Module:
        return self[min(update, len(self)) - 1]

    def forward(self, x: Tensor, update: int) -> Any:
        return self.at(update)(x)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        for name in self[0].state_dict():
            saved: list[Tensor] = []
            while (key := f"{prefix}{len(saved)}.{name}") in state_dict:
                saved.append(state_dict.pop(key))
            for n in range(len(self)) if saved else ():
                state_dict[f"{prefix}{n}.{name}"] = saved[min(n, len(saved) - 1)].clone()
        super()._load_from_state_dict(state_dict, prefix, *args)


class SomeSteps(PerStep):
    """Per-step sets of which a readout reaches those of the updates `trained`; others require no gradient.

    In evaluation, and in a state dict (without `keep_vars`), the last trained set before them takes their place.
    """

    def __init__(self, make: Callable[[], nn.Module], sets: int, trained: Collection[int]) -> None:
        super().__init__(make, sets)
        self.stand_in = {n: max((m for m in trained if m <= n), default=n) for n in range(1, sets + 1)}
        for n in set(self.stand_in).difference(trained):
            self[n - 1].requires_grad_(False)

    def at(self, update: int) -> nn.Module:
        return super().at(update if self.training else self.stand_in.get(update, self.stand_in[len(self)]))

    def state_dict(self, *args: Any, prefix: str = "", **options: Any) -> Any:
        state = super().state_dict(*args, prefix=prefix, **options)
        for n, m in self.stand_in.items():
            for name in self[n - 1].state_dict() if n != m and not options.get("keep_vars") else ():
                state[f"{prefix}{n - 1}.{name}"] = state[f"{prefix}{m - 1}.{name}"].clone()
        return state


class Area(nn.Sequential):
    """Operations on the merged input u, then a cell, which also gets the old state."""

    def __init__(self, *operations: Any, **named: nn.Module) -> None:
        super().__init__(OrderedDict(*operations, **named))

    def forward(self, u: Tensor, *state: Tensor, update: int = 1) -> Any:
        *operations, cell = self
        for operation in operations:
            u = operation(u, update) if hasattr(type(operation), "stepwise") else operation(u)
        return cell(u, *state)


# ---- what enters ---------------------------------------------------------------------


def check_shape(x: Tensor, *shape: int) -> None:
    """Raise a ValueError if x is not [B, *shape]. (torch.fx traces without shapes.)"""
    if not isinstance(x, torch.fx.Proxy) and tuple(x.shape[1:]) != shape:
        raise ValueError(f"x is {list(x.shape)}; expected [B, {', '.join(map(str, shape))}]")


def expanded(value: Tensor, x: Tensor) -> Tensor:
    """A value [1, ...] that is the same for every image, for each image of the batch x."""
    return value.expand(x.shape[0], -1, -1, -1)


def zeros(x: Tensor, *shape: int) -> Tensor:
    """Zeros [B, *shape] for the batch, on the device and with the type of the images x."""
    return x.new_zeros(x.shape[0], *shape)


def draw_masks(network: nn.Module, x: Tensor) -> None:
    """Draw what holds for all steps of this call: the masks of dropouts that are shared over time."""
    for part in network.modules() if network.training else ():
        draw: Any = getattr(part, "draw", None)
        if draw is not None:
            draw(x)


# ---- interventions -----------------------------------------------------------------------


class Intervention(nn.Module):
    """Replaces units of a value: channels, places (channel, row, column), or all."""

    def __init__(self, units: list[Any] | None = None) -> None:
        super().__init__()
        self.units = units

    def new(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, value: Tensor) -> Tensor:
        new = self.new(value).expand_as(value)
        if self.units is None:
            return new
        chosen = torch.zeros(value.shape[1:], dtype=torch.bool, device=value.device)
        for unit in self.units:
            chosen[unit] = True
        return torch.where(chosen, new, value)


class AblatedUnits(Intervention):
    """Units set to zero, to their mean over the batch, or to those of another image of the batch."""

    def __init__(self, to: str, units: list[Any] | None = None) -> None:
        super().__init__(units)
        self.to_what = to

    def new(self, value: Tensor) -> Tensor:
        if self.to_what == "zero":
            return torch.zeros_like(value)
        return value.mean(0, keepdim=True) if self.to_what == "mean" else value[torch.randperm(len(value))]


class ScaledUnits(Intervention):
    """Units times a factor."""

    def __init__(self, factor: float, units: list[Any] | None = None) -> None:
        super().__init__(units)
        self.factor = factor

    def new(self, value: Tensor) -> Tensor:
        return value * self.factor


class NoisyUnits(Intervention):
    """Units with Gaussian noise."""

    def __init__(self, std: float, units: list[Any] | None = None) -> None:
        super().__init__(units)
        self.std = std

    def new(self, value: Tensor) -> Tensor:
        return value + torch.randn_like(value) * self.std


class ClampedUnits(Intervention):
    """Units held between two bounds."""

    def __init__(self, low: float, high: float, units: list[Any] | None = None) -> None:
        super().__init__(units)
        self.low, self.high = low, high

    def new(self, value: Tensor) -> Tensor:
        return value.clamp(self.low, self.high)


class PatchedUnits(Intervention):
    """Units replaced by given values, which the file itself does not hold: set `.value`."""

    value: Tensor

    def __init__(self, shape: tuple[int, ...], units: list[Any] | None = None) -> None:
        super().__init__(units)
        self.register_buffer("value", torch.zeros(shape), persistent=False)

    def new(self, value: Tensor) -> Tensor:
        return self.value.to(value)


# ---- the return value ------------------------------------------------------------------


def means_so_far(logits: Tensor) -> Tensor:
    """For each step of [B, n, classes] the mean over the steps up to it."""
    steps = torch.arange(1, logits.shape[1] + 1, device=logits.device)
    return logits.cumsum(1) / steps.view(-1, *[1] * (logits.ndim - 2))


# ---- how convolutions start ------------------------------------------------------------


def started(module: nn.Module, fill: Callable[[Tensor], Tensor]) -> nn.Module:
    """The module, with the weight of each convolution and linear layer filled and its bias at 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fill(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
            rescale: Any = getattr(part, "rescale", None)
            if rescale is not None:  # the norms that it learns are those of the new weight
                rescale()
    return module


def identity_(weight: Tensor) -> Tensor:
    """Each output channel passes on the input channel of its own number, through the middle of the kernel."""
    with torch.no_grad():
        weight.zero_()
        taps = weight.reshape(*weight.shape[:2], -1)  # [out, in, places]: a view
        middle = [(n - 1) // 2 for n in weight.shape[2:]]
        place = middle[0] * weight.shape[3] + middle[1] if middle else 0
        for channel in range(len(weight)):
            taps[channel, channel % weight.shape[1], place] = 1.0
    return weight


def dirac_(weight: Tensor) -> Tensor:
    """The first output channels pass on the input channels of their numbers; further ones stay as they are."""
    identity_(weight[: weight.shape[1]])
    return weight


# ---- segments recomputed in the backward pass --------------------------------------------


@contextmanager
def buffers_kept(network: nn.Module, masks: Collection[tuple[Any, Any]]) -> Iterator[None]:
    """Leave buffers, such as running statistics, as they were: what happens inside happens to copies.

    Dropouts that are shared over time have these masks, also where another call has drawn others since.
    """
    kept = [(part, dict(part.named_buffers(recurse=False))) for part in network.modules()]
    for part, mask in masks:
        part.mask = mask
    try:
        for part, buffers in kept:
            for name, buffer in buffers.items():
                setattr(part, name, buffer.clone())
        yield
    finally:
        for part, buffers in kept:
            for name, buffer in buffers.items():
                setattr(part, name, buffer)


def recomputed(network: nn.Module, steps: Callable[..., Any], first: int, *carried: Tensor) -> Any:
    """What steps make of the states carried to them; only these are kept, and the backward pass recomputes the steps.

    Running statistics move only the first time, and dropout draws the same (Chen et al. 2016).
    """
    if not torch.is_grad_enabled():
        return steps(first, *carried)

    masks: list[tuple[Any, Any]] = [(part, part.mask) for part in network.modules() if hasattr(part, "mask")]

    def contexts() -> tuple[Any, Any]:
        return nullcontext(), buffers_kept(network, masks)

    return checkpoint(steps, first, *carried, use_reentrant=False, context_fn=contexts)
