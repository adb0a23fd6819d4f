"""Independent implementations of every operation and cell, from their equations: tests hold the modules to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import cos, exp, pi, sin
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cortexgraph.ops import (
    Activation,
    BatchNorm,
    Cell,
    Conv,
    ConvTranspose,
    GainOperation,
    GateOperation,
    GlobalPool,
    GroupNorm,
    Linear,
    Operation,
    Simple,
    Spatial,
    evaluate,
)
from cortexgraph.ops.cells import (
    ConvGRUCell,
    ConvLSTMCell,
    Gated,
    IntersectionRNNCell,
    LeakyCell,
    ReciprocalGatedCell,
    UGRNNCell,
)
from cortexgraph.ops.channels import (
    MaxoutOperation,
    NormalisationPoolOperation,
    PadChannelsOperation,
    RadialBasisOperation,
)
from cortexgraph.ops.conv import Dense, Depthwise, Separable, Weighted
from cortexgraph.ops.elementwise import Clamp, Dropout, Noise, Power
from cortexgraph.ops.evaluate import State, StatisticsMove
from cortexgraph.ops.gabor import Gabor
from cortexgraph.ops.norm import LocalResponseNorm
from cortexgraph.ops.residual import ProductOperation, ResidualOperation
from cortexgraph.ops.windows import Antialiased, AveragePool, Bilinear, MaxPool, Nearest, Pad, Pool, WindowPool

REFERENCES: dict[type, Callable[..., Any]] = {}
"""Of each operation, from (operation, x, entries, training) to its result, and the move of its running statistics if
it has any; of each cell, from (cell, x, carried, entries) to its new states."""

Implementation = TypeVar("Implementation", bound=Callable[..., Any])


def reference_of(component: type) -> Callable[[Implementation], Implementation]:
    """Decorator: this function is the independent implementation of an operation or cell."""

    def add(implementation: Implementation) -> Implementation:
        REFERENCES[component] = implementation
        return implementation

    return add


def reference_operation(
    operation: Operation, x: Tensor, entries: State, training: bool, update: int = 1
) -> tuple[Tensor, StatisticsMove | None]:
    """What `evaluate_operation` gives, by the independent implementation."""
    counted = [update] if operation.counts() else []
    result = REFERENCES[type(operation)](operation, x, entries, training, *counted)
    return result if isinstance(result, tuple) else (result, None)


def reference_cell(cell: Cell, x: Tensor, carried: State, entries: State, training: bool) -> dict[str, Tensor]:
    """What `evaluate_cell` gives, by the independent implementation."""
    states: dict[str, Tensor] = REFERENCES[type(cell)](cell, x, carried, entries)
    return states


@contextmanager
def independent() -> Iterator[None]:
    """Chains, operations and cells are evaluated by these implementations in place of their modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "evaluate_operation", reference_operation)
        patch.setattr(evaluate, "evaluate_cell", reference_cell)
        yield


# ---- arithmetic ------------------------------------------------------------------

Pair = tuple[int, int]


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
    height, width = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(x.shape[2:], padding, dilation, kernel, stride, strict=True)
    )
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


def standardised(op: BatchNorm, x: Tensor, entries: State, training: bool) -> tuple[Tensor, StatisticsMove | None]:
    """(x − μ) / √(σ² + ε) for each channel, and in training the move of the running statistics."""
    move = None
    mean, variance = entries["running_mean"], entries["running_var"]
    if training:
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        values = x.numel() // x.shape[1]
        move = partial(_moved_statistics, op.momentum, mean.detach(), variance.detach() * values / (values - 1))
    return (x - mean.reshape(1, -1, 1, 1)) / (variance.reshape(1, -1, 1, 1) + op.eps).sqrt(), move


def _moved_statistics(newest: float, mean: Tensor, variance: Tensor, old: State) -> dict[str, Tensor]:
    return {
        "running_mean": (1 - newest) * old["running_mean"] + newest * mean,
        "running_var": (1 - newest) * old["running_var"] + newest * variance,
        "num_batches_tracked": old["num_batches_tracked"] + 1,
    }


