"""A readout: pool over space, then a linear classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar, Literal

from cortexgraph.ops.base import Operation, Run, Shape, State

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GlobalPool", "Linear"]


@dataclass(frozen=True)
class GlobalPool(Operation):
    """y[c] = mean or max over space of x[c]; `flatten` keeps every place."""

    role: ClassVar[str] = "pool"
    equation: ClassVar[str] = "y[c] = mean_ij x[c, i, j]"

    mode: Literal["avg", "max", "flatten"]

    def output(self) -> Shape:
        return (prod(self.shape), 1, 1) if self.mode == "flatten" else (self.shape[0], 1, 1)

    def summary(self) -> str:
        return self.mode

    def constructor(self) -> str:
        return {"avg": "nn.AdaptiveAvgPool2d(1)", "max": "nn.AdaptiveMaxPool2d(1)"}.get(self.mode, "nn.Identity()")

    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        return super().reference(x, state, run).flatten(1)


@dataclass(frozen=True)
class Linear(Operation):
    """y = W x + b."""

    role: ClassVar[str] = "linear"
    equation: ClassVar[str] = "y = W x + b"

    outputs: int

    @property
    def inputs(self) -> int:
        return prod(self.shape)

    def output(self) -> Shape:
        return (self.outputs, 1, 1)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (self.outputs, self.inputs), "bias": (self.outputs,)}

    def macs(self) -> int:
        return self.inputs * self.outputs

    def summary(self) -> str:
        return f"linear to {self.outputs}"

    def constructor(self) -> str:
        return f"nn.Linear({self.inputs}, {self.outputs})"
