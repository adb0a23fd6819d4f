"""What a cell is: how the new state of an area follows from the body's output and the old state."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from cortexgraph.ops.base import Context, Shape, State
from cortexgraph.ops.registry import Kind, Registry
from cortexgraph.spec.fields import WORD_PATTERN

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CELLS", "Cell", "Simple", "register_cell"]


@dataclass(frozen=True)
class Cell(ABC):
    """h' = cell(x, h), where x is the body's output [B, C, H, W] and h the old state (0 where the area was silent).

    A subclass is a frozen dataclass; its fields after `shape` are its options (`option`).

    Attributes:
        equation: what it computes.
        reads: the carried tensors that it reads, in the order of its module's arguments: `h` is the area's
            visible state, other names are hidden.
        hidden: the carried tensors that its module returns after the visible state.
        helpers: classes and functions of yours that the constructor names: the emitted file carries their source.
        shape: of x and of every carried tensor.
    """

    equation: ClassVar[str]
    reads: ClassVar[tuple[str, ...]] = ("h",)
    hidden: ClassVar[tuple[str, ...]] = ()
    helpers: ClassVar[tuple[Any, ...]] = ()

    shape: Shape

    @property
    def has_memory(self) -> bool:
        """Whether the new state depends on the old one."""
        return bool(self.reads)

    @abstractmethod
    def summary(self) -> str:
        """A word or two for tables and drawings."""

    @abstractmethod
    def constructor(self) -> str:
        """The expression that makes the module, whose `forward(x, *reads)` takes None for a silent state."""

    def reference(self, x: Tensor, carried: Mapping[str, Tensor], state: State, training: bool) -> dict[str, Tensor]:
        """What the module of this cell computes: the new visible state under `h`, and the hidden ones by name."""
        from cortexgraph.ops.running import run_cell

        return run_cell(self, x, carried, state, training)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the learned tensors, by short name."""
        return {}

    def windows(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Height and width of the windows, centred on a place, that its new state reads of x and of the old state."""
        return (1, 1), (1, 1)

    def macs(self) -> int:
        """Multiply-accumulate operations for one image."""
        return 0

    @classmethod
    def made(cls, shape: Shape, options: Mapping[str, Any]) -> Cell:
        """The cell of these options."""
        return cls(shape, **options)

    @classmethod
    def problem(cls, options: Any, shape: Shape, context: Context) -> tuple[str, str] | None:
        """What is wrong with these options, and its repair; None if nothing is."""
        return None


CELLS: Registry[Kind[Cell]] = Registry("cell")

C = TypeVar("C", bound=Cell)


def register_cell(name: str) -> Callable[[type[C]], type[C]]:
    """Class decorator: specs may name the cell from now on.

    Raises:
        ValueError: if the name is taken, or cannot be a word of the language.
    """

    def add(made_from: type[C]) -> type[C]:
        if not re.fullmatch(WORD_PATTERN, name):
            raise ValueError(f"`{name}` cannot be a cell: use small letters, digits and underscores")
        CELLS.register(name)(Kind(name, made_from))
        return made_from

    return add


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
