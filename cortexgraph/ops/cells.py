"""Cells: none (`simple`), leaky integration, and those with gates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from cortexgraph.ops.base import CONTEXT, Cell, Fault, Helper, Operation, Pair, call, option
from cortexgraph.ops.elementwise import function, unknown_activation
from cortexgraph.ops.registry import register_cell
from cortexgraph.ops.torch_names import Tensor, nn, torch
from cortexgraph.spec.fields import Flag, Milliseconds, Number, Square
from cortexgraph.wording import by

# ---- without gates -------------------------------------------------------------


@register_cell("simple")
@dataclass(frozen=True)
class Simple(Cell):
    """No memory: the new state is the body's output."""

    equation: ClassVar[str] = "h' = x"
    reads: ClassVar[tuple[str, ...]] = ()

    def summary(self) -> str:
        return ""

    def constructor(self) -> str:
        return "nn.Identity()"


@dataclass(frozen=True)
class WithFunction(Cell):
    """Base of the cells with a function of each value, the option `activation`."""

    @property
    def function(self) -> Operation:
        """The function."""
        found = function(getattr(self, "activation"))  # noqa: B009  (an option of the cells below)
        assert found is not None
        return found

    def definitions(self) -> tuple[Helper, ...]:
        return (*self.helpers, *self.function.definitions())


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


@register_cell("leaky")
@dataclass(frozen=True)
class LeakyCell(WithFunction):
    """A leaky integrator: h' = f(a h + g x).

    With `tau_ms`, a = 1 − dt/τ and g = 1 − a = dt/τ: the Euler step h' = h + dt/τ (x − h) of τ dh/dt = x − h
    (Dayan & Abbott 2001, section 7.2), which comes to rest at x. With `decay`, g = 1 and a constant x sums up to
    x / (1 − a). A learned a is σ(α), one α for each channel.
    """

    equation: ClassVar[str] = "h' = f(a h + g x)"

    decay: Number | None = option(
        None, "a, the part of the old state that stays, from 0 to 1; default 0.5.", main=True, example=0.5
    )
    learned: Flag = option(False, "Learn a, one for each channel, starting from `decay` or `tau_ms`.")
    tau_ms: Milliseconds | None = option(None, "Time constant τ: a = 1 − dt/τ.")
    input: Literal["full", "rest"] | None = option(
        None, "g: `full` is 1, `rest` is 1 − a; default `rest` with `tau_ms`, otherwise `full`."
    )
    activation: str = option("identity", "f, the activation after the sum.")
    dt_ms: Milliseconds = option(CONTEXT, "Duration of a step; default: the spec's `time.dt_ms`.")

    @property
    def start(self) -> float:
        """a, or where a learned a starts; the Euler step of τ dh/dt = x − h gives 1 − dt/τ."""
        if self.tau_ms is not None:
            return 1 - self.dt_ms / self.tau_ms
        return 0.5 if self.decay is None else self.decay

    @property
    def rests(self) -> bool:
        """Whether g is 1 − a."""
        return self.tau_ms is not None if self.input is None else self.input == "rest"

    def summary(self) -> str:
        decay = f"leaky {self.start:g}" if self.tau_ms is None else f"leaky, τ = {self.tau_ms:g} ms"
        return f"{decay}, learned" if self.learned else decay

    def constructor(self) -> str:
        return call(
            "Leaky",
            self.start,
            rest=(self.rests, False),
            channels=(self.shape[0] if self.learned else None, None),
            activation=(self.function.constructor(), "nn.Identity()"),
        )

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"alpha": self.shape[:1]} if self.learned else {}

    def faults(self) -> Iterator[Fault]:
        decay, tau, dt = self.decay, self.tau_ms, self.dt_ms
        if decay is not None and tau is not None:
            yield "`decay` and `tau_ms` both say how fast the state decays", "Leave one of them out."
        elif decay is not None and not 0 <= decay <= 1:
            yield f"`decay` is {decay:g}, but it must be from 0 to 1", "Give the part of the old state that stays."
        elif tau is not None and dt is None:
            yield "`tau_ms` needs the duration of a step", "Give `dt_ms` under `time`."
        elif tau is not None and tau < dt:
            found = f"`tau_ms` is {tau:g}, shorter than a step of {dt:g} ms: the old state would turn negative"
            yield found, f"Give `tau_ms` at least {dt:g}, or make `dt_ms` smaller."
        elif self.learned and self.start in (0, 1):
            repair = "Start between 0 and 1." if tau is None else "Give a longer `tau_ms`."
            yield f"a learned decay cannot start at {self.start:g}, which σ never reaches", repair
        yield from unknown_activation(self.activation)


