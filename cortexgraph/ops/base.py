"""What an operation is: options, output shape, parameters, cost, constructor text, and its meaning.

The module stands beside the operation in one file. Emitted files carry its source, and the reference interpreter runs
it; tests hold it to an independent implementation of the equation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from cortexgraph.ops.chain import Chain

__all__ = ["CONTEXT", "Context", "Given", "Operation", "Run", "Shape", "State", "Taken", "option", "text", "window"]

Shape = tuple[int, int, int]
"""Channels, height, width."""

State = Mapping[str, "Tensor"]
"""Entries of a state dict, by name within their owner."""

CONTEXT: Any = object()
"""Default of an option that the operation's place in the network decides."""


def window(n: int, start: int, kernel: int, dilation: int = 1) -> range:
    """The places of a window of `kernel` points from `start` on that lie within 0 … n − 1."""
    first = max(0, -(start // dilation)) if start < 0 else 0
    last = min(kernel - 1, (n - 1 - start) // dilation)
    return range(start + first * dilation, start + last * dilation + 1, dilation)


def text(pair: tuple[int, int]) -> str:
    """A pair as constructor text: one number where both are equal."""
    return str(pair[0]) if pair[0] == pair[1] else str(pair)


def option(default: Any = ..., description: str = "", *, main: bool = False) -> Any:
    """An option of an operation or cell: a dataclass field that specs can set.

    Args:
        default: `CONTEXT` takes the field of the same name from the `Context`; `...` makes it required.
        description: what it means, for the documentation and for findings.
        main: whether `{conv: 3}` may stand for `{conv: {kernel: 3}}`.
    """
    metadata = {"option": description, "main": main, "default": default}
    if default is ...:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Context:
    """What the place of an operation in the network decides: the defaults of options.

    Attributes:
        channels: of the area that owns or receives the chain.
        bias: whether a convolution that ends the chain has a bias.
        stride: of the first convolution whose stride is not written.
        dt_ms: duration of a step, if the spec gives it.
    """

    channels: int
    bias: bool = False
    stride: tuple[int, int] = (1, 1)
    dt_ms: float | None = None


@dataclass(frozen=True)
class Given:
    """What an operation with inner chains is made with, besides its options.

    Attributes:
        context: of its place.
        apart: whether all parameters are per step.
        path: of its options in the spec.
        main: its main option, if the spec has the value of that alone.
    """

    context: Context
    apart: bool = False
    path: tuple[str | int, ...] = ()
    main: str | None = None


@dataclass(frozen=True)
class Taken:
    """Statistics that an evaluation offers to running averages.

    Attributes:
        path: of the operation in the state dict, its per-step set included.
        averaged: the new entries of the state dict, by short name, from the old ones.
    """

    path: str
    averaged: Callable[[State], dict[str, Tensor]]


@dataclass(frozen=True)
class Run:
    """How a reference is run.

    Attributes:
        training: whether in training mode.
        update: the live update of the area, from 1.
        path: of the operation in the state dict, its per-step set included.
        taken: where operations with running averages leave their statistics; None if nobody asks.
    """

    training: bool
    update: int = 1
    path: str = ""
    taken: list[Taken] | None = field(default=None, compare=False)

    def at(self, path: str) -> Run:
        """The same for the operation at a path."""
        return replace(self, path=path)

    def take(self, averaged: Callable[[State], dict[str, Tensor]]) -> None:
        """Offer statistics to the running averages of the operation."""
        if self.taken is not None:
            self.taken.append(Taken(self.path, averaged))


@dataclass(frozen=True)
class Operation(ABC):
    """One step of a chain, from a tensor [B, C, H, W] to a tensor [B, C', H', W'].

    A subclass is a frozen dataclass; its fields after `shape` are its options (`option`).

    Attributes:
        role: its name within a chain, and that of its parameters in the state dict.
        equation: what it computes.
        random: whether two evaluations on equal input may differ.
        averages: whether it keeps running averages in training, which every evaluation moves (`Run.take`): its module
            does so as torch's batch norms do, only while `track_running_stats` holds.
        helpers: classes and functions of yours that the constructor names: the emitted file carries their source. The
            modules in the files of `cortexgraph.ops` are found by their names.
        shape: channels, height and width of the input.
    """

    role: ClassVar[str]
    equation: ClassVar[str]
    random: ClassVar[bool] = False
    averages: ClassVar[bool] = False
    helpers: ClassVar[tuple[Any, ...]] = ()

    shape: Shape

    @abstractmethod
    def summary(self) -> str:
        """A few words for tables and drawings, such as `3 × 3 conv, stride 2`."""

    @abstractmethod
    def constructor(self) -> str:
        """The expression that makes the module; of an operation with inner chains, the name of its class."""

    def reference(self, x: Tensor, state: State, run: Run) -> Tensor:
        """What the module of this operation computes, for the reference interpreter.

        `state` holds the entries of the state dict by short name, and the results of inner chains by their names.
        """
        from cortexgraph.ops.running import run_operation

        return run_operation(self, x, state, run)

    def output(self) -> Shape:
        """Shape of the result."""
        return self.shape

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the learned tensors, by short name, inner chains left out."""
        return {}

    def macs(self) -> int:
        """Multiply-accumulate operations for one image; elementwise work counts as none."""
        return 0

    def chains(self) -> Mapping[str, Chain]:
        """Inner chains, by the argument of the constructor that takes them."""
        return {}

    def field(self, axis: int, place: int) -> Iterable[int]:
        """Places of the input that a place of the result depends on, along an axis (0: height, 1: width).

        By default the same place, or all of them where the size changes. The statistics of a norm, which gather
        over space, do not count.
        """
        before, after = self.shape[1 + axis], self.output()[1 + axis]
        return (place,) if before == after else range(before)

    @classmethod
    def made(cls, shape: Shape, options: Mapping[str, Any], given: Given) -> Operation:
        """The operation of these options; those with inner chains need what else is given."""
        return cls(shape, **options)

    @classmethod
    def problem(cls, options: Any, shape: Shape, context: Context) -> tuple[str, str] | None:
        """What is wrong with these options at this place, and its repair; None if nothing is."""
        return None

    def fault(self) -> tuple[str, str] | None:
        """What is wrong with the operation once its inner chains are made, and its repair; None if nothing is."""
        return None
