"""Operations whose windows move over space: their base, pooling and resizing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, Literal

from cortexgraph.ops.base import Fault, Operation, Pair, Place, Shape, StandIn, call, option, text
from cortexgraph.ops.registry import register_operation
from cortexgraph.ops.torch_names import F, Tensor, nn, torch
from cortexgraph.spec.fields import Border, Flag, Square
from cortexgraph.wording import by

ONE: Pair = (1, 1)


def same_padding(kernel: Pair, dilation: Pair = ONE) -> Pair:
    """⌊dilation · (kernel − 1) / 2⌋: «same» for odd kernels."""
    return (dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2)


@dataclass(frozen=True)
class Windowed(Operation):
    """Base of the operations that compute each place of the result from a window of the input."""

    @abstractmethod
    def geometry(self) -> tuple[Pair, Pair, Pair, Pair]:
        """Kernel, stride, padding and dilation."""

    @property
    def outputs(self) -> int:
        """Number of output channels: the option `channels`, by default those of the input."""
        channels: int = getattr(self, "channels", self.shape[0])
        return channels

    @property
    def extent(self) -> Pair:
        """Height and width of the result: ⌊(n + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1."""
        height, width = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(self.shape[1:], *self.geometry(), strict=True)
        )
        return height, width

    def output(self) -> Shape:
        return (self.outputs, *self.extent)

    def field(self, axis: int, place: int) -> Iterable[int]:
        kernel, stride, padding, dilation = (pair[axis] for pair in self.geometry())
        start = place * stride - padding
        first = max(0, -(start // dilation))
        last = min(kernel - 1, (self.shape[1 + axis] - 1 - start) // dilation)
        return range(start + first * dilation, start + last * dilation + 1, dilation)


# ---- pooling -------------------------------------------------------------------


@dataclass(frozen=True)
class WindowPool(Windowed):
    """Base of the poolings by a window."""

    role: ClassVar[str] = "pool"
    rising: ClassVar[bool] = True
    name: ClassVar[str]
    module: ClassVar[str]

    kernel: Square = option((2, 2), "Size of the window.", main=True)
    stride: Square | None = option(None, "Distance between windows; default: the kernel.")
    padding: Border = option((0, 0), "Padding around the input.")
    ceil_mode: Flag = option(False, "Whether a last window that reaches over the lower right rim counts as well.")

    def placed(self, place: Place) -> Operation:
        return replace(self, stride=self.step)

    def faults(self) -> Iterator[Fault]:
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            yield "`padding` is more than half the kernel", "Choose a smaller padding."

    @property
    def step(self) -> Pair:
        """The stride that holds."""
        return self.stride or self.kernel

    def geometry(self) -> tuple[Pair, Pair, Pair, Pair]:
        return self.kernel, self.step, self.padding, ONE

    @property
    def extent(self) -> Pair:
        if not self.ceil_mode:
            return super().extent
        axes = zip(self.shape[1:], self.kernel, self.step, self.padding, strict=True)
        height, width = (-(-(n + 2 * p - k) // s) + 1 - (-(-(n + 2 * p - k) // s) * s >= n + p) for n, k, s, p in axes)
        return height, width  # no window starts beyond the input and its upper left rim

    def summary(self) -> str:
        stride = f", stride {text(self.step)}" if self.step != self.kernel else ""
        return f"{by(self.kernel)} {self.name}{stride}"

    def constructor(self) -> str:
        stride = (self.step,) if self.step != self.kernel else ()
        return call(
            f"nn.{self.module}", self.kernel, *stride, padding=(self.padding, 0), ceil_mode=(self.ceil_mode, False)
        )


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
    """The mean under each window, the zeros of the rim included, but not what lies beyond them (`ceil_mode`)."""

    equation: ClassVar[str] = "y[i, j] = mean over the window at (i, j)"
    name: ClassVar[str] = "average pool"
    module: ClassVar[str] = "AvgPool2d"


# ---- padding -------------------------------------------------------------------


@register_operation("pad")
@dataclass(frozen=True)
class Pad(Operation):
    """Rows and columns around the input: zeros, its mirror image without the edge, or its edge repeated.

    A convolution behind it needs `padding: 0`.
    """

    equation: ClassVar[str] = "y[i] = x[i − rim], continued beyond the edges"
    rising: ClassVar[bool] = True

    rim: Border = option((1, 1), "Rows above and below, and columns left and right.", main=True)
    mode: Literal["zeros", "reflect", "replicate"] = option("zeros", "zeros, reflect or replicate.")

    def output(self) -> Shape:
        channels, height, width = self.shape
        return channels, height + 2 * self.rim[0], width + 2 * self.rim[1]

    def faults(self) -> Iterator[Fault]:
        size = self.shape[1:]
        if self.mode == "reflect" and all(size) and any(r >= n for r, n in zip(self.rim, size, strict=True)):
            found = f"a rim of {by(self.rim)} cannot mirror an input of {by(size)}, whose edge is left out"
            yield found, "Choose a smaller rim, or `mode: replicate`."

    def field(self, axis: int, place: int) -> Iterable[int]:
        n, at = self.shape[1 + axis], place - self.rim[axis]
        if self.mode == "zeros":
            return (at,) if 0 <= at < n else ()
        return (abs(at) if at < n else 2 * (n - 1) - at,) if self.mode == "reflect" else (min(max(at, 0), n - 1),)

    def summary(self) -> str:
        return f"pad {text(self.rim)}{'' if self.mode == 'zeros' else f', {self.mode}'}"

    def constructor(self) -> str:
        module = {"zeros": "ZeroPad2d", "reflect": "ReflectionPad2d", "replicate": "ReplicationPad2d"}[self.mode]
        (height, width) = self.rim
        return call(f"nn.{module}", height if height == width else (width, width, height, height))


# ---- global pooling and resizing -------------------------------------------------


@dataclass(frozen=True)
class GlobalPool(Operation):
    """The pooling of a readout, y[c] = mean or max over space of x[c]; `flatten` keeps every place."""

    mode: Literal["avg", "max", "flatten"]

    def output(self) -> Shape:
        return (prod(self.shape), 1, 1) if self.mode == "flatten" else (self.shape[0], 1, 1)

    def summary(self) -> str:
        return self.mode

    def constructor(self) -> str:
        return {"avg": "nn.AdaptiveAvgPool2d(1)", "max": "nn.AdaptiveMaxPool2d(1)"}.get(self.mode, "nn.Identity()")


@dataclass(frozen=True)
class Resize(Operation):
    """Base of the resizing operations: to a fixed height and width."""

    role: ClassVar[str] = "resize"
    rising: ClassVar[bool] = True

    size: Square = option(..., "Height and width of the result.", main=True, example=16)

    def summary(self) -> str:
        return f"{type(self).__name__.lower()} to {by(self.size)}"

    def output(self) -> Shape:
        return (self.shape[0], *self.size)


@register_operation("nearest")
@dataclass(frozen=True)
class Nearest(Resize):
    """Nearest-neighbour interpolation: y[i, j] = x[⌊i · H / H'⌋, ⌊j · W / W'⌋].

    torch computes i · H / H' in 32 bits, so that for some ratios that are not whole (such as 26 to 22) a place falls
    on the neighbour; for all whole ratios up to 256 it does not.
    """

    equation: ClassVar[str] = "y[i, j] = x[⌊i·H/H'⌋, ⌊j·W/W'⌋]"

    def constructor(self) -> str:
        return call("nn.Upsample", self.size)

    def field(self, axis: int, place: int) -> Iterable[int]:
        return (place * self.shape[1 + axis] // self.size[axis],)


@register_operation("bilinear")
@dataclass(frozen=True)
class Bilinear(Resize):
    """Linear interpolation along each axis between pixel centres, edges held."""

    equation: ClassVar[str] = "y[i] = (1 − a) x[⌊s⌋] + a x[⌊s⌋ + 1], s = (i + ½)·H/H' − ½, a = s − ⌊s⌋"

    def constructor(self) -> str:
        return call("nn.Upsample", self.size, mode=('"bilinear"', None))

    def field(self, axis: int, place: int) -> Iterable[int]:
        n = self.shape[1 + axis]
        at = max((place + 0.5) * n / self.size[axis] - 0.5, 0.0)
        left = min(int(at), n - 1)
        return {left, min(left + 1, n - 1)} if at > left else (left,)


class Antialias(nn.Module):
    """Bilinear interpolation to a size; downwards each result is a weighted mean of all that falls on it."""

    def __init__(self, size: int | tuple[int, int]) -> None:
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else size

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # processors do not implement it in 16 bits
        return F.interpolate(x, self.size, mode="bilinear", antialias=True)


@register_operation("antialiased")
@dataclass(frozen=True)
class Antialiased(Resize):
    """Bilinear interpolation that downwards averages over all that falls on a place, with weights of a triangle.

    Upwards it is `bilinear`.
    """

    equation: ClassVar[str] = "y[i] = Σ_j a_j x[j] / Σ_j a_j, a_j = (1 − |j + ½ − c| / r)₊, c = (i + ½)·r, r = H/H'"

    def constructor(self) -> str:
        return call("Antialias", self.size)

    def field(self, axis: int, place: int) -> Iterable[int]:
        n, ratio = self.shape[1 + axis], self.shape[1 + axis] / self.size[axis]
        centre, reach = (place + 0.5) * ratio, max(ratio, 1.0)
        return [j for j in range(n) if abs(j + 0.5 - centre) < reach - 1e-9]


@register_operation("pool")
@dataclass(frozen=True)
class Pool(Resize):
    """Average pooling to a size: mean over the ⌊i·H/H'⌋ … ⌈(i+1)·H/H'⌉ rows, and columns likewise, of each output."""

    equation: ClassVar[str] = "y[i, j] = mean of x over the inputs that fall on (i, j)"

    def constructor(self) -> str:
        return call("nn.AdaptiveAvgPool2d", self.size)

    def field(self, axis: int, place: int) -> Iterable[int]:
        n, size = self.shape[1 + axis], self.size[axis]
        return range(place * n // size, -(-(place + 1) * n // size))


RESIZES: dict[str, type[Resize]] = {"nearest": Nearest, "bilinear": Bilinear, "antialiased": Antialiased, "pool": Pool}
"""The modes of a connection's `resize` that are operations."""


@register_operation("upsample")
@dataclass(frozen=True)
class Upsample(StandIn):
    """Larger by a whole factor, by nearest-neighbour or bilinear interpolation."""

    equation: ClassVar[str] = "as `nearest` or `bilinear`, to factor · size"

    factor: Square = option((2, 2), "How many times larger.", main=True)
    mode: Literal["nearest", "bilinear"] = option("nearest", "nearest or bilinear.")

    def placed(self, place: Place) -> Operation:
        size = (self.shape[1] * self.factor[0], self.shape[2] * self.factor[1])
        return RESIZES[self.mode](self.shape, size)
