"""Independent implementations of every operation and cell, from their equations: tests hold the modules to them.

Each class holds what is patched into an operation or cell while `independent` lasts, so that chains use it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import cos, exp, pi, sin
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cortexgraph.ops.activation import Activation
from cortexgraph.ops.base import Run, State
from cortexgraph.ops.cells.base import Simple
from cortexgraph.ops.cells.gated import ConvGRUCell, ConvLSTMCell, Gated, UGRNNCell
from cortexgraph.ops.cells.intersection import IntersectionRNNCell
from cortexgraph.ops.cells.leaky import LeakyCell
from cortexgraph.ops.cells.reciprocal import ReciprocalGatedCell
from cortexgraph.ops.channels import (
    MaxoutOperation,
    NormalisationPoolOperation,
    PadChannelsOperation,
    RadialBasisOperation,
)
from cortexgraph.ops.conv import Conv, ConvTranspose, Depthwise, Separable, Spatial, _extent, same_padding
from cortexgraph.ops.gabor import Gabor
from cortexgraph.ops.norm import BatchNorm, GroupNorm, LocalResponseNorm
from cortexgraph.ops.pooling import AveragePool, MaxPool, WindowPool
from cortexgraph.ops.readout import GlobalPool, Linear
from cortexgraph.ops.residual import ResidualOperation
from cortexgraph.ops.resize import Bilinear, Nearest, Pool, _along
from cortexgraph.ops.scaling import GainOperation, GateOperation
from cortexgraph.ops.simple import Dense, Dropout

Pair = tuple[int, int]
EPSILON = 1e-5
MOMENTUM = 0.1
"""Of the running statistics: the weight of the newest batch."""


def _relu(x: Tensor) -> Tensor:
    return x * (x > 0)


def _leaky_relu(x: Tensor) -> Tensor:
    return x * (x > 0) + 0.01 * x * (x <= 0)


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + (x / 2**0.5).erf())  # x Φ(x) (Hendrycks & Gimpel 2016)


def _elu(x: Tensor) -> Tensor:
    return x * (x > 0) + ((x * (x <= 0)).exp() - 1)  # Clevert et al. 2016, α = 1


def _softplus(x: Tensor) -> Tensor:
    return (x + x.abs()) / 2 + (-x.abs()).exp().log1p()  # log(1 + e^x) without overflow


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^−x), without overflow of its gradient: e^|x| never occurs."""
    positive = (x >= 0).to(x.dtype)
    small = ((1 - 2 * positive) * x).exp()
    return (positive + (1 - positive) * small) / (1 + small)


def tanh(x: Tensor) -> Tensor:
    return 2 * sigmoid(2 * x) - 1


def _saturating(x: Tensor) -> Tensor:
    return _relu(x) / (1 + _relu(x))  # half its maximum at x = 1 (Naka & Rushton 1966; Fukushima's 1980 ψ)


def convolve(
    x: Tensor, weight: Tensor, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1), groups: int = 1
) -> Tensor:
    """y[o] = Σ_i w[o, i] ⋆ x[i]: patches times weights, one product for each group."""
    kernel: Pair = (weight.shape[2], weight.shape[3])
    height, width = _extent((x.shape[2], x.shape[3]), kernel, stride, padding, dilation)
    patches = functional.unfold(x, kernel_size=kernel, dilation=dilation, padding=padding, stride=stride)
    patches = patches.reshape(len(x), groups, -1, height * width)
    kernels = weight.reshape(groups, len(weight) // groups, -1)
    return torch.einsum("goi,bgin->bgon", kernels, patches).reshape(len(x), len(weight), height, width)


def deconvolve(x: Tensor, weight: Tensor, *, stride: Pair, padding: Pair, size: Pair) -> Tensor:
    """Each input place adds its kernel to the output, of which `padding` is cut at the upper left."""
    kernel = (weight.shape[2], weight.shape[3])
    reach = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], stride, kernel, strict=True)]
    extent = [max(r, p + n) for r, p, n in zip(reach, padding, size, strict=True)]
    y = x.new_zeros(len(x), weight.shape[1], *extent)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            values = (x[:, :, None] * weight[None, :, :, i, j, None, None]).sum(1)
            rows = slice(i, i + (x.shape[2] - 1) * stride[0] + 1, stride[0])
            columns = slice(j, j + (x.shape[3] - 1) * stride[1] + 1, stride[1])
            y[:, :, rows, columns] = y[:, :, rows, columns] + values
    return y[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]


