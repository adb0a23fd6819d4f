"""What an operation is: parameters, output shape, cost, constructor text, and its meaning.

Each operation states its computation twice: as the text of a `torch.nn` constructor, which emitted modules
use, and as `reference`, plain tensor arithmetic from the equation, which the reference interpreter uses. Tests
hold the two equal. Nothing here imports torch until `reference` runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Operation", "Shape", "text"]

Shape = tuple[int, int, int]
"""Channels, height, width."""


def text(pair: tuple[int, int]) -> str:
    """A pair as constructor text: one number where both are equal."""
    return str(pair[0]) if pair[0] == pair[1] else str(pair)


@dataclass(frozen=True)
class Operation(ABC):
    """One step of a chain, from a tensor [B, C, H, W] to a tensor [B, C', H', W'].

    Attributes:
        role: name of the operation within its chain, and of its parameters in the state dict.
        equation: what it computes.
        per_step: one set of parameters for each live update of the area.
    """

    role: ClassVar[str]
    equation: ClassVar[str]

    @property
    def per_step(self) -> bool:
        return False

    @abstractmethod
    def summary(self) -> str:
        """A few words for tables and drawings, such as `3 × 3 conv, stride 2`."""

    @abstractmethod
    def constructor(self) -> str:
        """The `torch.nn` expression that makes the module (one set, for a per-step operation)."""

    @abstractmethod
    def reference(self, x: Tensor, state: Mapping[str, Tensor], *, training: bool) -> Tensor:
        """The equation, in tensor arithmetic; `state` holds the entries of the state dict by short name."""

    def output(self, shape: Shape) -> Shape:
        """Shape of the result."""
        return shape

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the learned tensors, by short name (one set, for a per-step operation)."""
        return {}

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulate operations for one image of `shape`; elementwise work counts as none."""
        return 0
