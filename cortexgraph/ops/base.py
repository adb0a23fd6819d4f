"""What an operation, a cell and a chain of operations are: shape, cost, receptive field, equation and module.

The torch module of an operation or cell stands beside it in one file. Emitted files carry its source, and the reference
interpreter runs it; tests hold it to an independent implementation of the equation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, ClassVar, Self

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from cortexgraph.spec.origin import Path

Shape = tuple[int, int, int]
"""Channels, height, width."""

Pair = tuple[int, int]
"""Height and width."""

Options = Mapping[str, Any]
"""Values of options by their names."""

Fault = tuple[str, str]
"""What is wrong with an operation or cell, and how to repair it."""

Helper = type | Callable[..., Any]
"""A class or function that a constructor names."""

CONTEXT: Any = object()
"""Default of an option that the operation's place in the network decides."""


# ---- options and constructors --------------------------------------------------


def option(default: object = ..., description: str = "", *, main: bool = False, example: object = None) -> Any:
    """An option of an operation or cell: a dataclass field that specs can set.

    Args:
        default: `CONTEXT` takes the field of the same name from the `Context`; `...` makes it required.
        description: what it means, for the documentation and for findings.
        main: whether `{conv: 3}` may stand for `{conv: {kernel: 3}}`.
        example: a value, for the documentation; default: the default.
    """
    metadata = {"option": description, "main": main, "default": default, "example": example}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


def text(value: object) -> str:
    """A value as constructor text: a pair of equal numbers as one number. A string is such text already."""
    if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1]:
        return str(value[0])
    return str(value)


class Constructor(str):
    """A call as text, which keeps its parts.

    Attributes:
        name: what is called.
        arguments: the values, each with its name, or with empty text where it goes by its place.
    """

    name: str
    arguments: tuple[tuple[str, object], ...]


def call(name: str, /, *arguments: object, **options: tuple[object, object]) -> Constructor:
    """A constructor call. An option is given as (value, default), and left out where the two are equal.

    >>> call("nn.Conv2d", 3, 8, (5, 5), stride=((2, 2), 1), bias=(True, True))
    'nn.Conv2d(3, 8, 5, stride=2)'
    """
    named = [(option, value) for option, (value, default) in options.items() if text(value) != text(default)]
    every = (*(("", value) for value in arguments), *named)
    constructor = Constructor(f"{name}({', '.join(f'{key}={text(v)}' if key else text(v) for key, v in every)})")
    constructor.name, constructor.arguments = name, every
    return constructor


@dataclass(frozen=True)
class Context:
    """What the place of an operation or cell in the network decides: the defaults of options.

    Attributes:
        channels: of the area that owns or receives the chain.
        bias: whether a convolution that ends the chain has a bias.
        stride: of the first convolution whose stride is not written.
        dt_ms: duration of a step, if the spec gives it.
    """

    channels: int
    bias: bool = False
    stride: Pair = (1, 1)
    dt_ms: float | None = None


@dataclass(frozen=True)
class Place:
    """Where an entry stands, for operations with inner chains.

    Attributes:
        context: the defaults of options.
        apart: whether all parameters are per step.
        path: of its options in the spec.
        main: its main option, if the spec has the value of that alone.
    """

    context: Context
    apart: bool = False
    path: Path = ()
    main: str | None = None


# ---- operations and cells ------------------------------------------------------


