"""Two chains on one input: added, as the body and the shortcut of a residual block, or multiplied."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from cortexgraph.ops.base import Chain, Fault, Operation, Place, Shape, option
from cortexgraph.ops.registry import make_chain, register_operation
from cortexgraph.ops.torch_names import Tensor, nn
from cortexgraph.spec import Chain as Entries


class Residual(nn.Module):
    """y = body(x) + shortcut(x)."""

    stepwise = True

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        return self.body(x, update) + self.shortcut(x, update)


class Product(nn.Module):
    """y = body(x) · by(x)."""

    stepwise = True

    def __init__(self, body: nn.Module, by: nn.Module) -> None:
        super().__init__()
        self.body, self.by = body, by

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        return self.body(x, update) * self.by(x, update)


@dataclass(frozen=True)
class TwoChains(Operation):
    """Base of the operations of a body and another chain beside it.

    Attributes:
        module: name of the module.
        beside: the option that holds the other chain.
    """

    module: ClassVar[str]
    beside: ClassVar[str]

    body: Entries = option(
        ..., "The operations of the block.", main=True, example=[{"conv": 3}, {"norm": "batch"}, "relu", {"conv": 3}]
    )
    parts: Mapping[str, Chain] = field(default_factory=dict)

    @abstractmethod
    def faults(self) -> Iterator[Fault]:
        """Shapes that do not fit."""

    def placed(self, place: Place) -> Operation:
        parts = {}
        for name in ("body", self.beside):
            path = place.path if place.main == name else (*place.path, name)
            inner = replace(place.context, stride=(1, 1))
            parts[name] = make_chain(getattr(self, name), self.shape, inner, apart=place.apart, path=path)
        return replace(self, parts=parts)

    def _shapes(self) -> tuple[Shape, Shape] | None:
        """What the two chains give, if they can be made."""
        whole = all(chain.whole for chain in self.parts.values()) and 0 not in self.shape
        return (self.parts["body"].output, self.parts[self.beside].output) if whole else None

    def __hash__(self) -> int:  # the entries of a spec cannot be hashed
        return hash((self.shape, self.summary()))

    def chains(self) -> Mapping[str, Chain]:
        return self.parts

    def with_chains(self, chains: Mapping[str, Chain]) -> Self:
        return replace(self, parts=chains)

    def output(self) -> Shape:
        return self.parts["body"].output

    def field(self, axis: int, place: int) -> Iterable[int]:
        return {source for chain in self.parts.values() for source in chain.field(axis, place)}

    def constructor(self) -> str:
        return self.module


@register_operation("residual")
@dataclass(frozen=True)
class ResidualOperation(TwoChains):
    """A chain and a shortcut around it, added (He et al. 2016): y = body(x) + shortcut(x)."""

    equation: ClassVar[str] = "y = body(x) + shortcut(x)"
    module: ClassVar[str] = "Residual"
    beside: ClassVar[str] = "shortcut"

    __hash__ = TwoChains.__hash__

    shortcut: Entries = option((), "Operations of the shortcut; default: none (the identity).")

    def faults(self) -> Iterator[Fault]:
        shapes = self._shapes()
        if shapes is not None and shapes[0] != shapes[1]:
            found, other = (" × ".join(map(str, shape)) for shape in shapes)
            yield (
                f"the body gives {found}, but the shortcut gives {other}",
                "Give the shortcut operations that change the shape alike, such as "
                "`shortcut: [{conv: {kernel: 1, stride: 2}}]`.",
            )

    def summary(self) -> str:
        return f"residual ({self.parts['body'].summary(', ')})"


@register_operation("product")
@dataclass(frozen=True)
class ProductOperation(TwoChains):
    """Two chains on one input, multiplied: y = body(x) · by(x), as in units that gate themselves.

    A result of `by` with one channel, or of size 1 × 1, multiplies every channel, or every place:
    `{product: {body: [], by: [{pool: 1}, {conv: 1}, sigmoid]}}` weights the channels (Hu et al. 2018).
    """

    equation: ClassVar[str] = "y = body(x) · by(x)"
    module: ClassVar[str] = "Product"
    beside: ClassVar[str] = "by"

    __hash__ = TwoChains.__hash__

    by: Entries = option(
        (), "Operations of the factor; default: none (the identity).", example=[{"conv": 3}, "sigmoid"]
    )

    def faults(self) -> Iterator[Fault]:
        shapes = self._shapes()
        if shapes is None:
            return
        (channels, *size), (channels_by, *size_by) = shapes
        if channels_by not in (1, channels) or size_by not in ([1, 1], size):
            found, other = (" × ".join(map(str, shape)) for shape in shapes)
            repair = "Give `by` operations that change the shape alike, or end it with one channel or a size of 1 × 1."
            yield f"the body gives {found}, but `by` gives {other}", repair

    def summary(self) -> str:
        factor = self.parts["by"].summary(", ") or "itself"
        return f"({self.parts['body'].summary(', ') or 'itself'}) × ({factor})"
