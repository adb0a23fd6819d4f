"""Elementwise operations: activations, dropout, and what a connection does with its transform's result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from cortexgraph.ops.base import Fault, Operation, Options, call, option
from cortexgraph.ops.registry import register_operation
from cortexgraph.ops.torch_names import Tensor, nn, torch
from cortexgraph.spec.fields import Flag, Probability
from cortexgraph.wording import suggest

__all__ = ["ACTIVATIONS", "Activation", "Dropout", "GainOperation", "GateOperation", "unknown_activation"]


# ---- activations ---------------------------------------------------------------


class Absolute(nn.Module):
    """y = |x|."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


class Saturating(nn.Module):
    """y = x₊ / (1 + x₊)."""

    def forward(self, x: Tensor) -> Tensor:
        positive = torch.relu(x)
        return positive / (1 + positive)


ACTIVATIONS: Mapping[str, str] = {
    "relu": "nn.ReLU()",
    "leaky_relu": "nn.LeakyReLU()",
    "gelu": "nn.GELU()",
    "elu": "nn.ELU()",
    "silu": "nn.SiLU()",
    "tanh": "nn.Tanh()",
    "sigmoid": "nn.Sigmoid()",
    "softplus": "nn.Softplus()",
    "abs": "Absolute()",
    "saturating": "Saturating()",
    "identity": "nn.Identity()",
}
"""The constructor of each activation's module, by the word of the language."""


@dataclass(frozen=True)
class Activation(Operation):
    """y = f(x), elementwise."""

    role: ClassVar[str] = "activation"
    equation: ClassVar[str] = "y = f(x)"

    kind: str

    def summary(self) -> str:
        return self.kind

    def constructor(self) -> str:
        return ACTIVATIONS[self.kind]

    @classmethod
    def shifts(cls, options: Options) -> bool | None:
        return None if options["kind"] == "identity" else False


for _name in ACTIVATIONS:
    register_operation(_name, kind=_name)(Activation)


def unknown_activation(name: str) -> Iterator[Fault]:
    """What is wrong with the name of an activation, and the repair."""
    if name not in ACTIVATIONS:
        known = f"Choose one of {', '.join(ACTIVATIONS)}."
        yield f"no activation is called `{name}`", suggest(name, ACTIVATIONS, known)


# ---- dropout -------------------------------------------------------------------


@register_operation("dropout")
@dataclass(frozen=True)
class Dropout(Operation):
    """In training, zeros values with probability p and scales the rest by 1/(1 − p) (Srivastava et al. 2014).

    Each evaluation draws anew; with `channels: true` whole channels are dropped.
    """

    equation: ClassVar[str] = "y = x · m / (1 − p), m ~ Bernoulli(1 − p)"
    random: ClassVar[bool] = True

    p: Probability = option(0.5, "Probability of being dropped.", main=True)
    channels: Flag = option(False, "Whether whole channels are dropped.")

    def summary(self) -> str:
        return f"dropout {self.p:g}"

    def constructor(self) -> str:
        return call("nn.Dropout2d" if self.channels else "nn.Dropout", self.p)

    @classmethod
    def shifts(cls, options: Options) -> bool | None:
        return None


# ---- a connection's `gain`, `role` and `gate`, which specs do not name as operations ----


class Gain(nn.Module):
    """A factor: fixed, or learned and 1 at first."""

    def __init__(self, value: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(())) if learned else value

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


@dataclass(frozen=True)
class GainOperation(Operation):
    """y = g x, with a fixed g, or a learned one that starts at 1."""

    role: ClassVar[str] = "gain"

    value: float | None

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": ()} if self.value is None else {}

    def summary(self) -> str:
        return "learned gain" if self.value is None else f"gain {self.value:g}"

    def constructor(self) -> str:
        return call("Gain", learned=(True, None)) if self.value is None else call("Gain", self.value)


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


@dataclass(frozen=True)
class GateOperation(Operation):
    """1 + m, 1 + tanh m, 2σ(m) or 1 / (1 + m): 1 at m = 0."""

    role: ClassVar[str] = "gate"

    kind: Literal["linear", "tanh", "sigmoid", "divisive"]

    def summary(self) -> str:
        gates = {"linear": "1 + m", "tanh": "1 + tanh m", "sigmoid": "2σ(m)", "divisive": "1 / (1 + m)"}
        return f"gate {gates[self.kind]}"

    def constructor(self) -> str:
        return f'Gate("{self.kind}")'