def _framed(x: Tensor, padding: tuple[int, int, int, int], rim: float) -> Tensor:
    left, right, top, bottom = padding
    rows = [x.new_full((*x.shape[:2], n, x.shape[3]), rim) for n in (top, bottom)]
    x = torch.cat([rows[0], x, rows[1]], 2)
    columns = [x.new_full((*x.shape[:3], n), rim) for n in (left, right)]
    return torch.cat([columns[0], x, columns[1]], 3)


def same_padding(kernel: Pair) -> Pair:
    return ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)


def _along(n: int, size: int) -> list[tuple[int, int, float]]:
    """For each output place along one axis: left neighbour, right neighbour, weight of the right one."""
    places = []
    for i in range(size):
        at = max((i + 0.5) * n / size - 0.5, 0.0)
        left = min(int(at), n - 1)
        places.append((left, min(left + 1, n - 1), at - left))
    return places


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
    "square": lambda x: x * x,
    "complement": lambda x: 1 - x,
    "identity": lambda x: x,
}


# ---- operations


@reference_of(Activation)
def activation(op: Activation, x: Tensor, entries: State, training: bool) -> Tensor:
    return FUNCTIONS[op.kind](x)


@reference_of(Power)
def power(op: Power, x: Tensor, entries: State, training: bool) -> Tensor:
    if op.exponent > 0 and op.exponent == int(op.exponent):
        y = x + op.eps
        for _ in range(int(op.exponent) - 1):
            y = y * (x + op.eps)
        return y
    base = _relu(x) + op.eps
    positive = (base > 0).to(x.dtype)
    return positive * (op.exponent * (base + (1 - positive)).log()).exp()


@reference_of(Clamp)
def clamp(op: Clamp, x: Tensor, entries: State, training: bool) -> Tensor:
    low, high = (float("-inf") if op.min is None else op.min), (float("inf") if op.max is None else op.max)
    inside = ((x >= low) & (x <= high)).to(x.dtype)
    beyond = (x < low).to(x.dtype) * (op.min or 0.0) + (x > high).to(x.dtype) * (op.max or 0.0)
    return x * inside + beyond


@reference_of(PadChannelsOperation)
def pad_channels(op: PadChannelsOperation, x: Tensor, entries: State, training: bool) -> Tensor:
    zeros = x.new_zeros(len(x), op.channels - op.shape[0], *op.shape[1:])
    return torch.cat([x, zeros], 1)


@reference_of(MaxoutOperation)
def maxout(op: MaxoutOperation, x: Tensor, entries: State, training: bool) -> Tensor:
    pieces = x.reshape(len(x), op.pieces, *op.output())
    largest = (pieces == pieces.max(1, keepdim=True).values).to(x.dtype)  # ties share the gradient
    return (pieces * largest).sum(1) / largest.sum(1)


@reference_of(NormalisationPoolOperation)
def normalisation_pool(op: NormalisationPoolOperation, x: Tensor, entries: State, training: bool) -> Tensor:
    rows, columns = op.kernel
    mean = x.new_ones(1, 1, rows, columns) / (rows * columns)
    power = x * x if op.order == 2 else x.abs()
    pooled = convolve(power.mean(1, keepdim=True), mean, stride=(1, 1), padding=same_padding(op.kernel))
    y = (pooled + 1e-5).sqrt() if op.order == 2 else pooled + 1e-5
    return torch.cat([y] * op.channels, 1)


@reference_of(RadialBasisOperation)
def radial_basis(op: RadialBasisOperation, x: Tensor, entries: State, training: bool) -> Tensor:
    weight, (channels, height, width) = entries["weight"], op.output()
    patches = x.unfold(2, op.kernel[0], 1).unfold(3, op.kernel[1], 1)  # [B, C, H', W', k, k]
    patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(len(x), height * width, 1, -1)
    distance = (patches - weight.reshape(1, 1, channels, -1)).square().sum(3)
    return (-distance / (2 * op.sigma**2)).exp().transpose(1, 2).reshape(len(x), channels, height, width)


