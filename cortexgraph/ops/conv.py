"""Layers with weights: convolutions (plain, depthwise, separable, transposed), fully connected ones, and tied ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

from cortexgraph.ops.base import CONTEXT, Constructor, Fault, Operation, Pair, Shape, call, option, text
from cortexgraph.ops.registry import register_operation
from cortexgraph.ops.torch_names import F, Tensor, nn
from cortexgraph.ops.windows import Windowed, same_padding
from cortexgraph.spec.fields import Border, Count, Flag, Square
from cortexgraph.wording import by

KERNEL = "Kernel size."
STRIDE = "Stride; default 1, or what takes the source to the target's size."
CHANNELS = "Number of output channels; default: those of the area."
BIAS = "Learned bias; default: only where no norm follows."


# ---- weights that follow from learned ones ------------------------------------------


class Reweighted(nn.Module):
    """A layer that uses, of its learned weight v, |v| (`positive`), or g v / ‖v‖ for each output channel (`scaled`)."""

    weight: Tensor
    output_axis = 0

    def __init__(self, *sizes: Any, positive: bool = False, scaled: bool = False, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.positive = positive
        self.scale = nn.Parameter(self.norms().detach()) if scaled else None

    def norms(self) -> Tensor:
        return self.weight.transpose(0, self.output_axis).flatten(1).norm(dim=1)

    def used(self) -> Tensor:
        weight, scale = self.weight, self.scale
        if scale is not None:
            shape = [-1 if axis == self.output_axis else 1 for axis in range(weight.ndim)]
            weight = weight * (scale / self.norms()).reshape(shape)
        return weight.abs() if self.positive else weight

    def rescale(self) -> None:
        if self.scale is not None:
            self.scale.data.copy_(self.norms())


class ReweightedConv2d(Reweighted, nn.Conv2d):
    """A convolution whose weight follows from the learned one."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.used(), self.bias, self.stride, self.padding, self.dilation, self.groups)


class ReweightedConvTranspose2d(Reweighted, nn.ConvTranspose2d):
    """A transposed convolution whose weight follows from the learned one."""

    output_axis = 1

    def forward(self, x: Tensor) -> Tensor:
        geometry: Any = (self.stride, self.padding, self.output_padding)
        return F.conv_transpose2d(x, self.used(), self.bias, *geometry)


class ReweightedFullyConnected(Reweighted, nn.Linear):
    """A linear layer over channels and space whose weight follows from the learned one."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.used(), self.bias)[:, :, None, None]


@dataclass(frozen=True, kw_only=True)
class Weighted(Operation):
    """Base of the layers whose weight may follow from the learned one."""

    weight_norm: Flag = option(False, "Whether the weight is g v / ‖v‖ for each output channel, with a learned g.")
    positive: Flag = option(False, "Whether the weight is |v|, as under a `sign`.")

    def rises(self) -> bool:
        return self.positive

    def reweighted(self, plain: Constructor) -> Constructor:
        """The constructor of the layer, from that of the layer that uses the learned weight as it is."""
        if not (self.positive or self.weight_norm):
            return plain
        sizes = [value for name, value in plain.arguments if not name]
        options: dict[str, tuple[object, object]] = {name: (value, None) for name, value in plain.arguments if name}
        options |= {"positive": (self.positive, False), "scaled": (self.weight_norm, False)}
        return call(f"Reweighted{plain.name.removeprefix('nn.')}", *sizes, **options)

    def others(self, channels: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """The shapes of its parameters beside the weight: the bias and the learned norms g, as far as it has them."""
        return {name: (channels,) for name, has in (("bias", bias), ("scale", self.weight_norm)) if has}

    def extras(self) -> list[str]:
        """What the summary says of the weight."""
        return ["weight norm"] * self.weight_norm + ["weights of one sign"] * self.positive


# ---- convolutions -------------------------------------------------------------------


@dataclass(frozen=True)
class Spatial(Windowed):
    """Base of the convolutions with a stride.

    Attributes:
        name: in summaries.
        module: name of the torch module.
    """

    name: ClassVar[str]
    module: ClassVar[str] = "nn.Conv2d"

    kernel: Square = option((3, 3), KERNEL, main=True)
    stride: Square = option(CONTEXT, STRIDE)
    dilation: Square = option((1, 1), "Distance between the kernel's points.")
    padding: Border | None = option(None, "Zeros around the input; default ⌊dilation · (kernel − 1) / 2⌋.")
    bias: Flag = option(CONTEXT, BIAS)

    @property
    def border(self) -> Pair:
        """The padding that holds."""
        return self.padding if self.padding is not None else same_padding(self.kernel, self.dilation)

    def geometry(self) -> tuple[Pair, Pair, Pair, Pair]:
        return self.kernel, self.stride, self.border, self.dilation

    def arguments(self) -> dict[str, tuple[object, object]]:
        """Arguments of the constructor behind the kernel, with torch's defaults."""
        return {"stride": (self.stride, 1), "padding": (self.border, 0), "dilation": (self.dilation, 1)}

    def constructor(self) -> Constructor:
        sizes = (self.shape[0], self.outputs, self.kernel)
        return call(self.module, *sizes, **self.arguments(), bias=(self.bias, True))

    def summary(self) -> str:
        pairs = {"stride": self.stride, "dilation": self.dilation}
        geometry = [f"{name} {text(pair)}" for name, pair in pairs.items() if pair != (1, 1)]
        return ", ".join([f"{by(self.kernel)} {self.name}", *geometry, *self.notes(), *["bias"] * self.bias])

    def notes(self) -> list[str]:
        """Further words of the summary."""
        return []


