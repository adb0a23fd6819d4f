"""Pooling by windows that move over space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cortexgraph.ops.base import Context, Given, Operation, Shape, option, text, window
from cortexgraph.ops.make import register_operation
from cortexgraph.spec.fields import Border, Square
from cortexgraph.wording import by

if TYPE_CHECKING:
    pass

__all__ = ["AveragePool", "MaxPool", "WindowPool"]


@dataclass(frozen=True)
class WindowPool(Operation):
    """Base of the poolings."""

    role: ClassVar[str] = "pool"
    name: ClassVar[str]
    module: ClassVar[str]

    kernel: Square = option((2, 2), "Size of the window.", main=True)
    stride: Square | None = option(None, "Distance between windows; default: the kernel.")
    padding: Border = option((0, 0), "Rim around the input.")

    @classmethod
    def made(cls, shape: Shape, options: Mapping[str, Any], given: Given) -> Operation:
        return cls(shape, **(dict(options) | {"stride": options["stride"] or options["kernel"]}))

    @classmethod
    def problem(cls, options: Any, shape: Shape, context: Context) -> tuple[str, str] | None:
        if any(2 * p > k for p, k in zip(options["padding"], options["kernel"], strict=True)):
            return "`padding` is more than half the kernel", "Choose a smaller padding."
        return None

    @property
    def step(self) -> tuple[int, int]:
        return self.stride or self.kernel

    def output(self) -> Shape:
        """⌊(n + 2·padding − kernel) / stride⌋ + 1 along each axis."""
        height, width = (
            (n + 2 * p - k) // s + 1
            for n, p, k, s in zip(self.shape[1:], self.padding, self.kernel, self.step, strict=True)
        )
        return (self.shape[0], height, width)

    def field(self, axis: int, place: int) -> Iterable[int]:
        return window(self.shape[1 + axis], place * self.step[axis] - self.padding[axis], self.kernel[axis])

    def summary(self) -> str:
        stride = f", stride {text(self.step)}" if self.step != self.kernel else ""
        return f"{by(self.kernel)} {self.name}{stride}"

    def constructor(self) -> str:
        stride = f", {text(self.step)}" if self.step != self.kernel else ""
        padding = f", padding={text(self.padding)}" if self.padding != (0, 0) else ""
        return f"nn.{self.module}({text(self.kernel)}{stride}{padding})"


@register_operation("max_pool")
@dataclass(frozen=True)
class MaxPool(WindowPool):
    """The largest value under each window."""

    equation: ClassVar[str] = "y[i, j] = max over the window at (i, j)"
    name: ClassVar[str] = "max pool"
    module: ClassVar[str] = "MaxPool2d"


@register_operation("avg_pool")
@dataclass(frozen=True)
class AveragePool(WindowPool):
    """The mean under each window, the zeros of the rim included."""

    equation: ClassVar[str] = "y[i, j] = mean over the window at (i, j)"
    name: ClassVar[str] = "average pool"
    module: ClassVar[str] = "AvgPool2d"
