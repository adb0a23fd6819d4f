"""Cells: how an area's new state follows from its input x and its old state, where None stands for silent (zeros)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def same_conv(in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], bias: bool = True) -> nn.Conv2d:
    """A convolution with an odd kernel that keeps height and width."""
    height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    padding = (height // 2, width // 2)
    return nn.Conv2d(in_channels, out_channels, (height, width), padding=padding, bias=bias)


class Leaky(nn.Module):
    """h' = f(a h + g x), where g = 1, or g = 1 − a: then x is where the state comes to rest.

    A learned a, one for each of `channels`, is σ(α).
    """

    def __init__(
        self, decay: float, rest: bool = False, channels: int | None = None, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.decay = decay
        self.rest = rest
        start = math.log(decay / (1 - decay)) if channels else 0.0
        self.alpha = nn.Parameter(torch.full((channels,), start)) if channels else None
        self.activation = nn.Identity() if activation is None else activation

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        a = self.decay if self.alpha is None else torch.sigmoid(self.alpha)[:, None, None]
        u = (1 - a) * x if self.rest else x
        new: Tensor = self.activation(u if h is None else a * h + u)
        return new


class ConvGRU(nn.Module):
    """Ballas et al. 2016: h' = (1 − z) n + z h, where n = tanh(W_n ∗ x + b_n + r (U_n ∗ h + c_n)).

    The gates are r, z = σ(W ∗ x + U ∗ h + b); `input` holds W and b, `state` U, both in the order r, z, n.
    """

    def __init__(self, channels: int, kernel_size: int | tuple[int, int] = 3) -> None:
        super().__init__()
        self.input = same_conv(channels, 3 * channels, kernel_size)
        self.state = same_conv(channels, 3 * channels, kernel_size, bias=False)
        self.shift = nn.Parameter(torch.zeros(channels))  # c_n

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        h = torch.zeros_like(x) if h is None else h
        r_x, z_x, n_x = self.input(x).chunk(3, 1)
        r_h, z_h, n_h = self.state(h).chunk(3, 1)
        r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
        n = torch.tanh(n_x + r * (n_h + self.shift[:, None, None]))
        return (1 - z) * n + z * h


class ConvLSTM(nn.Module):
    """Shi et al. 2015: c' = f c + i g, h' = o tanh(c').

    i, f, o = σ(W ∗ [x, h] + b) and g = tanh(W ∗ [x, h] + b), in the order i, f, g, o; with peepholes, c is seen
    by i and f, and c' by o, through one weight for each channel.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int | tuple[int, int] = 3,
        forget_bias: float = 1.0,
        peepholes: bool = False,
    ) -> None:
        super().__init__()
        self.peepholes = nn.Parameter(torch.zeros(3 * channels)) if peepholes else None
        self.gates = same_conv(2 * channels, 4 * channels, kernel_size)
        with torch.no_grad():
            self.gates.get_parameter("bias")[channels : 2 * channels] = forget_bias  # f starts open: c is kept

    def forward(self, x: Tensor, h: Tensor | None = None, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = torch.zeros_like(x) if h is None else h
        c = torch.zeros_like(x) if c is None else c
        i, f, g, o = self.gates(torch.cat([x, h], 1)).chunk(4, 1)
        if self.peepholes is None:
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            return torch.sigmoid(o) * torch.tanh(c), c
        p_i, p_f, p_o = self.peepholes[:, None, None].chunk(3)
        c = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)
        return torch.sigmoid(o + p_o * c) * torch.tanh(c), c


class UGRNN(nn.Module):
    """Collins et al. 2017: h' = g h + (1 − g) c, where c = tanh(W_c ∗ [x, h] + b_c).

    The gate is g = σ(W_g ∗ [x, h] + b_g + forget_bias); `gates` holds g, c.
    """

    def __init__(self, channels: int, kernel_size: int | tuple[int, int] = 3, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.gates = same_conv(2 * channels, 2 * channels, kernel_size)
        self.forget_bias = forget_bias

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        h = torch.zeros_like(x) if h is None else h
        g, c = self.gates(torch.cat([x, h], 1)).chunk(2, 1)
        g = torch.sigmoid(g + self.forget_bias)
        return g * h + (1 - g) * torch.tanh(c)


class IntersectionRNN(nn.Module):
    """Collins et al. 2017: visible y = g_y x + (1 − g_y) y_in, recurrent m' = g_m m + (1 − g_m) m_in.

    y_in = relu(W ∗ [x, m] + b), m_in = tanh(W ∗ [x, m] + b), and the gates are σ(W ∗ [x, m] + b + forget_bias);
    `gates` holds all W and b in the order g_y, y_in, g_m, m_in.
    """

    def __init__(self, channels: int, kernel_size: int | tuple[int, int] = 3, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.gates = same_conv(2 * channels, 4 * channels, kernel_size)
        self.forget_bias = forget_bias

    def forward(self, x: Tensor, m: Tensor | None = None) -> tuple[Tensor, Tensor]:
        m = torch.zeros_like(x) if m is None else m
        g_y, y_in, g_m, m_in = self.gates(torch.cat([x, m], 1)).chunk(4, 1)
        g_y, g_m = torch.sigmoid(g_y + self.forget_bias), torch.sigmoid(g_m + self.forget_bias)
        return g_y * x + (1 - g_y) * torch.relu(y_in), g_m * m + (1 - g_m) * torch.tanh(m_in)


class ReciprocalGated(nn.Module):
    """Nayebi et al. 2018: h' = f((1 − σ(W_ch ∗ c)) x + (1 − σ(W_hh ∗ h)) h) …

    … and c' = f((1 − σ(W_hc ∗ h)) x + (1 − σ(W_cc ∗ c)) c); `from_h` holds W_hh, W_hc and `from_c` W_ch, W_cc.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int | tuple[int, int] = 3,
        bias: bool = False,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.from_h = same_conv(channels, 2 * channels, kernel_size, bias)
        self.from_c = same_conv(channels, 2 * channels, kernel_size, bias)
        self.activation = nn.Tanh() if activation is None else activation

    def forward(self, x: Tensor, h: Tensor | None = None, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = torch.zeros_like(x) if h is None else h
        c = torch.zeros_like(x) if c is None else c
        hh, hc = torch.sigmoid(self.from_h(h)).chunk(2, 1)
        ch, cc = torch.sigmoid(self.from_c(c)).chunk(2, 1)
        return self.activation((1 - ch) * x + (1 - hh) * h), self.activation((1 - hc) * x + (1 - cc) * c)
