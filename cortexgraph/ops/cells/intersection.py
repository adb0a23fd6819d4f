"""The intersection RNN, whose recurrent state is not the visible one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cortexgraph.ops.base import State
from cortexgraph.ops.cells.base import register_cell
from cortexgraph.ops.cells.gated import Forgetting, relu, sigmoid, tanh

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["IntersectionRNN"]


@register_cell("intersection")
@dataclass(frozen=True)
class IntersectionRNN(Forgetting):
    """The +RNN (Collins, Sohl-Dickstein & Sussillo 2017) with convolutions: one gate over depth, one over time.

    y_in = relu(W_y ∗ [x, m] + b_y), m_in = tanh(W_m ∗ [x, m] + b_m), g = σ(W_g ∗ [x, m] + b_g + forget_bias),
    visible y' = g_y ∘ x + (1 − g_y) ∘ y_in, recurrent m' = g_m ∘ m + (1 − g_m) ∘ m_in.
    """

    equation: ClassVar[str] = "h' = g_y x + (1 − g_y) y_in, m' = g_m m + (1 − g_m) m_in"
    reads: ClassVar[tuple[str, ...]] = ("m",)
    hidden: ClassVar[tuple[str, ...]] = ("m",)
    helpers: ClassVar[tuple[Any, ...]] = ("IntersectionRNN",)
    maps: ClassVar[tuple[str, ...]] = ("g_y", "y", "g_m", "m")
    module: ClassVar[str] = "IntersectionRNN"

    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        m = carried["m"]
        a = self.preactivations(x, m, state)
        g_y, g_m = sigmoid(a["g_y"] + self.forget_bias), sigmoid(a["g_m"] + self.forget_bias)
        return {"h": g_y * x + (1 - g_y) * relu(a["y"]), "m": g_m * m + (1 - g_m) * tanh(a["m"])}
