"""A fixed bank of Gabor filters, as a model of simple cells of V1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from cortexgraph.ops.base import CONTEXT, Fault, Pair, call, option, text
from cortexgraph.ops.registry import register_operation
from cortexgraph.ops.torch_names import F, Tensor, nn, torch
from cortexgraph.ops.windows import ONE, Windowed, same_padding
from cortexgraph.spec.fields import Count, Positive, Square
from cortexgraph.wording import by

MOST_NUMBERS = 10_000_000
"""In a bank, which is computed when a network is made."""


class GaborBank(nn.Module):
    """Fixed Gabor filters on the mean of the channels; orientations over π, and phases 0 and π/2 if there are two."""

    def __init__(
        self,
        channels: int,
        kernel_size: tuple[int, int],
        stride: int | tuple[int, int],
        wavelength: float,
        sigma: float,
        aspect: float,
        phases: int,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = ((kernel_size[0] - 1) // 2, (kernel_size[1] - 1) // 2)
        y, x = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in kernel_size)
        n = torch.arange(channels, dtype=torch.float64)[:, None, None]
        angle = torch.pi * (n // phases) / (channels // phases)
        phase = torch.pi / 2 * (n % phases)
        u = x[None, None, :] * angle.cos() + y[None, :, None] * angle.sin()
        v = y[None, :, None] * angle.cos() - x[None, None, :] * angle.sin()
        bank = (-(u**2 + (aspect * v) ** 2) / (2 * sigma**2)).exp() * (2 * torch.pi * u / wavelength + phase).cos()
        bank = bank - bank.mean((1, 2), keepdim=True)
        bank = bank / bank.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]
        bank = bank.to(torch.get_default_dtype())
        self.register_buffer("bank", bank[:, None], persistent=False)  # [channels, 1, *kernel_size]

    def forward(self, x: Tensor) -> Tensor:
        bank = self.get_buffer("bank")
        return F.conv2d(x.mean(1, keepdim=True), bank, stride=self.stride, padding=self.padding)


@register_operation("gabor")
@dataclass(frozen=True)
class Gabor(Windowed):
    """A fixed bank of Gabor filters (Daugman 1985; the form of Serre et al. 2007) on the mean of the input channels.

    Filter n has orientation θ_n = π n / (channels / phases), cycling over the phases 0 and π/2 (and no more
    parameters): g = exp(−(u² + γ² v²) / 2σ²) cos(2π u / λ + φ), with (u, v) the coordinates rotated by θ, without
    mean and with unit length. They are not learned and not in the state dict.
    """

    equation: ClassVar[str] = "y[n] = g_n ⋆ mean_c x[c], g = exp(−(u² + γ²v²)/2σ²) cos(2πu/λ + φ)"

    kernel: Square = option((7, 7), "Kernel size in pixels.", main=True)
    stride: Square = option(CONTEXT, "Stride; default 1, or what takes the source to the target's size.")
    channels: Count = option(CONTEXT, "Number of filters; default: the channels of the area.")
    wavelength_px: Positive = option(3.5, "Wavelength λ in pixels.")
    sigma_px: Positive = option(2.8, "Width σ of the envelope in pixels.")
    aspect: Positive = option(0.3, "Aspect ratio γ of the envelope.")
    phases: Count = option(1, "Number of phases: 1 (even filters) or 2 (even and odd).")

    def faults(self) -> Iterator[Fault]:
        if self.phases > 2 or self.channels % self.phases:
            yield "`phases` must be 1 or 2, and divide the channels", "Choose `phases: 1`."
        if min(self.kernel) < 3:
            yield "a Gabor filter needs a kernel of at least 3 × 3 pixels", "Choose a larger `kernel`, such as 7."
        if self.channels * prod(self.kernel) > MOST_NUMBERS:
            problem = f"{self.channels:,} filters of {by(self.kernel)} pixels have more than {MOST_NUMBERS:,} numbers"
            yield problem, "Choose a smaller `kernel` or fewer `channels`."
        if self.wavelength_px <= 2:
            yield "a wave of 2 pixels or less cannot be sampled", "Choose a `wavelength_px` above 2."

    def geometry(self) -> tuple[Pair, Pair, Pair, Pair]:
        return self.kernel, self.stride, same_padding(self.kernel), ONE

    def macs(self) -> int:
        return prod((*self.output(), *self.kernel))

    def summary(self) -> str:
        stride = f", stride {text(self.stride)}" if self.stride != (1, 1) else ""
        return f"{by(self.kernel)} Gabor bank{stride}"

    def constructor(self) -> str:
        shape = {"wavelength": self.wavelength_px, "sigma": self.sigma_px, "aspect": self.aspect}
        values = {"stride": self.stride, **shape, "phases": self.phases}
        return call("GaborBank", self.channels, str(self.kernel), **{name: (v, None) for name, v in values.items()})