@dataclass(frozen=True)
class Component(ABC):
    """Base of operations and cells: a frozen dataclass whose fields after `shape` are its options (`option`).

    Attributes:
        equation: what it computes.
        helpers: classes and functions of yours that the constructor names: the emitted file carries their source. The
            modules in the files of `cortexgraph.ops` are found by their names.
        shape: channels, height and width of the input.
    """

    equation: ClassVar[str]
    helpers: ClassVar[tuple[Helper, ...]] = ()

    shape: Shape

    def definitions(self) -> tuple[Helper, ...]:
        """Its helpers, and those of the functions that it applies."""
        return self.helpers

    @abstractmethod
    def summary(self) -> str:
        """A few words for tables and drawings, such as `3 × 3 conv, stride 2`."""

    @abstractmethod
    def constructor(self) -> str:
        """The expression that makes the module."""

    def output(self) -> Shape:
        """Shape of the result."""
        return self.shape

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the learned tensors, by short name, inner chains left out."""
        return {}

    def macs(self) -> int:
        """Multiply-accumulate operations for one image; elementwise work counts as none.

        By default each weight of two or more dimensions is used once at each place of the result.
        """
        weights = sum(prod(shape) for shape in self.parameters().values() if len(shape) > 1)
        return weights and weights * self.output()[1] * self.output()[2]

    def placed(self, place: Place) -> Component:
        """What is computed at this place: inner chains are made, and a word that stands for another is replaced."""
        return self

    def faults(self) -> Iterator[Fault]:
        """What is wrong with it, each with the repair."""
        yield from ()


@dataclass(frozen=True)
class Operation(Component):
    """One step of a chain, from a tensor [B, C, H, W] to a tensor [B, C', H', W'].

    The constructor of an operation with inner chains is the name of a class, whose arguments are these chains' modules.

    Attributes:
        role: its name within a chain, where that is not its word in the language: all activations have one.
        former_role: its name within a chain in version 0.1, where it was another.
        random: whether two evaluations on equal input may differ.
        rising: whether its result never falls where its input rises (`rises`).
        averages: whether it has running statistics, which every evaluation in training moves: its module does so as
            torch's batch norms do, only while `track_running_stats` holds.
    """

    role: ClassVar[str] = ""
    former_role: ClassVar[str] = ""
    random: ClassVar[bool] = False
    rising: ClassVar[bool] = False
    averages: ClassVar[bool] = False

    def rises(self) -> bool:
        """Whether its result never falls where its input rises, so that a connection with a `sign` may have it."""
        return self.rising

    def counts(self) -> bool:
        """Whether its module takes the number of the update, from 1, beside the input."""
        return False

    def masks(self) -> bool:
        """Whether its module draws, by `draw(x)`, what holds for all steps of a call of the network: its `mask`."""
        return False

    def shared(self, owner: str, same: bool) -> str:
        """The expression that makes its module with the parameters of the module at `owner`.

        Args:
            owner: path of that module.
            same: whether that module computes this very operation.
        """
        return call("Shared", f"self.{owner}")

    def chains(self) -> Mapping[str, Chain]:
        """Inner chains, by the argument of the constructor that takes them."""
        return {}

    def with_chains(self, chains: Mapping[str, Chain]) -> Self:
        """The same operation with other inner chains."""
        raise NotImplementedError(f"{type(self).__name__} has no inner chains")

    def field(self, axis: int, place: int) -> Iterable[int]:
        """Places of the input that a place of the result depends on, along an axis (0: height, 1: width).

        By default the same place, or all of them where the size changes. The statistics of a norm, which gather
        over space, do not count.
        """
        before, after = self.shape[1 + axis], self.output()[1 + axis]
        return (place,) if before == after else range(before)

    @classmethod
    def shifts(cls, options: Options) -> bool | None:
        """Whether a bias right before it is redundant, as before a norm with a learned shift.

        None if that depends on the operation after it, as for dropout. The options are as the spec has them.
        """
        return False


@dataclass(frozen=True)
class StandIn(Operation):
    """Base of the words whose `placed` gives another operation, which computes; a stand-in itself computes nothing."""

    def summary(self) -> str:
        return ""

    def constructor(self) -> str:
        raise AssertionError(f"{type(self).__name__} stands for another operation")


@dataclass(frozen=True)
class Cell(Component):
    """h' = cell(x, h), where x is the body's output [B, C, H, W] and h the old state (0 where the area was silent).

    The module of the constructor has `forward(x, *reads)`, which takes None for a silent state.

    Attributes:
        reads: the carried tensors that it reads, in the order of its module's arguments: `h` is the area's
            visible state, other names are hidden.
        hidden: the carried tensors that its module returns after the visible state.
    """

    reads: ClassVar[tuple[str, ...]] = ("h",)
    hidden: ClassVar[tuple[str, ...]] = ()

    @property
    def has_memory(self) -> bool:
        """Whether the new state depends on the old one."""
        return bool(self.reads)

    def windows(self) -> tuple[Pair, Pair]:
        """Height and width of the windows, centred on a place, that its new state reads of x and of the old state."""
        return (1, 1), (1, 1)


# ---- chains --------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """What is wrong with an entry: an unknown word, an option that validation refused, or a rule of the operation.

    Attributes:
        path: of the entry, or of its options.
        word: the operation or cell.
        detail: pydantic's error about `options`, the model of the options, at `inside` below `path`.
        found, repair: the broken rule.
    """

    path: Path
    word: str
    detail: ErrorDetails | None = None
    options: type[BaseModel] | None = None
    inside: Path = ()
    found: str = ""
    repair: str = ""


@dataclass(frozen=True)
class Link:
    """An operation at its place in a chain.

    Attributes:
        name: unique within the chain; that of its parameters in the state dict.
        word: the operation's name in the language.
        options: what a spec would have to say for this very operation.
        operation: what is computed.
        per_step: whether there is one set of its parameters for each live update.
        owner: path in the state dict of the parameters it uses, if another connection owns them.
        same: whether the owner's module computes this very operation.
        by_place: the options that its place decided.
    """

    name: str
    word: str
    options: Options = field(compare=False)
    operation: Operation
    per_step: bool = False
    owner: str | None = None
    same: bool = True
    by_place: frozenset[str] = frozenset()

    @property
    def constructor(self) -> str:
        """The expression that makes its module."""
        return self.operation.constructor() if self.owner is None else self.operation.shared(self.owner, self.same)


@dataclass(frozen=True)
class Chain:
    """Operations one after another, on an input of a known shape.

    Attributes:
        shape: of the input.
        links: the operations.
        problems: why entries of the spec, which are left out, could not be made.
        sound: False where something else is wrong with it, which the checks say.
    """

    shape: Shape
    links: tuple[Link, ...] = ()
    problems: tuple[Problem, ...] = field(default=(), compare=False)
    sound: bool = True

    def __iter__(self) -> Iterator[Link]:
        return iter(self.links)

    def __len__(self) -> int:
        return len(self.links)

    @property
    def whole(self) -> bool:
        """Whether nothing is left out or wrong."""
        return self.sound and not self.problems

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(link.operation for link in self.links)

    @property
    def output(self) -> Shape:
        """Shape of the result."""
        return self.links[-1].operation.output() if self.links else self.shape

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Link]]:
        """Every link, also of inner chains, with its path in the state dict."""
        for link in self.links:
            path = f"{prefix}.{link.name}" if prefix else link.name
            yield path, link
            for name, chain in link.operation.chains().items():
                yield from chain.walk(f"{path}.{name}")

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulate operations for one image."""
        return sum(link.operation.macs() for _, link in self.walk())

    @cached_property
    def per_step(self) -> bool:
        """Whether some operation, also of an inner chain, has one set of parameters for each live update."""
        return any(link.per_step for _, link in self.walk())

    @cached_property
    def counts(self) -> bool:
        """Whether its module needs the number of the update."""
        return self.per_step or any(link.operation.counts() for _, link in self.walk())

    @cached_property
    def masks(self) -> bool:
        """Whether something in it is drawn once for all steps of a call."""
        return any(link.operation.masks() for _, link in self.walk())

    @cached_property
    def random(self) -> bool:
        """Whether two evaluations on equal input may differ."""
        return any(link.operation.random for _, link in self.walk())

    @cached_property
    def averages(self) -> bool:
        """Whether it has running statistics: in training it is not a pure function, and each evaluation counts."""
        return any(link.operation.averages for _, link in self.walk())

    def field(self, axis: int, place: int) -> frozenset[int]:
        """Places of the input that a place of the result depends on, along an axis (0: height, 1: width)."""
        places = frozenset({place})
        for operation in reversed(self.operations):
            places = frozenset(source for at in places for source in operation.field(axis, at))
        return places

    def parameters(self, sets: int = 1) -> int:
        """Number of learned numbers of its own; a per-step operation counts `sets` times."""
        return sum(
            prod(shape) * (sets if link.per_step else 1)
            for _, link in self.walk()
            if link.owner is None
            for shape in link.operation.parameters().values()
        )

    def summary(self, separator: str = " → ") -> str:
        return separator.join(words for link in self.links if (words := link.operation.summary()))