def _averaged(mean: Tensor, variance: Tensor, state: State) -> dict[str, Tensor]:
    return {
        "running_mean": (1 - MOMENTUM) * state["running_mean"] + MOMENTUM * mean,
        "running_var": (1 - MOMENTUM) * state["running_var"] + MOMENTUM * variance,
        "num_batches_tracked": state["num_batches_tracked"] + 1,
    }


def _framed(x: Tensor, padding: tuple[int, int, int, int], rim: float) -> Tensor:
    left, right, top, bottom = padding
    rows = [x.new_full((*x.shape[:2], n, x.shape[3]), rim) for n in (top, bottom)]
    x = torch.cat([rows[0], x, rows[1]], 2)
    columns = [x.new_full((*x.shape[:3], n), rim) for n in (left, right)]
    return torch.cat([columns[0], x, columns[1]], 3)


relu = _relu

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "gelu": _gelu,
    "elu": _elu,
    "silu": lambda x: x * sigmoid(x),
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": _softplus,
    "abs": lambda x: x * ((x > 0).to(x.dtype) - (x < 0).to(x.dtype)),
    "saturating": _saturating,
    "identity": lambda x: x,
}


class OfActivation:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        return FUNCTIONS[self.kind](x)


class OfSimple:
    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        return {"h": x}


class OfGated:
    def preactivations(self, x: Tensor, h: Tensor, state: State) -> dict[str, Tensor]:
        """W_x ∗ x + W_h ∗ h + b of each map, one by one."""
        channels, (weight, bias) = self.shape[0], (state["gates.weight"], state["gates.bias"])
        found = {}
        for index, name in enumerate(self.maps):
            rows = slice(index * channels, (index + 1) * channels)
            from_x = self.convolved(x, weight[rows, :channels])
            from_h = self.convolved(h, weight[rows, channels:])
            found[name] = from_x + from_h + bias[rows].reshape(1, -1, 1, 1)
        return found

    def convolved(self, x: Tensor, weight: Tensor) -> Tensor:
        """weight ∗ x, of the same height and width."""
        return convolve(x, weight, stride=(1, 1), padding=same_padding(self.kernel))


class OfConvGRUCell:
    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        h = carried["h"]
        w_r, w_z, w_n = state["input.weight"].tensor_split(3)
        u_r, u_z, u_n = state["state.weight"].tensor_split(3)
        b_r, b_z, b_n = state["input.bias"].reshape(1, -1, 1, 1).tensor_split(3, 1)
        r = sigmoid(self.convolved(x, w_r) + self.convolved(h, u_r) + b_r)
        z = sigmoid(self.convolved(x, w_z) + self.convolved(h, u_z) + b_z)
        n = tanh(self.convolved(x, w_n) + b_n + r * (self.convolved(h, u_n) + state["shift"].reshape(1, -1, 1, 1)))
        return {"h": (1 - z) * n + z * h}


class OfConvLSTMCell:
    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        a, old = self.preactivations(x, carried["h"], state), carried["c"]
        peepholes = state["peepholes"].reshape(1, -1, 1, 1) if self.peepholes else old.new_zeros(1, 3, 1, 1)
        p = peepholes.tensor_split(3, 1)
        c = sigmoid(a["f"] + p[1] * old) * old + sigmoid(a["i"] + p[0] * old) * tanh(a["g"])
        return {"h": sigmoid(a["o"] + p[2] * c) * tanh(c), "c": c}