@register_operation("conv")
@dataclass(frozen=True)
class Conv(Weighted, Spatial):
    """Convolution: y[o] = Σ_i w[o, i] ⋆ x[i] + b[o], padded with zeros."""

    equation: ClassVar[str] = "y[o] = Σ_i w[o, i] ⋆ x[i] + b[o]"
    name: ClassVar[str] = "conv"

    channels: Count = option(CONTEXT, CHANNELS)
    groups: Count = option(1, "Number of channel groups that do not see each other.")

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        weight = (self.channels, self.shape[0] // self.groups, *self.kernel)
        return {"weight": weight, **self.others(self.channels, self.bias)}

    def constructor(self) -> Constructor:
        return self.reweighted(super().constructor())

    def arguments(self) -> dict[str, tuple[object, object]]:
        return {**super().arguments(), "groups": (self.groups, 1)}

    def notes(self) -> list[str]:
        return [f"{self.groups} groups"] * (self.groups != 1) + self.extras()

    def shared(self, owner: str, same: bool) -> str:
        if same:
            return super().shared(owner, same)
        stride = (self.stride, None)  # always written: it says that the geometry is its own
        return call("Shared", f"self.{owner}", **self.arguments() | {"stride": stride})

    def transposed(self, shape: Shape, size: Pair) -> ConvTranspose | None:
        """Its transpose: from its output to its input, of this size, without bias.

        The result has no places where the transpose does not reach that size. None for a dilated convolution, and for
        one with groups or weight norm.
        """
        if self.dilation != (1, 1) or self.groups != 1 or self.weight_norm:
            return None
        height, width = (
            size - ((n - 1) * s - 2 * p + k)
            for size, n, s, p, k in zip(size, shape[1:], self.stride, self.border, self.kernel, strict=True)
        )
        rim, channels = (height, width), self.shape[0]
        transposed = ConvTranspose(shape, self.kernel, self.stride, self.border, rim, channels, bias=False)
        return replace(transposed, positive=self.positive)


@register_operation("depthwise")
@dataclass(frozen=True)
class Depthwise(Weighted, Spatial):
    """Each channel with its own kernel: y[c] = w[c] ⋆ x[c] + b[c]."""

    equation: ClassVar[str] = "y[c] = w[c] ⋆ x[c] + b[c]"
    name: ClassVar[str] = "depthwise conv"

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (self.shape[0], 1, *self.kernel), **self.others(self.shape[0], self.bias)}

    def arguments(self) -> dict[str, tuple[object, object]]:
        return {**super().arguments(), "groups": (self.shape[0], None)}

    def constructor(self) -> Constructor:
        return self.reweighted(super().constructor())

    def notes(self) -> list[str]:
        return self.extras()


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

    equation: ClassVar[str] = "y[o] = Σ_c p[o, c] (d[c] ⋆ x[c]) + b[o]"
    name: ClassVar[str] = "separable conv"
    module: ClassVar[str] = "SeparableConv2d"

    channels: Count = option(CONTEXT, CHANNELS)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        depth, point = (self.shape[0], 1, *self.kernel), (self.channels, self.shape[0], 1, 1)
        bias = {"point.bias": (self.channels,)} if self.bias else {}
        return {"depth.weight": depth, "point.weight": point, **bias}


