"""Convolution: the transform of a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cortexgraph.ops.base import Operation, Shape, text
from cortexgraph.wording import by

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Conv"]

Pair = tuple[int, int]


@dataclass(frozen=True)
class Conv(Operation):
    """y[o] = Σ_i w[o, i] ⋆ x[i] + b[o], zero-padded by ⌊dilation · (kernel − 1) / 2⌋ («same» for odd kernels)."""

    role: ClassVar[str] = "conv"
    equation: ClassVar[str] = "y[o] = Σ_i w[o, i] ⋆ x[i] + b[o]"

    in_channels: int
    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = False

    @property
    def padding(self) -> Pair:
        return (self.dilation[0] * (self.kernel[0] - 1) // 2, self.dilation[1] * (self.kernel[1] - 1) // 2)

    def output(self, shape: Shape) -> Shape:
        """⌊(n + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1 along each axis."""
        height, width = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(shape[1:], self.padding, self.dilation, self.kernel, self.stride, strict=True)
        )
        return (self.out_channels, height, width)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        weight = (self.out_channels, self.in_channels // self.groups, *self.kernel)
        return {"weight": weight, "bias": (self.out_channels,)} if self.bias else {"weight": weight}

    def macs(self, shape: Shape) -> int:
        channels, height, width = self.output(shape)
        per_output = self.in_channels // self.groups * self.kernel[0] * self.kernel[1]
        return channels * height * width * per_output

    def summary(self) -> str:
        stride = f", stride {text(self.stride)}" if self.stride != (1, 1) else ""
        dilation = f", dilation {text(self.dilation)}" if self.dilation != (1, 1) else ""
        groups = f", {self.groups} groups" if self.groups != 1 else ""
        return f"{by(self.kernel)} conv{stride}{dilation}{groups}{', bias' if self.bias else ''}"

    def constructor(self) -> str:
        options = [str(self.in_channels), str(self.out_channels), text(self.kernel)]
        if self.stride != (1, 1):
            options.append(f"stride={text(self.stride)}")
        if self.padding != (0, 0):
            options.append(f"padding={text(self.padding)}")
        if self.dilation != (1, 1):
            options.append(f"dilation={text(self.dilation)}")
        if self.groups != 1:
            options.append(f"groups={self.groups}")
        if not self.bias:
            options.append("bias=False")
        return f"nn.Conv2d({', '.join(options)})"

    def reference(self, x: Tensor, state: Mapping[str, Tensor], *, training: bool) -> Tensor:
        """Patches times weights: unfold, then one product for each group."""
        import torch
        from torch.nn import functional

        weight = state["weight"]
        batch, (_, height, width) = len(x), self.output((x.shape[1], x.shape[2], x.shape[3]))
        patches = functional.unfold(
            x, kernel_size=self.kernel, dilation=self.dilation, padding=self.padding, stride=self.stride
        )
        patches = patches.reshape(batch, self.groups, -1, height * width)
        kernels = weight.reshape(self.groups, self.out_channels // self.groups, -1)
        y = torch.einsum("goi,bgin->bgon", kernels, patches).reshape(batch, self.out_channels, height, width)
        return y + state["bias"].reshape(1, -1, 1, 1) if self.bias else y
