"""What a connection does with its transform's result: a gain, or a gate by which the merge is multiplied.

Specs do not name these as operations: they follow from `gain`, `role` and `gate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cortexgraph.ops.activation import sigmoid, tanh
from cortexgraph.ops.base import Operation, Run, State

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Gain", "Gate"]


@dataclass(frozen=True)
class Gain(Operation):
    """y = g x, with a fixed g, or a learned one that starts at 1."""

    role: ClassVar[str] = "gain"
    equation: ClassVar[str] = "y = g x"
    helpers: ClassVar[tuple[Any, ...]] = ("Gain",)

    value: float | None

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": ()} if self.value is None else {}

    def summary(self) -> str:
        return "learned gain" if self.value is None else f"gain {self.value:g}"

    def constructor(self) -> str:
        return f"Gain({'learned=True' if self.value is None else self.value})"

    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        return x * (state["weight"] if self.value is None else self.value)


@dataclass(frozen=True)
class Gate(Operation):
    """1 + m, 1 + tanh m, 2σ(m) or 1 / (1 + m): 1 at m = 0."""

    role: ClassVar[str] = "gate"
    equation: ClassVar[str] = "g = 1 + m, 1 + tanh m, 2σ(m) or 1 / (1 + m)"
    helpers: ClassVar[tuple[Any, ...]] = ("Gate",)

    kind: Literal["linear", "tanh", "sigmoid", "divisive"]

    def summary(self) -> str:
        gates = {"linear": "1 + m", "tanh": "1 + tanh m", "sigmoid": "2σ(m)", "divisive": "1 / (1 + m)"}
        return f"gate {gates[self.kind]}"

    def constructor(self) -> str:
        return f'Gate("{self.kind}")'

    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        match self.kind:
            case "linear":
                return 1 + x
            case "tanh":
                return 1 + tanh(x)
            case "divisive":
                return 1 / (1 + x)
        return 2 * sigmoid(x)
