"""Normalisation of an area's merged input.

All compute y = γ (x − μ) / √(σ² + ε) + β with ε = 1e-5 and differ in the set over which μ and σ² are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cortexgraph.ops.base import Operation
from cortexgraph.ops.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NORMS", "BatchNorm", "GroupNorm", "Norm", "default_groups"]

EPSILON = 1e-5

NORMS: Registry[Callable[[int, bool, int | None], Norm]] = Registry("norm")
"""Each entry makes a norm from channels, per_step and the declared number of groups."""


def default_groups(channels: int) -> int:
    """32 groups (Wu & He 2018) where they divide the channels, otherwise the largest divisor below 32."""
    return next(n for n in range(min(32, channels), 0, -1) if channels % n == 0)


@dataclass(frozen=True)
class Norm(Operation):
    """Base of the norms: a scale γ and a shift β for each channel."""

    role: ClassVar[str] = "norm"

    channels: int
    steps_apart: bool = False

    @property
    def per_step(self) -> bool:
        return self.steps_apart

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (self.channels,), "bias": (self.channels,)}


@dataclass(frozen=True)
class BatchNorm(Norm):
    """Per channel over batch and space (Ioffe & Szegedy 2015); running averages, momentum 0.1, in evaluation."""

    equation: ClassVar[str] = "y = γ (x − μ_c) / √(σ²_c + ε) + β"

    def summary(self) -> str:
        return "batch norm" + " per step" * self.per_step

    def constructor(self) -> str:
        return f"nn.BatchNorm2d({self.channels})"

    def reference(self, x: Tensor, state: Mapping[str, Tensor], *, training: bool) -> Tensor:
        if training:
            mean = x.mean((0, 2, 3))
            variance = x.var((0, 2, 3), unbiased=False)
        else:
            mean, variance = state["running_mean"], state["running_var"]
        mean, variance, scale, shift = (
            v.reshape(1, -1, 1, 1) for v in (mean, variance, state["weight"], state["bias"])
        )
        return (x - mean) / (variance + EPSILON).sqrt() * scale + shift


@dataclass(frozen=True)
class GroupNorm(Norm):
    """Per image and group of channels, over the group and space (Wu & He 2018)."""

    equation: ClassVar[str] = "y = γ (x − μ_g) / √(σ²_g + ε) + β"

    groups: int = 1

    def summary(self) -> str:
        kind = {1: "layer", self.channels: "instance"}.get(self.groups, f"group ({self.groups})")
        return f"{kind} norm" + " per step" * self.per_step

    def constructor(self) -> str:
        return f"nn.GroupNorm({self.groups}, {self.channels})"

    def reference(self, x: Tensor, state: Mapping[str, Tensor], *, training: bool) -> Tensor:
        grouped = x.reshape(len(x), self.groups, -1)
        mean, variance = grouped.mean(2, keepdim=True), grouped.var(2, keepdim=True, unbiased=False)
        y = ((grouped - mean) / (variance + EPSILON).sqrt()).reshape(x.shape)
        return y * state["weight"].reshape(1, -1, 1, 1) + state["bias"].reshape(1, -1, 1, 1)


@NORMS.register("batch")
def _batch(channels: int, per_step: bool, groups: int | None) -> Norm:
    return BatchNorm(channels, per_step)


@NORMS.register("group")
def _group(channels: int, per_step: bool, groups: int | None) -> Norm:
    return GroupNorm(channels, per_step, groups or default_groups(channels))


@NORMS.register("layer")
def _layer(channels: int, per_step: bool, groups: int | None) -> Norm:
    return GroupNorm(channels, per_step, 1)


@NORMS.register("instance")
def _instance(channels: int, per_step: bool, groups: int | None) -> Norm:
    return GroupNorm(channels, per_step, channels)