class OfUGRNNCell:
    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        a = self.preactivations(x, carried["h"], state)
        g = sigmoid(a["g"] + self.forget_bias)
        return {"h": g * carried["h"] + (1 - g) * tanh(a["c"])}


class OfIntersectionRNNCell:
    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        m = carried["m"]
        a = self.preactivations(x, m, state)
        g_y, g_m = sigmoid(a["g_y"] + self.forget_bias), sigmoid(a["g_m"] + self.forget_bias)
        return {"h": g_y * x + (1 - g_y) * relu(a["y"]), "m": g_m * m + (1 - g_m) * tanh(a["m"])}


class OfLeakyCell:
    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        f = FUNCTIONS[self.activation]
        a: Any = 1 / (1 + (-state["alpha"].reshape(1, -1, 1, 1)).exp()) if self.learned else self.start
        g = 1 - a if self.rests else 1
        return {"h": f(a * carried["h"] + g * x)}


class OfReciprocalGatedCell:
    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        f, h, c = FUNCTIONS[self.activation], carried["h"], carried["c"]
        hh, hc = self._gates(h, "from_h", state)
        ch, cc = self._gates(c, "from_c", state)
        return {"h": f((1 - ch) * x + (1 - hh) * h), "c": f((1 - hc) * x + (1 - cc) * c)}

    def _gates(self, source: Tensor, owner: str, state: State) -> list[Tensor]:
        """σ(W ∗ source + b) of the two gates that a state controls."""
        maps = [self.convolved(source, weight) for weight in state[f"{owner}.weight"].tensor_split(2)]
        if self.bias:
            biases = state[f"{owner}.bias"].reshape(1, -1, 1, 1).tensor_split(2, 1)
            maps = [a + b for a, b in zip(maps, biases, strict=True)]
        return [sigmoid(a) for a in maps]


class OfPadChannelsOperation:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        zeros = x.new_zeros(len(x), self.channels - self.shape[0], *self.shape[1:])
        return torch.cat([x, zeros], 1)


class OfMaxoutOperation:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        pieces = x.reshape(len(x), self.pieces, *self.output())
        largest = (pieces == pieces.max(1, keepdim=True).values).to(x.dtype)  # ties share the gradient
        return (pieces * largest).sum(1) / largest.sum(1)


class OfNormalisationPoolOperation:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        rows, columns = self.kernel
        mean = x.new_ones(1, 1, rows, columns) / (rows * columns)
        power = x * x if self.order == 2 else x.abs()
        pooled = convolve(power.mean(1, keepdim=True), mean, stride=(1, 1), padding=same_padding(self.kernel))
        y = (pooled + 1e-5).sqrt() if self.order == 2 else pooled + 1e-5
        return torch.cat([y] * self.channels, 1)


class OfRadialBasisOperation:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        weight, (channels, height, width) = state["weight"], self.output()
        patches = x.unfold(2, self.kernel[0], 1).unfold(3, self.kernel[1], 1)  # [B, C, H', W', k, k]
        patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(len(x), height * width, 1, -1)
        distance = (patches - weight.reshape(1, 1, channels, -1)).square().sum(3)
        return (-distance / (2 * self.sigma**2)).exp().transpose(1, 2).reshape(len(x), channels, height, width)


class OfSpatial:
    def moved(self, x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
        """The kernel of this geometry moved over x."""
        return convolve(x, weight, stride=self.stride, padding=self.border, dilation=self.dilation, groups=groups)


class OfConv:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        y = self.moved(x, state["weight"], self.groups)
        return y + state["bias"].reshape(1, -1, 1, 1) if self.bias else y


class OfDepthwise:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        weight, bias = state["weight"], state.get("bias")
        y = torch.cat([self.moved(x[:, c : c + 1], weight[c : c + 1]) for c in range(len(weight))], 1)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)


class OfSeparable:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        depth, bias = state["depth.weight"], state.get("point.bias")
        y = torch.cat([self.moved(x[:, c : c + 1], depth[c : c + 1]) for c in range(len(depth))], 1)
        y = torch.einsum("oc,bchw->bohw", state["point.weight"][:, :, 0, 0], y)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)


