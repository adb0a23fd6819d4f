"""Elementwise nonlinearities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cortexgraph.ops.base import Operation
from cortexgraph.ops.make import register_operation
from cortexgraph.ops.registry import Registry
from cortexgraph.ops.torch_names import Tensor, nn, torch

__all__ = ["ACTIVATIONS", "Activation"]


class Absolute(nn.Module):
    """y = |x|."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


class Saturating(nn.Module):
    """y = x₊ / (1 + x₊)."""

    def forward(self, x: Tensor) -> Tensor:
        positive = torch.relu(x)
        return positive / (1 + positive)


ACTIVATIONS: Registry[str] = Registry("activation")
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


_MODULES = {
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

for _name, _constructor in _MODULES.items():
    ACTIVATIONS.register(_name)(_constructor)
    register_operation(_name, kind=_name)(Activation)
