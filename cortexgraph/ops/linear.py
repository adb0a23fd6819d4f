"""Fully connected layers: the operation `linear`, and the classifier of a readout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from cortexgraph.ops.base import CONTEXT, Operation, Shape, call, option
from cortexgraph.ops.registry import register_operation
from cortexgraph.ops.torch_names import Tensor, nn
from cortexgraph.spec.fields import Count, Flag

__all__ = ["Dense", "Linear"]


class FullyConnected(nn.Linear):
    """A linear layer over channels and space, [B, C, H, W] to [B, units, 1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))[:, :, None, None]


@register_operation("linear")
@dataclass(frozen=True)
class Dense(Operation):
    """A fully connected layer over channels and space: y[o] = Σ_i W[o, i] x[i] + b[o]; the result has size 1 × 1."""

    equation: ClassVar[str] = "y = W x + b"

    channels: Count = option(CONTEXT, "Number of units; default: the channels of the area.", main=True, example=128)
    bias: Flag = option(CONTEXT, "Learned bias; default: only where no norm follows.")

    def output(self) -> Shape:
        return (self.channels, 1, 1)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (self.channels, prod(self.shape))} | ({"bias": (self.channels,)} if self.bias else {})

    def field(self, axis: int, place: int) -> Iterable[int]:
        return range(self.shape[1 + axis])

    def summary(self) -> str:
        return f"linear to {self.channels}{', bias' if self.bias else ''}"

    def constructor(self) -> str:
        return call("FullyConnected", prod(self.shape), self.channels, bias=(self.bias, True))


@dataclass(frozen=True)
class Linear(Operation):
    """y = W x + b, from the pooled state of a readout, [B, inputs], to [B, outputs]."""

    equation: ClassVar[str] = "y = W x + b"

    outputs: int

    def output(self) -> Shape:
        return (self.outputs, 1, 1)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (self.outputs, prod(self.shape)), "bias": (self.outputs,)}

    def summary(self) -> str:
        return f"linear to {self.outputs}"

    def constructor(self) -> str:
        return f"nn.Linear({prod(self.shape)}, {self.outputs})"
