"""Convolutions: plain, depthwise, separable and transposed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cortexgraph.ops.base import CONTEXT, Context, Operation, Shape, option, text, window
from cortexgraph.ops.make import register_operation
from cortexgraph.ops.torch_names import Tensor, nn
from cortexgraph.spec.fields import Border, Count, Flag, Square
from cortexgraph.wording import by

__all__ = [
    "Conv",
    "ConvTranspose",
    "Depthwise",
    "Separable",
    "Spatial",
    "same_padding",
    "spread",
]

Pair = tuple[int, int]


def same_padding(kernel: Pair, dilation: Pair = (1, 1)) -> Pair:
    """⌊dilation · (kernel − 1) / 2⌋: «same» for odd kernels."""
    return (dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2)


def _extent(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """⌊(n + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1 along each axis."""
    height, width = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(size, padding, dilation, kernel, stride, strict=True)
    )
    return height, width


def arguments(*positional: object, bias: bool, **options: str) -> str:
    """Arguments of a constructor; `bias` only where it differs from torch's default."""
    last = [] if bias else ["bias=False"]
    return ", ".join([*map(str, positional), *(f"{name}={value}" for name, value in options.items()), *last])


@dataclass(frozen=True)
class Spatial(Operation):
    """Base of the operations with a kernel that moves over space."""

    kernel: Square = option((3, 3), "Kernel size.", main=True)
    stride: Square = option(CONTEXT, "Stride; default 1, or what takes the source to the target's size.")
    dilation: Square = option((1, 1), "Distance between the kernel's points.")
    padding: Border | None = option(None, "Zeros around the input; default ⌊dilation · (kernel − 1) / 2⌋.")
    bias: Flag = option(CONTEXT, "Learned bias; default: only where no norm follows.")

    @property
    def border(self) -> Pair:
        """The padding that holds."""
        return self.padding if self.padding is not None else same_padding(self.kernel, self.dilation)

    @property
    def extent(self) -> Pair:
        """Height and width of the result."""
        return _extent(self.shape[1:], self.kernel, self.stride, self.border, self.dilation)

    def field(self, axis: int, place: int) -> Iterable[int]:
        start = place * self.stride[axis] - self.border[axis]
        return window(self.shape[1 + axis], start, self.kernel[axis], self.dilation[axis])

    def geometry(self) -> dict[str, str]:
        """Arguments of a constructor that differ from torch's defaults."""
        pairs = {"stride": (self.stride, (1, 1)), "padding": (self.border, (0, 0)), "dilation": (self.dilation, (1, 1))}
        return {name: text(pair) for name, (pair, default) in pairs.items() if pair != default}

    def words(self, name: str) -> str:
        stride = f", stride {text(self.stride)}" if self.stride != (1, 1) else ""
        dilation = f", dilation {text(self.dilation)}" if self.dilation != (1, 1) else ""
        return f"{by(self.kernel)} {name}{stride}{dilation}"


@register_operation("conv")
@dataclass(frozen=True)
class Conv(Spatial):
    """Convolution: y[o] = Σ_i w[o, i] ⋆ x[i] + b[o], padded with zeros."""

    role: ClassVar[str] = "conv"
    equation: ClassVar[str] = "y[o] = Σ_i w[o, i] ⋆ x[i] + b[o]"

    channels: Count = option(CONTEXT, "Number of output channels; default: those of the area.")
    groups: Count = option(1, "Number of channel groups that do not see each other.")

    def output(self) -> Shape:
        return (self.channels, *self.extent)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        weight = (self.channels, self.shape[0] // self.groups, *self.kernel)
        return {"weight": weight, "bias": (self.channels,)} if self.bias else {"weight": weight}

    def macs(self) -> int:
        channels, height, width = self.output()
        return channels * height * width * (self.shape[0] // self.groups) * self.kernel[0] * self.kernel[1]

    def summary(self) -> str:
        groups = f", {self.groups} groups" if self.groups != 1 else ""
        return f"{self.words('conv')}{groups}{', bias' if self.bias else ''}"

    def constructor(self) -> str:
        options = self.geometry() | ({"groups": str(self.groups)} if self.groups != 1 else {})
        return f"nn.Conv2d({arguments(self.shape[0], self.channels, text(self.kernel), bias=self.bias, **options)})"


@register_operation("depthwise")
@dataclass(frozen=True)
class Depthwise(Spatial):
    """Each channel with a kernel of its own: y[c] = w[c] ⋆ x[c] + b[c]."""

    role: ClassVar[str] = "depthwise"
    equation: ClassVar[str] = "y[c] = w[c] ⋆ x[c] + b[c]"

    def output(self) -> Shape:
        return (self.shape[0], *self.extent)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        weight = (self.shape[0], 1, *self.kernel)
        return {"weight": weight, "bias": (self.shape[0],)} if self.bias else {"weight": weight}

    def macs(self) -> int:
        channels, height, width = self.output()
        return channels * height * width * self.kernel[0] * self.kernel[1]

    def summary(self) -> str:
        return f"{self.words('depthwise conv')}{', bias' if self.bias else ''}"

    def constructor(self) -> str:
        channels, options = self.shape[0], self.geometry() | {"groups": str(self.shape[0])}
        return f"nn.Conv2d({arguments(channels, channels, text(self.kernel), bias=self.bias, **options)})"


class SeparableConv2d(nn.Module):
    """A depthwise convolution, then a 1 × 1 convolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.depth = nn.Conv2d(
            in_channels, in_channels, kernel_size, stride, padding, dilation, groups=in_channels, bias=False
        )
        self.point = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.point(self.depth(x))


@register_operation("separable")
@dataclass(frozen=True)
class Separable(Spatial):
    """A depthwise convolution, then a 1 × 1 convolution (Chollet 2017): y[o] = Σ_c p[o, c] (d[c] ⋆ x[c]) + b[o]."""

    role: ClassVar[str] = "separable"
    equation: ClassVar[str] = "y[o] = Σ_c p[o, c] (d[c] ⋆ x[c]) + b[o]"

    channels: Count = option(CONTEXT, "Number of output channels; default: those of the area.")

    def output(self) -> Shape:
        return (self.channels, *self.extent)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        depth, point = (self.shape[0], 1, *self.kernel), (self.channels, self.shape[0], 1, 1)
        bias = {"point.bias": (self.channels,)} if self.bias else {}
        return {"depth.weight": depth, "point.weight": point, **bias}

    def macs(self) -> int:
        places = self.extent[0] * self.extent[1]
        return places * self.shape[0] * (self.kernel[0] * self.kernel[1] + self.channels)

    def summary(self) -> str:
        return f"{self.words('separable conv')}{', bias' if self.bias else ''}"

    def constructor(self) -> str:
        given = arguments(self.shape[0], self.channels, text(self.kernel), bias=self.bias, **self.geometry())
        return f"SeparableConv2d({given})"


@register_operation("conv_transpose")
@dataclass(frozen=True)
class ConvTranspose(Operation):
    """Transposed convolution («deconvolution»): each input place adds its kernel to the output."""

    role: ClassVar[str] = "conv"
    equation: ClassVar[str] = "y[o, s·p + k − padding] += Σ_i w[i, o, k] x[i, p]"

    kernel: Square = option((3, 3), "Kernel size.", main=True)
    stride: Square = option((2, 2), "Factor by which the size grows.")
    padding: Border | None = option(None, "Rim cut from the result; default ⌈(kernel − stride) / 2⌉, and not below 0.")
    output_padding: Border | None = option(None, "Added at the lower right; default: so that the size grows by stride.")
    channels: Count = option(CONTEXT, "Number of output channels; default: those of the area.")
    bias: Flag = option(CONTEXT, "Learned bias; default: only where no norm follows.")

    @property
    def border(self) -> Pair:
        if self.padding is not None:
            return self.padding
        height, width = (max(0, -((s - k) // 2)) for s, k in zip(self.stride, self.kernel, strict=True))
        return height, width

    @property
    def rim(self) -> Pair:
        """The output padding that holds."""
        if self.output_padding is not None:
            return self.output_padding
        rims = (max(0, s + 2 * p - k) for s, p, k in zip(self.stride, self.border, self.kernel, strict=True))
        height, width = (rim if rim < s else 0 for rim, s in zip(rims, self.stride, strict=True))
        return height, width

    def output(self) -> Shape:
        height, width = (
            (n - 1) * s - 2 * p + k + r
            for n, s, p, k, r in zip(self.shape[1:], self.stride, self.border, self.kernel, self.rim, strict=True)
        )
        return (self.channels, height, width)

    def field(self, axis: int, place: int) -> Iterable[int]:
        return spread(self.shape[1 + axis], place + self.border[axis], self.stride[axis], self.kernel[axis])

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        weight = (self.shape[0], self.channels, *self.kernel)
        return {"weight": weight, "bias": (self.channels,)} if self.bias else {"weight": weight}

    def macs(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2] * self.channels * self.kernel[0] * self.kernel[1]

    def summary(self) -> str:
        return f"{by(self.kernel)} transposed conv, stride {text(self.stride)}{', bias' if self.bias else ''}"

    def geometry(self) -> dict[str, str]:
        """Arguments of a constructor that differ from torch's defaults."""
        pairs = {
            "stride": (self.stride, (1, 1)),
            "padding": (self.border, (0, 0)),
            "output_padding": (self.rim, (0, 0)),
        }
        return {name: text(pair) for name, (pair, default) in pairs.items() if pair != default}

    def constructor(self) -> str:
        given = arguments(self.shape[0], self.channels, text(self.kernel), bias=self.bias, **self.geometry())
        return f"nn.ConvTranspose2d({given})"

    @classmethod
    def problem(cls, options: Any, shape: Shape, context: Context) -> tuple[str, str] | None:
        rim, stride = options["output_padding"], options["stride"]
        if rim is not None and (rim[0] >= stride[0] or rim[1] >= stride[1]):
            return "`output_padding` must be smaller than `stride`", "Leave `output_padding` out."
        return None


def spread(n: int, place: int, stride: int, kernel: int) -> range:
    """The input places p of a transposed convolution with 0 ≤ place − stride · p < kernel."""
    return range(max(0, -((kernel - 1 - place) // stride)), min(n - 1, place // stride) + 1)