@register_operation("conv_transpose")
@dataclass(frozen=True)
class ConvTranspose(Weighted):
    """Transposed convolution («deconvolution»): each input place adds its kernel to the output."""

    former_role: ClassVar[str] = "conv"
    equation: ClassVar[str] = "y[o, s·p + k − padding] += Σ_i w[i, o, k] x[i, p]"

    kernel: Square = option((3, 3), KERNEL, main=True)
    stride: Square = option((2, 2), "Factor by which the size grows.")
    padding: Border | None = option(None, "Rim cut from the result; default ⌈(kernel − stride) / 2⌉, and not below 0.")
    output_padding: Border | None = option(None, "Added at the lower right; default: so that the size grows by stride.")
    channels: Count = option(CONTEXT, CHANNELS)
    bias: Flag = option(CONTEXT, BIAS)

    @property
    def border(self) -> Pair:
        """The padding that holds."""
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

    @property
    def reaches(self) -> bool:
        """Whether the output padding is one that torch takes."""
        return all(0 <= rim < stride for rim, stride in zip(self.rim, self.stride, strict=True))

    def faults(self) -> Iterator[Fault]:
        if not self.reaches:
            yield "`output_padding` must be smaller than `stride`", "Leave `output_padding` out."

    def output(self) -> Shape:
        height, width = (
            (n - 1) * s - 2 * p + k + r
            for n, s, p, k, r in zip(self.shape[1:], self.stride, self.border, self.kernel, self.rim, strict=True)
        )
        return (self.channels, height, width) if self.reaches else (self.channels, 0, 0)

    def field(self, axis: int, place: int) -> Iterable[int]:
        """The input places p with 0 ≤ place + padding − stride · p < kernel."""
        place, stride, kernel = place + self.border[axis], self.stride[axis], self.kernel[axis]
        return range(max(0, -((kernel - 1 - place) // stride)), min(self.shape[1 + axis] - 1, place // stride) + 1)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        weight = (self.shape[0], self.channels, *self.kernel)
        return {"weight": weight, **self.others(self.channels, self.bias)}

    def macs(self) -> int:
        return prod((*self.shape, self.channels, *self.kernel))

    def summary(self) -> str:
        stride = [f"stride {text(self.stride)}"] * (self.stride != (1, 1))
        return ", ".join([f"{by(self.kernel)} transposed conv", *stride, *self.extras(), *["bias"] * self.bias])

    def arguments(self) -> dict[str, tuple[object, object]]:
        """Stride and paddings of the constructor, with torch's defaults."""
        return {"stride": (self.stride, 1), "padding": (self.border, 0), "output_padding": (self.rim, 0)}

    def constructor(self) -> str:
        sizes = (self.shape[0], self.channels, self.kernel)
        return self.reweighted(call("nn.ConvTranspose2d", *sizes, **self.arguments(), bias=(self.bias, True)))

    def shared(self, owner: str, same: bool) -> str:
        return super().shared(owner, same) if same else call("SharedTransposed", f"self.{owner}", **self.arguments())


# ---- fully connected layers ------------------------------------------------------


class FullyConnected(nn.Linear):
    """A linear layer over channels and space, [B, C, H, W] to [B, units, 1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))[:, :, None, None]


@register_operation("linear")
@dataclass(frozen=True)
class Dense(Weighted):
    """A fully connected layer over channels and space: y[o] = Σ_i W[o, i] x[i] + b[o]; the result has size 1 × 1."""

    equation: ClassVar[str] = "y = W x + b"

    channels: Count = option(CONTEXT, "Number of units; default: the channels of the area.", main=True, example=128)
    bias: Flag = option(CONTEXT, BIAS)

    def output(self) -> Shape:
        return (self.channels, 1, 1)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (self.channels, prod(self.shape)), **self.others(self.channels, self.bias)}

    def field(self, axis: int, place: int) -> Iterable[int]:
        return range(self.shape[1 + axis])

    def summary(self) -> str:
        return ", ".join([f"linear to {self.channels}", *self.extras(), *["bias"] * self.bias])

    def constructor(self) -> str:
        return self.reweighted(call("FullyConnected", prod(self.shape), self.channels, bias=(self.bias, True)))


@dataclass(frozen=True)
class Linear(Dense):
    """The classifier of a readout, from its pooled state [B, inputs] to [B, classes]."""

    bias: bool = True

    def summary(self) -> str:
        return f"linear to {self.channels}"

    def constructor(self) -> str:
        return call("nn.Linear", prod(self.shape), self.channels)


# ---- with the parameters of another connection ------------------------------------


class Shared(nn.Module):
    """An operation of another connection, used again; a convolution may have another geometry."""

    stepwise = True

    def __init__(self, owner: Any, **geometry: Any) -> None:
        super().__init__()
        self.owner, self.geometry = (owner,), geometry  # a tuple: the parameters stay the owner's

    def at(self, update: int) -> Any:
        return self.owner[0].at(update) if hasattr(self.owner[0], "at") else self.owner[0]

    def weight(self, update: int) -> Tensor:
        module = self.at(update)
        return module.used() if hasattr(module, "used") else module.weight

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        module = self.at(update)
        return F.conv2d(x, self.weight(update), module.bias, **self.geometry) if self.geometry else module(x)


class SharedTransposed(Shared):
    """The transpose of another connection's convolution, without bias."""

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        return F.conv_transpose2d(x, self.weight(update), **self.geometry)
