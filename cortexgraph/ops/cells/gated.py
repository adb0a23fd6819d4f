"""Cells with gates: convolutional GRU, LSTM and UGRNN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cortexgraph.ops.activation import ACTIVATIONS
from cortexgraph.ops.base import Context, Shape, State, option, text
from cortexgraph.ops.cells.base import Cell, register_cell
from cortexgraph.ops.conv import convolve, same_padding
from cortexgraph.spec.fields import Flag, Number, Square
from cortexgraph.wording import by

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["UGRNN", "ConvGRU", "ConvLSTM", "Forgetting", "Gated", "relu", "sigmoid", "tanh"]

relu, sigmoid, tanh = (ACTIVATIONS[name].function for name in ("relu", "sigmoid", "tanh"))


@dataclass(frozen=True)
class Gated(Cell):
    """Base of the cells whose gates are maps of W ∗ [x, h] + b, where `gates` holds all W and b in the order of `maps`.

    Attributes:
        maps: names of the gates and candidates.
        module: class of `cortexgraph.runtime.cells`.
    """

    maps: ClassVar[tuple[str, ...]]
    module: ClassVar[str]

    kernel: Square = option((3, 3), "Kernel size of the gates; odd.", main=True)

    def summary(self) -> str:
        return self.module if self.kernel == (3, 3) else f"{by(self.kernel)} {self.module}"

    def constructor(self) -> str:
        return f"{self.module}({', '.join([str(self.shape[0]), text(self.kernel), *self.settings()])})"

    def settings(self) -> list[str]:
        """Further arguments of the constructor."""
        return []

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        channels = self.shape[0]
        rows = len(self.maps) * channels
        return {"gates.weight": (rows, 2 * channels, *self.kernel), "gates.bias": (rows,)}

    def windows(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return self.kernel, self.kernel

    def macs(self) -> int:
        weights = sum(shape[0] * shape[1] for shape in self.parameters().values() if len(shape) == 4)
        return weights * self.kernel[0] * self.kernel[1] * self.shape[1] * self.shape[2]

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

    @classmethod
    def problem(cls, options: Any, shape: Shape, context: Context) -> tuple[str, str] | None:
        height, width = options["kernel"]
        if height % 2 == 0 or width % 2 == 0:
            found = f"a {by(options['kernel'])} kernel has no centre, so the new state would be smaller than the old"
            return found, "Give `kernel` odd numbers, such as 3."
        return None


@dataclass(frozen=True)
class Forgetting(Gated):
    """Base of the cells with a forget gate, which is open at first, so that gradients reach far back."""

    forget_bias: Number = option(1.0, "Where the bias of the forget gate starts: above 0, the old state is kept.")

    def settings(self) -> list[str]:
        return [] if self.forget_bias == 1 else [f"forget_bias={self.forget_bias}"]


@register_cell("conv_gru")
@dataclass(frozen=True)
class ConvGRU(Gated):
    """A gated recurrent unit with convolutions (Cho et al. 2014; Ballas et al. 2016), in torch's convention.

    r = σ(W_r ∗ x + U_r ∗ h + b_r), z = σ(W_z ∗ x + U_z ∗ h + b_z),
    n = tanh(W_n ∗ x + b_n + r ∘ (U_n ∗ h + c_n)), h' = (1 − z) ∘ n + z ∘ h.
    """

    equation: ClassVar[str] = "h' = (1 − z) n + z h"
    helpers: ClassVar[tuple[Any, ...]] = ("ConvGRU",)
    maps: ClassVar[tuple[str, ...]] = ("r", "z", "n")
    module: ClassVar[str] = "ConvGRU"

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        channels = self.shape[0]
        weight = (3 * channels, channels, *self.kernel)
        return {"shift": (channels,), "input.weight": weight, "input.bias": (3 * channels,), "state.weight": weight}

    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        h = carried["h"]
        w_r, w_z, w_n = state["input.weight"].tensor_split(3)
        u_r, u_z, u_n = state["state.weight"].tensor_split(3)
        b_r, b_z, b_n = state["input.bias"].reshape(1, -1, 1, 1).tensor_split(3, 1)
        r = sigmoid(self.convolved(x, w_r) + self.convolved(h, u_r) + b_r)
        z = sigmoid(self.convolved(x, w_z) + self.convolved(h, u_z) + b_z)
        n = tanh(self.convolved(x, w_n) + b_n + r * (self.convolved(h, u_n) + state["shift"].reshape(1, -1, 1, 1)))
        return {"h": (1 - z) * n + z * h}


@register_cell("conv_lstm")
@dataclass(frozen=True)
class ConvLSTM(Forgetting):
    """Long short-term memory with convolutions (Shi et al. 2015).

    i, f, o = σ(W ∗ [x, h] + b), g = tanh(W_g ∗ [x, h] + b_g), c' = f ∘ c + i ∘ g, h' = o ∘ tanh(c').
    b_f starts at `forget_bias` (Jozefowicz et al. 2015). With `peepholes`, p_i ∘ c and p_f ∘ c stand in the sums
    of i and f, and p_o ∘ c' in that of o, one p for each channel.
    """

    equation: ClassVar[str] = "c' = f c + i g, h' = o tanh(c')"
    reads: ClassVar[tuple[str, ...]] = ("h", "c")
    hidden: ClassVar[tuple[str, ...]] = ("c",)
    helpers: ClassVar[tuple[Any, ...]] = ("ConvLSTM",)
    maps: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    module: ClassVar[str] = "ConvLSTM"

    peepholes: Flag = option(False, "Whether the gates also see the cell's content c, by a weight for each channel.")

    def settings(self) -> list[str]:
        return super().settings() + ["peepholes=True"] * self.peepholes

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {**super().parameters(), **({"peepholes": (3 * self.shape[0],)} if self.peepholes else {})}

    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        a, old = self.preactivations(x, carried["h"], state), carried["c"]
        peepholes = state["peepholes"].reshape(1, -1, 1, 1) if self.peepholes else old.new_zeros(1, 3, 1, 1)
        p = peepholes.tensor_split(3, 1)
        c = sigmoid(a["f"] + p[1] * old) * old + sigmoid(a["i"] + p[0] * old) * tanh(a["g"])
        return {"h": sigmoid(a["o"] + p[2] * c) * tanh(c), "c": c}


@register_cell("ugrnn")
@dataclass(frozen=True)
class UGRNN(Forgetting):
    """The update gate RNN (Collins, Sohl-Dickstein & Sussillo 2017) with convolutions.

    g = σ(W_g ∗ [x, h] + b_g + forget_bias), c = tanh(W_c ∗ [x, h] + b_c), h' = g ∘ h + (1 − g) ∘ c.
    """

    equation: ClassVar[str] = "h' = g h + (1 − g) c"
    helpers: ClassVar[tuple[Any, ...]] = ("UGRNN",)
    maps: ClassVar[tuple[str, ...]] = ("g", "c")
    module: ClassVar[str] = "UGRNN"

    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        a = self.preactivations(x, carried["h"], state)
        g = sigmoid(a["g"] + self.forget_bias)
        return {"h": g * carried["h"] + (1 - g) * tanh(a["c"])}
