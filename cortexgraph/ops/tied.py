"""Operations that use the parameters of another connection's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cortexgraph.ops.base import Operation, Pair, Shape, call
from cortexgraph.ops.conv import Conv, ConvTranspose, spread
from cortexgraph.ops.torch_names import F, Tensor, nn
from cortexgraph.wording import by

__all__ = ["Tied", "Transposed"]


class Shared(nn.Module):
    """An operation of another connection, used once more; a convolution perhaps with a geometry of its own."""

    stepwise = True

    def __init__(self, owner: nn.Module, **geometry: Any) -> None:
        super().__init__()
        self.owner, self.geometry = (owner,), geometry  # a tuple: the parameters stay the owner's

    def at(self, update: int) -> Any:
        at = getattr(self.owner[0], "at", None)
        return at(update) if at else self.owner[0]

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        module = self.at(update)
        return F.conv2d(x, module.weight, module.bias, **self.geometry) if self.geometry else module(x)


@dataclass(frozen=True)
class Tied(Operation):
    """An operation of its own geometry with the parameters at `owner`.

    Attributes:
        operation: what it would be with parameters of its own.
        owner: path of the module that has them.
        same: whether that module computes this very operation.
    """

    equation: ClassVar[str] = "that of the operation, with the parameters of another connection"

    operation: Operation
    owner: str
    same: bool

    @property
    def own(self) -> Operation:
        return self.operation

    @property
    def averages(self) -> bool:
        return self.operation.averages

    def output(self) -> Shape:
        return self.operation.output()

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return self.operation.parameters()

    def macs(self) -> int:
        return self.operation.macs()

    def field(self, axis: int, place: int) -> Iterable[int]:
        return self.operation.field(axis, place)

    def summary(self) -> str:
        return self.operation.summary()

    def constructor(self) -> str:
        if self.same or not isinstance(self.operation, Conv):
            return f"Shared(self.{self.owner})"
        options = self.operation.arguments()
        options["stride"] = (options["stride"][0], None)  # always written: it says that the geometry is its own
        return call("Shared", f"self.{self.owner}", **options)


class SharedTransposed(Shared):
    """The transpose of another connection's convolution, without bias."""

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        return F.conv_transpose2d(x, self.at(update).weight, **self.geometry)


@dataclass(frozen=True)
class Transposed(Operation):
    """The transpose of another connection's convolution: from its output to its input.

    Attributes:
        conv: that convolution.
        owner: path of the module that has its weight.
        size: height and width of the result.
    """

    role: ClassVar[str] = "conv_transpose"
    equation: ClassVar[str] = "y[i] = Σ_o w[o, i]ᵀ x[o], the adjoint of x ↦ w ⋆ x"

    conv: Conv
    owner: str
    size: Pair

    @property
    def rim(self) -> Pair:
        """What is added at the lower right to reach the size; negative or too large where it cannot be reached."""
        conv = self.conv
        height, width = (
            size - ((n - 1) * s - 2 * p + k)
            for size, n, s, p, k in zip(self.size, self.shape[1:], conv.stride, conv.border, conv.kernel, strict=True)
        )
        return height, width

    @property
    def own(self) -> ConvTranspose:
        conv = self.conv
        return ConvTranspose(self.shape, conv.kernel, conv.stride, conv.border, self.rim, conv.shape[0], bias=False)

    def output(self) -> Shape:
        fits = all(0 <= rim < stride for rim, stride in zip(self.rim, self.conv.stride, strict=True))
        channels = self.conv.shape[0]
        return (channels, *self.size) if fits else (channels, 0, 0)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": self.conv.parameters()["weight"]}

    def macs(self) -> int:
        return self.own.macs()

    def field(self, axis: int, place: int) -> Iterable[int]:
        conv = self.conv
        return spread(self.shape[1 + axis], place + conv.border[axis], conv.stride[axis], conv.kernel[axis])

    def summary(self) -> str:
        return f"{by(self.conv.kernel)} transposed conv"

    def constructor(self) -> str:
        return call("SharedTransposed", f"self.{self.owner}", **self.own.arguments())

    @classmethod
    def legal(cls, conv: Operation) -> bool:
        """Whether this operation can be transposed here: an undilated convolution without groups."""
        return isinstance(conv, Conv) and conv.dilation == (1, 1) and conv.groups == 1
