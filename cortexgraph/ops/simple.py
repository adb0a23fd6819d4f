"""Small operations: upsampling by a factor, dropout, a fully connected layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal

from cortexgraph.ops.base import CONTEXT, Given, Operation, Shape, option
from cortexgraph.ops.make import register_operation
from cortexgraph.ops.resize import RESIZES
from cortexgraph.ops.torch_names import Tensor, nn
from cortexgraph.spec.fields import Count, Flag, Probability, Square

__all__ = ["Dense", "Dropout", "Upsample"]


@register_operation("upsample")
@dataclass(frozen=True)
class Upsample(Operation):
    """Larger by a whole factor, by nearest-neighbour or bilinear interpolation."""

    role: ClassVar[str] = "resize"
    equation: ClassVar[str] = "as `nearest` or `bilinear`, to factor · size"

    factor: Square = option((2, 2), "How many times larger.", main=True)
    mode: Literal["nearest", "bilinear"] = option("nearest", "nearest or bilinear.")

    @classmethod
    def made(cls, shape: Shape, options: Mapping[str, Any], given: Given) -> Operation:
        factor = options["factor"]
        return RESIZES[options["mode"]](shape, (shape[1] * factor[0], shape[2] * factor[1]))

    def summary(self) -> str:
        return "upsample"

    def constructor(self) -> str:
        raise AssertionError("made into an interpolation")


@register_operation("dropout")
@dataclass(frozen=True)
class Dropout(Operation):
    """In training, zeros values with probability p and scales the rest by 1/(1 − p) (Srivastava et al. 2014).

    Each evaluation draws anew; with `channels: true` whole channels are dropped.
    """

    role: ClassVar[str] = "dropout"
    equation: ClassVar[str] = "y = x · m / (1 − p), m ~ Bernoulli(1 − p)"
    random: ClassVar[bool] = True

    p: Probability = option(0.5, "Probability of being dropped.", main=True)
    channels: Flag = option(False, "Whether whole channels are dropped.")

    def summary(self) -> str:
        return f"dropout {self.p:g}"

    def constructor(self) -> str:
        return f"nn.Dropout{'2d' if self.channels else ''}({self.p})"


class FullyConnected(nn.Linear):
    """A linear layer over channels and space, [B, C, H, W] to [B, units, 1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))[:, :, None, None]


@register_operation("linear")
@dataclass(frozen=True)
class Dense(Operation):
    """A fully connected layer over channels and space: y[o] = Σ_i W[o, i] x[i] + b[o]; the result has size 1 × 1."""

    role: ClassVar[str] = "linear"
    equation: ClassVar[str] = "y = W x + b"

    channels: Count = option(CONTEXT, "Number of units; default: the channels of the area.", main=True)
    bias: Flag = option(CONTEXT, "Learned bias; default: only where no norm follows.")

    def output(self) -> Shape:
        return (self.channels, 1, 1)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        weight = (self.channels, prod(self.shape))
        return {"weight": weight, "bias": (self.channels,)} if self.bias else {"weight": weight}

    def field(self, axis: int, place: int) -> Iterable[int]:
        return range(self.shape[1 + axis])

    def macs(self) -> int:
        return prod(self.shape) * self.channels

    def summary(self) -> str:
        return f"linear to {self.channels}{', bias' if self.bias else ''}"

    def constructor(self) -> str:
        return f"FullyConnected({prod(self.shape)}, {self.channels}{'' if self.bias else ', bias=False'})"
