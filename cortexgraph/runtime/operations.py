"""Operations that torch has no module for."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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


class FullyConnected(nn.Linear):
    """A linear layer over channels and space, [B, C, H, W] to [B, units, 1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))[:, :, None, None]


class Residual(nn.Module):
    """y = body(x) + shortcut(x)."""

    stepwise = True

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        return self.branch(self.body, x, update) + self.branch(self.shortcut, x, update)

    def branch(self, operation: nn.Module, x: Tensor, update: int) -> Tensor:
        return operation(x, update) if getattr(operation, "stepwise", False) else operation(x)


class Absolute(nn.Module):
    """y = |x|."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


class Saturating(nn.Module):
    """y = x₊ / (1 + x₊)."""

    def forward(self, x: Tensor) -> Tensor:
        positive = torch.relu(x)
        return positive / (1 + positive)


class PadChannels(nn.Module):
    """Adds channels of zeros behind those of x."""

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.added))


class Maxout(nn.Module):
    """The largest of several groups of channels, place by place."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack(x.chunk(self.pieces, 1)).amax(0)


class NormalisationPool(nn.Module):
    """Mean (order 1) or root mean square (order 2) of all channels under a window, in every output channel."""

    def __init__(self, channels: int, kernel_size: int | tuple[int, int], order: int) -> None:
        super().__init__()
        self.channels = channels
        self.order = order
        rows, columns = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.window = nn.AvgPool2d((rows, columns), stride=1, padding=(rows // 2, columns // 2))

    def forward(self, x: Tensor) -> Tensor:
        power = x.square() if self.order == 2 else x.abs()
        pooled = self.window(power.mean(1, keepdim=True)) + 1e-5
        y = pooled.sqrt() if self.order == 2 else pooled
        return y.expand(-1, self.channels, -1, -1)


class RadialBasis(nn.Module):
    """exp(−‖patch − prototype‖² / 2σ²) at every place that the kernel covers."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], sigma: float = 1.0
    ) -> None:
        super().__init__()
        rows, columns = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.weight = nn.Parameter(torch.rand(out_channels, in_channels, rows, columns))
        self.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        # ‖x − p‖² = ‖x‖² − 2 x·p + ‖p‖²
        ones = torch.ones_like(self.weight[:1])
        energy = nn.functional.conv2d(x.square(), ones)
        product = nn.functional.conv2d(x, self.weight)
        own = self.weight.square().sum((1, 2, 3))[:, None, None]
        return torch.exp((2 * product - energy - own) / (2 * self.sigma**2))


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
        n = torch.arange(channels)
        angle = (torch.pi * (n // phases) / (channels // phases)).double()[:, None, None]
        phase = (torch.pi / 2 * (n % phases)).double()[:, None, None]
        u = x[None, None, :] * angle.cos() + y[None, :, None] * angle.sin()
        v = y[None, :, None] * angle.cos() - x[None, None, :] * angle.sin()
        bank = (-(u**2 + (aspect * v) ** 2) / (2 * sigma**2)).exp() * (2 * torch.pi * u / wavelength + phase).cos()
        bank = bank - bank.mean((1, 2), keepdim=True)
        bank = bank / bank.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]
        bank = bank.to(torch.get_default_dtype())
        self.register_buffer("bank", bank[:, None], persistent=False)  # [channels, 1, *kernel_size]

    def forward(self, x: Tensor) -> Tensor:
        bank = self.get_buffer("bank")
        return nn.functional.conv2d(x.mean(1, keepdim=True), bank, stride=self.stride, padding=self.padding)


class Gain(nn.Module):
    """A factor: fixed, or learned and 1 at first."""

    def __init__(self, value: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(())) if learned else value

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Gate(nn.Module):
    """The factor that a modulator with value m multiplies by: 1 + m, 1 + tanh m, 2σ(m), or 1 / (1 + m)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, m: Tensor) -> Tensor:
        if self.kind == "sigmoid":
            return 2 * torch.sigmoid(m)
        if self.kind == "divisive":
            return 1 / (1 + m)
        return 1 + (torch.tanh(m) if self.kind == "tanh" else m)