# ---- with gates ----------------------------------------------------------------


class SameConv2d(nn.Conv2d):
    """A convolution with an odd kernel that keeps height and width."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], bias: bool = True
    ) -> None:
        height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        padding = (height // 2, width // 2)
        super().__init__(in_channels, out_channels, (height, width), padding=padding, bias=bias)


@dataclass(frozen=True)
class Gated(Cell):
    """Base of the cells whose gates are maps of W ∗ [x, h] + b, where `gates` holds all W and b in the order of `maps`.

    Attributes:
        maps: names of the gates and candidates.
        module: name of the cell's module.
    """

    maps: ClassVar[tuple[str, ...]]
    module: ClassVar[str]

    kernel: Square = option((3, 3), "Kernel size of the gates; odd.", main=True)

    def summary(self) -> str:
        return self.module if self.kernel == (3, 3) else f"{by(self.kernel)} {self.module}"

    def constructor(self) -> str:
        return call(self.module, self.shape[0], self.kernel, **self.settings())

    def settings(self) -> dict[str, tuple[object, object]]:
        """Further arguments of the constructor, with their defaults."""
        return {}

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        channels = self.shape[0]
        rows = len(self.maps) * channels
        return {"gates.weight": (rows, 2 * channels, *self.kernel), "gates.bias": (rows,)}

    def windows(self) -> tuple[Pair, Pair]:
        return self.kernel, self.kernel

    def faults(self) -> Iterator[Fault]:
        if not all(k % 2 for k in self.kernel):
            found = f"a {by(self.kernel)} kernel has no centre, so the new state would be smaller than the old"
            yield found, "Give `kernel` odd numbers, such as 3."


@dataclass(frozen=True)
class Forgetting(Gated):
    """Base of the cells with a forget gate, which starts open, so that gradients reach far back."""

    forget_bias: Number = option(1.0, "Initial bias of the forget gate; above 0, the old state is kept.")

    def settings(self) -> dict[str, tuple[object, object]]:
        return {"forget_bias": (self.forget_bias, 1.0)}


class ConvGRU(nn.Module):
    """Ballas et al. 2016: h' = (1 − z) n + z h, where n = tanh(W_n ∗ x + b_n + r (U_n ∗ h + c_n)).

    The gates are r, z = σ(W ∗ x + U ∗ h + b); `input` holds W and b, `state` U, both in the order r, z, n.
    """

    def __init__(self, channels: int, kernel_size: int | tuple[int, int] = 3) -> None:
        super().__init__()
        self.input = SameConv2d(channels, 3 * channels, kernel_size)
        self.state = SameConv2d(channels, 3 * channels, kernel_size, bias=False)
        self.shift = nn.Parameter(torch.zeros(channels))  # c_n

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        h = torch.zeros_like(x) if h is None else h
        r_x, z_x, n_x = self.input(x).chunk(3, 1)
        r_h, z_h, n_h = self.state(h).chunk(3, 1)
        r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
        n = torch.tanh(n_x + r * (n_h + self.shift[:, None, None]))
        return (1 - z) * n + z * h


@register_cell("conv_gru")
@dataclass(frozen=True)
class ConvGRUCell(Gated):
    """A gated recurrent unit with convolutions (Cho et al. 2014; Ballas et al. 2016), in torch's convention.

    r = σ(W_r ∗ x + U_r ∗ h + b_r), z = σ(W_z ∗ x + U_z ∗ h + b_z),
    n = tanh(W_n ∗ x + b_n + r ∘ (U_n ∗ h + c_n)), h' = (1 − z) ∘ n + z ∘ h.
    """

    equation: ClassVar[str] = "h' = (1 − z) n + z h"
    maps: ClassVar[tuple[str, ...]] = ("r", "z", "n")
    module: ClassVar[str] = "ConvGRU"

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        channels = self.shape[0]
        weight = (3 * channels, channels, *self.kernel)
        return {"shift": (channels,), "input.weight": weight, "input.bias": (3 * channels,), "state.weight": weight}


class ConvLSTM(nn.Module):
    """Shi et al. 2015: c' = f c + i g, h' = o tanh(c').

    i, f, o = σ(W ∗ [x, h] + b) and g = tanh(W ∗ [x, h] + b), in the order i, f, g, o; with peepholes, c is seen
    by i and f, and c' by o, through one weight for each channel.
    """

    def __init__(
        self, channels: int, kernel_size: int | tuple[int, int] = 3, forget_bias: float = 1.0, peepholes: bool = False
    ) -> None:
        super().__init__()
        self.peepholes = nn.Parameter(torch.zeros(3 * channels)) if peepholes else None
        self.gates = SameConv2d(2 * channels, 4 * channels, kernel_size)
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


@register_cell("conv_lstm")
@dataclass(frozen=True)
class ConvLSTMCell(Forgetting):
    """Long short-term memory with convolutions (Shi et al. 2015).

    i, f, o = σ(W ∗ [x, h] + b), g = tanh(W_g ∗ [x, h] + b_g), c' = f ∘ c + i ∘ g, h' = o ∘ tanh(c').
    b_f starts at `forget_bias` (Jozefowicz et al. 2015). With `peepholes`, p_i ∘ c and p_f ∘ c stand in the sums
    of i and f, and p_o ∘ c' in that of o, one p for each channel.
    """

    equation: ClassVar[str] = "c' = f c + i g, h' = o tanh(c')"
    reads: ClassVar[tuple[str, ...]] = ("h", "c")
    hidden: ClassVar[tuple[str, ...]] = ("c",)
    maps: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    module: ClassVar[str] = "ConvLSTM"

    peepholes: Flag = option(False, "Whether the gates also see the cell's content c, by a weight for each channel.")

    def settings(self) -> dict[str, tuple[object, object]]:
        return {**super().settings(), "peepholes": (self.peepholes, False)}

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {**super().parameters(), **({"peepholes": (3 * self.shape[0],)} if self.peepholes else {})}


class UGRNN(nn.Module):
    """Collins et al. 2017: h' = g h + (1 − g) c, where c = tanh(W_c ∗ [x, h] + b_c).

    The gate is g = σ(W_g ∗ [x, h] + b_g + forget_bias); `gates` holds g, c.
    """

    def __init__(self, channels: int, kernel_size: int | tuple[int, int] = 3, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.gates = SameConv2d(2 * channels, 2 * channels, kernel_size)
        self.forget_bias = forget_bias

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        h = torch.zeros_like(x) if h is None else h
        g, c = self.gates(torch.cat([x, h], 1)).chunk(2, 1)
        g = torch.sigmoid(g + self.forget_bias)
        return g * h + (1 - g) * torch.tanh(c)


@register_cell("ugrnn")
@dataclass(frozen=True)
class UGRNNCell(Forgetting):
    """The update gate RNN (Collins, Sohl-Dickstein & Sussillo 2017) with convolutions.

    g = σ(W_g ∗ [x, h] + b_g + forget_bias), c = tanh(W_c ∗ [x, h] + b_c), h' = g ∘ h + (1 − g) ∘ c.
    """

    equation: ClassVar[str] = "h' = g h + (1 − g) c"
    maps: ClassVar[tuple[str, ...]] = ("g", "c")
    module: ClassVar[str] = "UGRNN"


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
class ReciprocalGatedCell(Gated, WithFunction):
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

    def settings(self) -> dict[str, tuple[object, object]]:
        return {"bias": (self.bias, False), "activation": (self.function.constructor(), "nn.Tanh()")}

    def windows(self) -> tuple[Pair, Pair]:
        return (1, 1), self.kernel  # x passes by

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        channels = self.shape[0]
        tensors = {"weight": (2 * channels, channels, *self.kernel)} | ({"bias": (2 * channels,)} if self.bias else {})
        return {f"{owner}.{name}": shape for owner in ("from_h", "from_c") for name, shape in tensors.items()}

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        yield from unknown_activation(self.activation)