def moved(op: Spatial, x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """The kernel of this geometry moved over x."""
    return convolve(x, weight, stride=op.stride, padding=op.border, dilation=op.dilation, groups=groups)


def weight_of(op: Weighted, entries: State, axis: int = 0) -> Tensor:
    """|v|, and g v / ‖v‖ with one norm for each index along the axis of output channels (Salimans & Kingma 2016)."""
    weight = entries["weight"]
    scales = [entries["scale"][n] if op.weight_norm else None for n in range(weight.shape[axis])]
    parts = []
    for part, scale in zip(weight.unbind(axis), scales, strict=True):
        normed = part if scale is None else scale * part / part.square().sum().sqrt()
        parts.append(normed * normed.sign() if op.positive else normed)
    return torch.stack(parts, axis)


@reference_of(Conv)
def conv(op: Conv, x: Tensor, entries: State, training: bool) -> Tensor:
    y = moved(op, x, weight_of(op, entries), op.groups)
    return y + entries["bias"].reshape(1, -1, 1, 1) if op.bias else y


@reference_of(Depthwise)
def depthwise(op: Depthwise, x: Tensor, entries: State, training: bool) -> Tensor:
    weight, bias = weight_of(op, entries), entries.get("bias")
    y = torch.cat([moved(op, x[:, c : c + 1], weight[c : c + 1]) for c in range(len(weight))], 1)
    return y if bias is None else y + bias.reshape(1, -1, 1, 1)


@reference_of(Separable)
def separable(op: Separable, x: Tensor, entries: State, training: bool) -> Tensor:
    depth, bias = entries["depth.weight"], entries.get("point.bias")
    y = torch.cat([moved(op, x[:, c : c + 1], depth[c : c + 1]) for c in range(len(depth))], 1)
    y = torch.einsum("oc,bchw->bohw", entries["point.weight"][:, :, 0, 0], y)
    return y if bias is None else y + bias.reshape(1, -1, 1, 1)


@reference_of(ConvTranspose)
def conv_transpose(op: ConvTranspose, x: Tensor, entries: State, training: bool) -> Tensor:
    y = deconvolve(x, weight_of(op, entries, 1), stride=op.stride, padding=op.border, size=op.output()[1:])
    return y + entries["bias"].reshape(1, -1, 1, 1) if op.bias else y


def filters(op: Gabor) -> list[list[list[float]]]:
    """The bank [channels, kernel height, kernel width]."""
    return [_filter(op, n) for n in range(op.channels)]


def _filter(op: Gabor, n: int) -> list[list[float]]:
    angle = pi * (n // op.phases) / (op.channels // op.phases)
    phase = pi / 2 * (n % op.phases)
    rows = [y - (op.kernel[0] - 1) / 2 for y in range(op.kernel[0])]
    columns = [x - (op.kernel[1] - 1) / 2 for x in range(op.kernel[1])]
    values = [[_value(op, x, y, angle, phase) for x in columns] for y in rows]
    mean = sum(map(sum, values)) / (len(rows) * len(columns))
    length = sum((value - mean) ** 2 for row in values for value in row) ** 0.5
    return [[(value - mean) / max(length, 1e-12) for value in row] for row in values]


def _value(op: Gabor, x: float, y: float, angle: float, phase: float) -> float:
    u, v = x * cos(angle) + y * sin(angle), -x * sin(angle) + y * cos(angle)
    envelope = exp(-(u**2 + (op.aspect * v) ** 2) / (2 * op.sigma_px**2))
    return envelope * cos(2 * pi * u / op.wavelength_px + phase)


@reference_of(Gabor)
def gabor(op: Gabor, x: Tensor, entries: State, training: bool) -> Tensor:
    weight = x.new_tensor(filters(op))[:, None]
    return convolve(x.mean(1, keepdim=True), weight, stride=op.stride, padding=same_padding(op.kernel))


@reference_of(BatchNorm)
def batch_norm(op: BatchNorm, x: Tensor, entries: State, training: bool) -> Any:
    y, move = standardised(op, x, entries, training)
    scale, shift = (entries[name].reshape(1, -1, 1, 1) for name in ("weight", "bias"))
    return y * scale + shift, move


@reference_of(GroupNorm)
def group_norm(op: GroupNorm, x: Tensor, entries: State, training: bool) -> Tensor:
    grouped = x.reshape(len(x), op.groups, -1)
    mean, variance = grouped.mean(2, keepdim=True), grouped.var(2, keepdim=True, unbiased=False)
    y = ((grouped - mean) / (variance + op.eps).sqrt()).reshape(x.shape)
    return y * entries["weight"].reshape(1, -1, 1, 1) + entries["bias"].reshape(1, -1, 1, 1)


@reference_of(LocalResponseNorm)
def local_response_norm(op: LocalResponseNorm, x: Tensor, entries: State, training: bool) -> Tensor:
    reach, channels = op.neighbours // 2, x.shape[1]
    spans = [slice(max(0, c - reach), min(channels, c + reach + 1)) for c in range(channels)]
    energy = torch.stack([x[:, span].square().sum(1) for span in spans], 1)
    return x / (op.k + op.alpha / op.neighbours * energy) ** op.beta


def windows(op: WindowPool, x: Tensor, rim: float) -> Tensor:
    """The values under each window, [B, C, H', W', kernel]."""
    padding = (op.padding[1], op.padding[1], op.padding[0], op.padding[0])
    framed = _framed(x, padding, rim)
    beyond = [
        max(0, (n - 1) * s + k - m) for n, s, k, m in zip(op.extent, op.step, op.kernel, framed.shape[2:], strict=True)
    ]
    framed = _framed(framed, (0, beyond[1], 0, beyond[0]), float("nan") if rim == 0 else rim)  # of `ceil_mode`
    patches = framed.unfold(2, op.kernel[0], op.step[0]).unfold(3, op.kernel[1], op.step[1])
    return patches.reshape(*patches.shape[:4], -1)


@reference_of(MaxPool)
def max_pool(op: MaxPool, x: Tensor, entries: State, training: bool) -> Tensor:
    values = windows(op, x, float("-inf"))
    return values.gather(4, values.argmax(4, keepdim=True))[..., 0]


@reference_of(AveragePool)
def average_pool(op: AveragePool, x: Tensor, entries: State, training: bool) -> Tensor:
    values = windows(op, x, 0.0)
    counted = ~values.isnan()
    return values.where(counted, values.new_zeros(())).sum(4) / counted.sum(4)


@reference_of(Pad)
def pad(op: Pad, x: Tensor, entries: State, training: bool) -> Tensor:
    if op.mode == "zeros":
        return _framed(x, (op.rim[1], op.rim[1], op.rim[0], op.rim[0]), 0.0)
    places = []
    for n, rim in zip(x.shape[2:], op.rim, strict=True):
        rows = [*range(n)]
        before, after = (rows[1 : rim + 1][::-1], rows[-rim - 1 : -1][::-1]) if rim else ([], [])
        places.append([*before, *rows, *after] if op.mode == "reflect" else [0] * rim + rows + [n - 1] * rim)
    return x[:, :, places[0]][:, :, :, places[1]]


@reference_of(GlobalPool)
def global_pool(op: GlobalPool, x: Tensor, entries: State, training: bool) -> Tensor:
    places = x.reshape(*x.shape[:2], -1)
    match op.mode:
        case "avg":
            return places.mean(2)[:, :, None, None]
        case "max":
            return places.max(2).values[:, :, None, None]
    return x


@reference_of(Linear)
def linear(op: Linear, x: Tensor, entries: State, training: bool) -> Tensor:
    return (x.unsqueeze(1) * entries["weight"]).sum(2) + entries["bias"]


@reference_of(ResidualOperation)
def residual(op: ResidualOperation, x: Tensor, entries: State, training: bool) -> Tensor:
    return entries["body"] + entries["shortcut"]


@reference_of(ProductOperation)
def product(op: ProductOperation, x: Tensor, entries: State, training: bool) -> Tensor:
    return entries["body"] * entries["by"]


@reference_of(Nearest)
def nearest(op: Nearest, x: Tensor, entries: State, training: bool) -> Tensor:
    rows = [i * x.shape[2] // op.size[0] for i in range(op.size[0])]
    columns = [j * x.shape[3] // op.size[1] for j in range(op.size[1])]
    return x[:, :, rows][:, :, :, columns]


@reference_of(Bilinear)
def bilinear(op: Bilinear, x: Tensor, entries: State, training: bool) -> Tensor:
    for axis, size in zip((2, 3), op.size, strict=True):
        left, right, share = zip(*_along(x.shape[axis], size), strict=True)
        weight = x.new_tensor(share).reshape((-1, 1) if axis == 2 else (-1,))
        a, b = (x.index_select(axis, x.new_tensor(k).long()) for k in (left, right))
        x = a * (1 - weight) + b * weight
    return x


@reference_of(Antialiased)
def antialiased(op: Antialiased, x: Tensor, entries: State, training: bool) -> Tensor:
    weights = []
    for n, size in zip(x.shape[2:], op.size, strict=True):
        rows = []
        for i in range(size):
            reach, centre = max(n / size, 1.0), (i + 0.5) * n / size
            row = [max(0.0, 1 - abs(j + 0.5 - centre) / reach) for j in range(n)]
            rows.append([a / sum(row) for a in row])
        weights.append(x.new_tensor(rows))
    return torch.einsum("ih,jw,bchw->bcij", *weights, x)


@reference_of(Pool)
def pool(op: Pool, x: Tensor, entries: State, training: bool) -> Tensor:
    def windows(n: int, size: int) -> list[slice]:
        return [slice(i * n // size, -(-(i + 1) * n // size)) for i in range(size)]

    rows, columns = (windows(n, size) for n, size in zip(x.shape[2:], op.size, strict=True))
    return torch.stack([torch.stack([x[:, :, r, c].mean((2, 3)) for c in columns], -1) for r in rows], -2)


@reference_of(GainOperation)
def gain(op: GainOperation, x: Tensor, entries: State, training: bool) -> Tensor:
    return x * (entries["weight"] if op.value is None else op.value)


@reference_of(GateOperation)
def gate(op: GateOperation, x: Tensor, entries: State, training: bool) -> Tensor:
    match op.kind:
        case "linear":
            return 1 + x
        case "tanh":
            return 1 + tanh(x)
        case "divisive":
            return 1 / (1 + x)
        case "product":
            return x
        case "logistic":
            return sigmoid(x)
        case "complement":
            return sigmoid(-x)
    return 2 * sigmoid(x)


@reference_of(Dropout)
def dropout(op: Dropout, x: Tensor, entries: State, training: bool) -> Tensor:
    # The one operation whose reference is torch's own: its meaning is the draw.
    drop = functional.dropout2d if op.channels else functional.dropout
    if op.over_time == "shared":
        mask = entries["mask"] if "mask" in entries else drop(torch.ones_like(x), op.p)
        return x * mask if training else x
    return drop(x, op.p, training)


@reference_of(Noise)
def noise(op: Noise, x: Tensor, entries: State, training: bool, update: int = 1) -> Tensor:
    if not (training or op.evaluation):
        return x
    if op.seed is not None:
        drawn = torch.Generator().manual_seed(1_000_003 * op.seed + update)
        return x + op.std * torch.randn(x.shape, generator=drawn, dtype=x.dtype)
    return x + op.std * torch.randn_like(x)  # its meaning is the draw, as for dropout


@reference_of(Dense)
def dense(op: Dense, x: Tensor, entries: State, training: bool) -> Tensor:
    y = (x.reshape(len(x), 1, -1) * weight_of(op, entries)).sum(2)
    return (y + entries["bias"] if op.bias else y)[:, :, None, None]


# ---- cells


@reference_of(Simple)
def simple(cell: Simple, x: Tensor, carried: State, entries: State) -> dict[str, Tensor]:
    return {"h": x}


def preactivations(cell: Gated, x: Tensor, h: Tensor, entries: State) -> dict[str, Tensor]:
    """W_x ∗ x + W_h ∗ h + b of each map, one by one."""
    channels, (weight, bias) = cell.shape[0], (entries["gates.weight"], entries["gates.bias"])
    found = {}
    for index, name in enumerate(cell.maps):
        rows = slice(index * channels, (index + 1) * channels)
        from_x = convolved(cell, x, weight[rows, :channels])
        from_h = convolved(cell, h, weight[rows, channels:])
        found[name] = from_x + from_h + bias[rows].reshape(1, -1, 1, 1)
    return found


def convolved(cell: Gated, x: Tensor, weight: Tensor) -> Tensor:
    """weight ∗ x, of the same height and width."""
    return convolve(x, weight, stride=(1, 1), padding=same_padding(cell.kernel))


@reference_of(ConvGRUCell)
def conv_gru(cell: ConvGRUCell, x: Tensor, carried: State, entries: State) -> dict[str, Tensor]:
    h = carried["h"]
    w_r, w_z, w_n = entries["input.weight"].tensor_split(3)
    u_r, u_z, u_n = entries["state.weight"].tensor_split(3)
    b_r, b_z, b_n = entries["input.bias"].reshape(1, -1, 1, 1).tensor_split(3, 1)
    r = sigmoid(convolved(cell, x, w_r) + convolved(cell, h, u_r) + b_r)
    z = sigmoid(convolved(cell, x, w_z) + convolved(cell, h, u_z) + b_z)
    n = tanh(convolved(cell, x, w_n) + b_n + r * (convolved(cell, h, u_n) + entries["shift"].reshape(1, -1, 1, 1)))
    return {"h": (1 - z) * n + z * h}


@reference_of(ConvLSTMCell)
def conv_lstm(cell: ConvLSTMCell, x: Tensor, carried: State, entries: State) -> dict[str, Tensor]:
    a, old = preactivations(cell, x, carried["h"], entries), carried["c"]
    peepholes = entries["peepholes"].reshape(1, -1, 1, 1) if cell.peepholes else old.new_zeros(1, 3, 1, 1)
    p = peepholes.tensor_split(3, 1)
    c = sigmoid(a["f"] + p[1] * old) * old + sigmoid(a["i"] + p[0] * old) * tanh(a["g"])
    return {"h": sigmoid(a["o"] + p[2] * c) * tanh(c), "c": c}


@reference_of(UGRNNCell)
def ugrnn(cell: UGRNNCell, x: Tensor, carried: State, entries: State) -> dict[str, Tensor]:
    a = preactivations(cell, x, carried["h"], entries)
    g = sigmoid(a["g"] + cell.forget_bias)
    return {"h": g * carried["h"] + (1 - g) * tanh(a["c"])}


@reference_of(IntersectionRNNCell)
def intersection(cell: IntersectionRNNCell, x: Tensor, carried: State, entries: State) -> dict[str, Tensor]:
    m = carried["m"]
    a = preactivations(cell, x, m, entries)
    g_y, g_m = sigmoid(a["g_y"] + cell.forget_bias), sigmoid(a["g_m"] + cell.forget_bias)
    return {"h": g_y * x + (1 - g_y) * _relu(a["y"]), "m": g_m * m + (1 - g_m) * tanh(a["m"])}


@reference_of(LeakyCell)
def leaky(cell: LeakyCell, x: Tensor, carried: State, entries: State) -> dict[str, Tensor]:
    f = FUNCTIONS[cell.activation]
    a: Any = 1 / (1 + (-entries["alpha"].reshape(1, -1, 1, 1)).exp()) if cell.learned else cell.start
    g = 1 - a if cell.rests else 1
    return {"h": f(a * carried["h"] + g * x)}


def _gates(cell: ReciprocalGatedCell, source: Tensor, owner: str, entries: State) -> list[Tensor]:
    """σ(W ∗ source + b) of the two gates that a entries controls."""
    maps = [convolved(cell, source, weight) for weight in entries[f"{owner}.weight"].tensor_split(2)]
    if cell.bias:
        biases = entries[f"{owner}.bias"].reshape(1, -1, 1, 1).tensor_split(2, 1)
        maps = [a + b for a, b in zip(maps, biases, strict=True)]
    return [sigmoid(a) for a in maps]


@reference_of(ReciprocalGatedCell)
def reciprocal_gated(cell: ReciprocalGatedCell, x: Tensor, carried: State, entries: State) -> dict[str, Tensor]:
    f, h, c = FUNCTIONS[cell.activation], carried["h"], carried["c"]
    hh, hc = _gates(cell, h, "from_h", entries)
    ch, cc = _gates(cell, c, "from_c", entries)
    return {"h": f((1 - ch) * x + (1 - hh) * h), "c": f((1 - hc) * x + (1 - cc) * c)}
