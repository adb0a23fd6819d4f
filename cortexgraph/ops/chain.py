"""Chains of operations: the transform of a connection, the body of an area."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from cortexgraph.ops.base import Operation, Run, Shape, State
from cortexgraph.spec.origin import Path

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Chain", "Link", "Problem", "part"]


def part(state: State, prefix: str) -> dict[str, Tensor]:
    """The entries below a prefix, by the rest of their names."""
    return {name[len(prefix) + 1 :]: value for name, value in state.items() if name.startswith(prefix + ".")}


@dataclass(frozen=True)
class Problem:
    """What is wrong with an entry: an unknown word, an option that validation refused, or a rule of the operation.

    Attributes:
        path: of the entry, or of its options.
        word: the operation.
        detail: pydantic's error about `options`.
        options: the model of the options.
        inside: path of that error below `path`.
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
        by_place: the options that its place decided.
    """

    name: str
    word: str
    options: Mapping[str, Any] = field(compare=False)
    operation: Operation
    per_step: bool = False
    owner: str | None = None
    by_place: frozenset[str] = frozenset()


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

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulate operations for one image."""
        inner = sum(chain.macs for operation in self.operations for chain in operation.chains().values())
        return inner + sum(operation.macs() for operation in self.operations)

    def field(self, axis: int, place: int) -> frozenset[int]:
        """Places of the input that a place of the result depends on, along an axis (0: height, 1: width)."""
        places = frozenset({place})
        for operation in reversed(self.operations):
            places = frozenset(source for at in places for source in operation.field(axis, at))
        return places

    @cached_property
    def per_step(self) -> bool:
        """Whether some operation, also of an inner chain, has one set of parameters for each live update."""
        return any(link.per_step or any(c.per_step for c in link.operation.chains().values()) for link in self.links)

    @cached_property
    def random(self) -> bool:
        """Whether two evaluations on equal input may differ."""
        return any(op.random or any(chain.random for chain in op.chains().values()) for op in self.operations)

    @cached_property
    def averages(self) -> bool:
        """Whether it keeps running averages in training: then it is no pure function, and each evaluation counts."""
        inner = (chain for operation in self.operations for chain in operation.chains().values())
        return any(operation.averages for operation in self.operations) or any(chain.averages for chain in inner)

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Link]]:
        """Every link, also of inner chains, with its path in the state dict."""
        for link in self.links:
            path = f"{prefix}.{link.name}" if prefix else link.name
            yield path, link
            for name, chain in link.operation.chains().items():
                yield from chain.walk(f"{path}.{name}")

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

    def reference(self, x: Tensor, state: State, prefix: str, run: Run) -> Tensor:
        """The chain's equations, one after another.

        Args:
            x: [B, *shape].
            state: the whole state dict.
            prefix: path of the chain in it.
            run: how.
        """
        for link in self.links:
            path = link.owner or f"{prefix}.{link.name}"
            own = part(state, path)
            if link.per_step:  # beyond the last set, the last is reused
                sets = 1 + max((int(name.split(".")[0]) for name in own), default=0)
                index = str(min(run.update, sets) - 1)
                own, path = part(own, index), f"{path}.{index}"
            chains = link.operation.chains()
            inner = {name: c.reference(x, state, f"{prefix}.{link.name}.{name}", run) for name, c in chains.items()}
            x = link.operation.reference(x, own | inner, run.at(path))
        return x
