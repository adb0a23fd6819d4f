"""What a connection does with its transform's result: a gain, or a gate by which the merge is multiplied.

Specs do not name these as operations: they follow from `gain`, `role` and `gate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from cortexgraph.ops.base import Operation
from cortexgraph.ops.torch_names import Tensor, nn, torch

__all__ = ["Gain", "Gate"]


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
    equation: ClassVar[str] = "y = g x"

    value: float | None

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": ()} if self.value is None else {}

    def summary(self) -> str:
        return "learned gain" if self.value is None else f"gain {self.value:g}"

    def constructor(self) -> str:
        return f"Gain({'learned=True' if self.value is None else self.value})"


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
    equation: ClassVar[str] = "g = 1 + m, 1 + tanh m, 2σ(m) or 1 / (1 + m)"

    kind: Literal["linear", "tanh", "sigmoid", "divisive"]

    def summary(self) -> str:
        gates = {"linear": "1 + m", "tanh": "1 + tanh m", "sigmoid": "2σ(m)", "divisive": "1 / (1 + m)"}
        return f"gate {gates[self.kind]}"

    def constructor(self) -> str:
        return f'Gate("{self.kind}")'