class OfConvTranspose:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        y = deconvolve(x, state["weight"], stride=self.stride, padding=self.border, size=self.output()[1:])
        return y + state["bias"].reshape(1, -1, 1, 1) if self.bias else y


class OfGabor:
    def filters(self) -> list[list[list[float]]]:
        """The bank [channels, kernel height, kernel width]."""
        return [self._filter(n) for n in range(self.channels)]

    def _filter(self, n: int) -> list[list[float]]:
        angle = pi * (n // self.phases) / (self.channels // self.phases)
        phase = pi / 2 * (n % self.phases)
        rows = [y - (self.kernel[0] - 1) / 2 for y in range(self.kernel[0])]
        columns = [x - (self.kernel[1] - 1) / 2 for x in range(self.kernel[1])]
        values = [[self._value(x, y, angle, phase) for x in columns] for y in rows]
        mean = sum(map(sum, values)) / (len(rows) * len(columns))
        length = sum((value - mean) ** 2 for row in values for value in row) ** 0.5
        return [[(value - mean) / max(length, 1e-12) for value in row] for row in values]

    def _value(self, x: float, y: float, angle: float, phase: float) -> float:
        u, v = x * cos(angle) + y * sin(angle), -x * sin(angle) + y * cos(angle)
        envelope = exp(-(u**2 + (self.aspect * v) ** 2) / (2 * self.sigma_px**2))
        return envelope * cos(2 * pi * u / self.wavelength_px + phase)

    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        weight = x.new_tensor(self.filters())[:, None]
        return convolve(x.mean(1, keepdim=True), weight, stride=self.stride, padding=same_padding(self.kernel))


class OfBatchNorm:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        if run.training:
            mean = x.mean((0, 2, 3))
            variance = x.var((0, 2, 3), unbiased=False)
            values = x.numel() // x.shape[1]
            run.take(partial(_averaged, mean.detach(), variance.detach() * values / (values - 1)))
        else:
            mean, variance = state["running_mean"], state["running_var"]
        mean, variance, scale, shift = (
            v.reshape(1, -1, 1, 1) for v in (mean, variance, state["weight"], state["bias"])
        )
        return (x - mean) / (variance + EPSILON).sqrt() * scale + shift


class OfGroupNorm:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        grouped = x.reshape(len(x), self.groups, -1)
        mean, variance = grouped.mean(2, keepdim=True), grouped.var(2, keepdim=True, unbiased=False)
        y = ((grouped - mean) / (variance + EPSILON).sqrt()).reshape(x.shape)
        return y * state["weight"].reshape(1, -1, 1, 1) + state["bias"].reshape(1, -1, 1, 1)


class OfLocalResponseNorm:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        reach, channels = self.neighbours // 2, x.shape[1]
        spans = [slice(max(0, c - reach), min(channels, c + reach + 1)) for c in range(channels)]
        energy = torch.stack([x[:, span].square().sum(1) for span in spans], 1)
        return x / (self.k + self.alpha / self.neighbours * energy) ** self.beta


class OfWindowPool:
    def windows(self, x: Tensor, rim: float) -> Tensor:
        """The values under each window, [B, C, H', W', kernel]."""
        padding = (self.padding[1], self.padding[1], self.padding[0], self.padding[0])
        framed = _framed(x, padding, rim)
        patches = framed.unfold(2, self.kernel[0], self.step[0]).unfold(3, self.kernel[1], self.step[1])
        return patches.reshape(*patches.shape[:4], -1)


class OfMaxPool:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        values = self.windows(x, float("-inf"))
        return values.gather(4, values.argmax(4, keepdim=True))[..., 0]


class OfAveragePool:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        return self.windows(x, 0.0).mean(4)


class OfGlobalPool:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        places = x.reshape(*x.shape[:2], -1)
        match self.mode:
            case "avg":
                return places.mean(2)
            case "max":
                return places.max(2).values
        return places.reshape(len(x), -1)


class OfLinear:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        return (x.unsqueeze(1) * state["weight"]).sum(2) + state["bias"]


class OfResidualOperation:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        return state["body"] + state["shortcut"]


class OfNearest:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        rows = [i * x.shape[2] // self.size[0] for i in range(self.size[0])]
        columns = [j * x.shape[3] // self.size[1] for j in range(self.size[1])]
        return x[:, :, rows][:, :, :, columns]


class OfBilinear:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        for axis, size in zip((2, 3), self.size, strict=True):
            left, right, share = zip(*_along(x.shape[axis], size), strict=True)
            weight = x.new_tensor(share).reshape((-1, 1) if axis == 2 else (-1,))
            a, b = (x.index_select(axis, x.new_tensor(k).long()) for k in (left, right))
            x = a * (1 - weight) + b * weight
        return x


class OfPool:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        def windows(n: int, size: int) -> list[slice]:
            return [slice(i * n // size, -(-(i + 1) * n // size)) for i in range(size)]

        rows, columns = (windows(n, size) for n, size in zip(x.shape[2:], self.size, strict=True))
        return torch.stack([torch.stack([x[:, :, r, c].mean((2, 3)) for c in columns], -1) for r in rows], -2)


class OfGainOperation:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        return x * (state["weight"] if self.value is None else self.value)


class OfGateOperation:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        match self.kind:
            case "linear":
                return 1 + x
            case "tanh":
                return 1 + tanh(x)
            case "divisive":
                return 1 / (1 + x)
        return 2 * sigmoid(x)


class OfDropout:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        # The one operation whose reference is torch's own: its meaning is the draw.
        drop = functional.dropout2d if self.channels else functional.dropout
        return drop(x, self.p, run.training)


class OfDense:
    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        y = (x.reshape(len(x), 1, -1) * state["weight"]).sum(2)
        return (y + state["bias"] if self.bias else y)[:, :, None, None]


INDEPENDENT: dict[type, type] = {
    Activation: OfActivation,
    Simple: OfSimple,
    Gated: OfGated,
    ConvGRUCell: OfConvGRUCell,
    ConvLSTMCell: OfConvLSTMCell,
    UGRNNCell: OfUGRNNCell,
    IntersectionRNNCell: OfIntersectionRNNCell,
    LeakyCell: OfLeakyCell,
    ReciprocalGatedCell: OfReciprocalGatedCell,
    PadChannelsOperation: OfPadChannelsOperation,
    MaxoutOperation: OfMaxoutOperation,
    NormalisationPoolOperation: OfNormalisationPoolOperation,
    RadialBasisOperation: OfRadialBasisOperation,
    Spatial: OfSpatial,
    Conv: OfConv,
    Depthwise: OfDepthwise,
    Separable: OfSeparable,
    ConvTranspose: OfConvTranspose,
    Gabor: OfGabor,
    BatchNorm: OfBatchNorm,
    GroupNorm: OfGroupNorm,
    LocalResponseNorm: OfLocalResponseNorm,
    WindowPool: OfWindowPool,
    MaxPool: OfMaxPool,
    AveragePool: OfAveragePool,
    GlobalPool: OfGlobalPool,
    Linear: OfLinear,
    ResidualOperation: OfResidualOperation,
    Nearest: OfNearest,
    Bilinear: OfBilinear,
    Pool: OfPool,
    GainOperation: OfGainOperation,
    GateOperation: OfGateOperation,
    Dropout: OfDropout,
    Dense: OfDense,
}


@contextmanager
def independent() -> Iterator[None]:
    """Operations and cells compute by these implementations in place of their modules."""
    with pytest.MonkeyPatch.context() as patch:
        for operation, implementation in INDEPENDENT.items():
            for name, method in vars(implementation).items():
                if not name.startswith("__"):
                    patch.setattr(operation, name, method, raising=False)
        yield
