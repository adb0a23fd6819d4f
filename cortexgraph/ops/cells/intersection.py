"""The intersection RNN, whose recurrent state is not the visible one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cortexgraph.ops.cells.base import register_cell
from cortexgraph.ops.cells.gated import Forgetting, SameConv2d
from cortexgraph.ops.torch_names import Tensor, nn, torch

__all__ = ["IntersectionRNN"]


class IntersectionRNN(nn.Module):
    """Collins et al. 2017: visible y = g_y x + (1 − g_y) y_in, recurrent m' = g_m m + (1 − g_m) m_in.

    y_in = relu(W ∗ [x, m] + b), m_in = tanh(W ∗ [x, m] + b), and the gates are σ(W ∗ [x, m] + b + forget_bias);
    `gates` holds all W and b in the order g_y, y_in, g_m, m_in.
    """

    def __init__(self, channels: int, kernel_size: int | tuple[int, int] = 3, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.gates = SameConv2d(2 * channels, 4 * channels, kernel_size)
        self.forget_bias = forget_bias

    def forward(self, x: Tensor, m: Tensor | None = None) -> tuple[Tensor, Tensor]:
        m = torch.zeros_like(x) if m is None else m
        g_y, y_in, g_m, m_in = self.gates(torch.cat([x, m], 1)).chunk(4, 1)
        g_y, g_m = torch.sigmoid(g_y + self.forget_bias), torch.sigmoid(g_m + self.forget_bias)
        return g_y * x + (1 - g_y) * torch.relu(y_in), g_m * m + (1 - g_m) * torch.tanh(m_in)


@register_cell("intersection")
@dataclass(frozen=True)
class IntersectionRNNCell(Forgetting):
    """The +RNN (Collins, Sohl-Dickstein & Sussillo 2017) with convolutions: one gate over depth, one over time.

    y_in = relu(W_y ∗ [x, m] + b_y), m_in = tanh(W_m ∗ [x, m] + b_m), g = σ(W_g ∗ [x, m] + b_g + forget_bias),
    visible y' = g_y ∘ x + (1 − g_y) ∘ y_in, recurrent m' = g_m ∘ m + (1 − g_m) ∘ m_in.
    """

    equation: ClassVar[str] = "h' = g_y x + (1 − g_y) y_in, m' = g_m m + (1 − g_m) m_in"
    reads: ClassVar[tuple[str, ...]] = ("m",)
    hidden: ClassVar[tuple[str, ...]] = ("m",)
    maps: ClassVar[tuple[str, ...]] = ("g_y", "y", "g_m", "m")
    module: ClassVar[str] = "IntersectionRNN"
