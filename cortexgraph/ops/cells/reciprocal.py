"""The reciprocal gated cell, whose visible and hidden state gate each other's input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cortexgraph.ops.activation import ACTIVATIONS
from cortexgraph.ops.base import Context, Shape, option
from cortexgraph.ops.cells.base import register_cell
from cortexgraph.ops.cells.gated import Gated, SameConv2d
from cortexgraph.ops.cells.leaky import unknown_activation
from cortexgraph.ops.torch_names import Tensor, nn, torch
from cortexgraph.spec.fields import Flag

__all__ = ["ReciprocalGated"]


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
        self.from_h = SameConv2d(channels, 2 * channels, kernel_size, bias)
        self.from_c = SameConv2d(channels, 2 * channels, kernel_size, bias)
        self.activation = nn.Tanh() if activation is None else activation

    def forward(self, x: Tensor, h: Tensor | None = None, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = torch.zeros_like(x) if h is None else h
        c = torch.zeros_like(x) if c is None else c
        hh, hc = torch.sigmoid(self.from_h(h)).chunk(2, 1)
        ch, cc = torch.sigmoid(self.from_c(c)).chunk(2, 1)
        return self.activation((1 - ch) * x + (1 - hh) * h), self.activation((1 - hc) * x + (1 - cc) * c)


@register_cell("reciprocal_gated")
@dataclass(frozen=True)
class ReciprocalGatedCell(Gated):
    """The reciprocal gated cell (Nayebi et al. 2018): the input passes by, and each state gates the other's input.

    h' = f((1 − σ(W_ch ∗ c)) ∘ x + (1 − σ(W_hh ∗ h)) ∘ h), c' = f((1 − σ(W_hc ∗ h)) ∘ x + (1 − σ(W_cc ∗ c)) ∘ c).

    The networks released with the paper have `activation: elu` and `bias: true`, and take more into the cell
    than this: a convolution of x into c', and one of the area's input into h's gate.
    """

    equation: ClassVar[str] = "h' = f((1 − σ(W_ch ∗ c)) x + (1 − σ(W_hh ∗ h)) h)"
    reads: ClassVar[tuple[str, ...]] = ("h", "c")
    hidden: ClassVar[tuple[str, ...]] = ("c",)
    maps: ClassVar[tuple[str, ...]] = ("hh", "hc", "ch", "cc")
    module: ClassVar[str] = "ReciprocalGated"

    bias: Flag = option(False, "Learned bias of the gates.")
    activation: str = option("tanh", "f, the activation of both states.")

    def summary(self) -> str:
        return super().summary().replace(self.module, "reciprocal gated")

    def settings(self) -> list[str]:
        activation = f"activation={ACTIVATIONS[self.activation]}"
        return ["bias=True"] * self.bias + [activation] * (self.activation != "tanh")

    def windows(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (1, 1), self.kernel  # x passes by

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        channels = self.shape[0]
        tensors = {"weight": (2 * channels, channels, *self.kernel)} | ({"bias": (2 * channels,)} if self.bias else {})
        return {f"{owner}.{name}": shape for owner in ("from_h", "from_c") for name, shape in tensors.items()}

    @classmethod
    def problem(cls, options: Any, shape: Shape, context: Context) -> tuple[str, str] | None:
        return super().problem(options, shape, context) or unknown_activation(options["activation"])
