"""Elementwise nonlinearities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from cortexgraph.ops.base import Operation, Run, State
from cortexgraph.ops.make import register_operation
from cortexgraph.ops.registry import Registry
from cortexgraph.ops.torch_names import Tensor, nn, torch

__all__ = ["ACTIVATIONS", "Activation", "Nonlinearity", "sigmoid", "tanh"]


class Absolute(nn.Module):
    """y = |x|."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


class Saturating(nn.Module):
    """y = x₊ / (1 + x₊)."""

    def forward(self, x: Tensor) -> Tensor:
        positive = torch.relu(x)
        return positive / (1 + positive)


@dataclass(frozen=True)
class Nonlinearity:
    """A function by its name, the constructor of its module, and its equation."""

    name: str
    constructor: str
    function: Callable[[Tensor], Tensor]


ACTIVATIONS: Registry[Nonlinearity] = Registry("activation")


@dataclass(frozen=True)
class Activation(Operation):
    """y = f(x), elementwise."""

    role: ClassVar[str] = "activation"
    equation: ClassVar[str] = "y = f(x)"

    kind: str

    def summary(self) -> str:
        return self.kind

    def constructor(self) -> str:
        return ACTIVATIONS[self.kind].constructor

    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        return ACTIVATIONS[self.kind].function(x)


# Derivatives at 0 matter: a silent unit sits there exactly. Each function has torch's one-sided choice.


def _relu(x: Tensor) -> Tensor:
    return x * (x > 0)


def _leaky_relu(x: Tensor) -> Tensor:
    return x * (x > 0) + 0.01 * x * (x <= 0)


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + (x / 2**0.5).erf())  # x Φ(x) (Hendrycks & Gimpel 2016)


def _elu(x: Tensor) -> Tensor:
    return x * (x > 0) + ((x * (x <= 0)).exp() - 1)  # Clevert et al. 2016, α = 1


def _softplus(x: Tensor) -> Tensor:
    return (x + x.abs()) / 2 + (-x.abs()).exp().log1p()  # log(1 + e^x) without overflow


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^−x), without overflow of its gradient: e^|x| never occurs."""
    positive = (x >= 0).to(x.dtype)
    small = ((1 - 2 * positive) * x).exp()
    return (positive + (1 - positive) * small) / (1 + small)


def tanh(x: Tensor) -> Tensor:
    return 2 * sigmoid(2 * x) - 1


def _saturating(x: Tensor) -> Tensor:
    return _relu(x) / (1 + _relu(x))  # half its maximum at x = 1 (Naka & Rushton 1966; Fukushima's 1980 ψ)


_TABLE: tuple[tuple[str, str, Callable[[Tensor], Tensor]], ...] = (
    ("relu", "nn.ReLU()", _relu),
    ("leaky_relu", "nn.LeakyReLU()", _leaky_relu),
    ("gelu", "nn.GELU()", _gelu),
    ("elu", "nn.ELU()", _elu),
    ("silu", "nn.SiLU()", lambda x: x * sigmoid(x)),
    ("tanh", "nn.Tanh()", tanh),
    ("sigmoid", "nn.Sigmoid()", sigmoid),
    ("softplus", "nn.Softplus()", _softplus),
    ("abs", "Absolute()", lambda x: x * ((x > 0).to(x.dtype) - (x < 0).to(x.dtype))),
    ("saturating", "Saturating()", _saturating),
    ("identity", "nn.Identity()", lambda x: x),
)

for _name, _text, _function in _TABLE:
    ACTIVATIONS.register(_name)(Nonlinearity(_name, _text, _function))
    register_operation(_name, kind=_name)(Activation)
