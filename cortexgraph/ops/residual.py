"""A residual block: a chain beside a shortcut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from cortexgraph.ops.base import Chain, Fault, Operation, Place, Shape, option
from cortexgraph.ops.registry import make_chain, register_operation
from cortexgraph.ops.torch_names import Tensor, nn
from cortexgraph.spec import Chain as Entries

__all__ = ["Residual"]


class Residual(nn.Module):
    """y = body(x) + shortcut(x)."""

    stepwise = True

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        return self.body(x, update) + self.shortcut(x, update)


@register_operation("residual")
@dataclass(frozen=True)
class ResidualOperation(Operation):
    """A chain and a shortcut around it, added (He et al. 2016): y = body(x) + shortcut(x)."""

    equation: ClassVar[str] = "y = body(x) + shortcut(x)"

    body: Entries = option(
        ..., "The operations of the block.", main=True, example=[{"conv": 3}, {"norm": "batch"}, "relu", {"conv": 3}]
    )
    shortcut: Entries = option((), "Operations of the shortcut; default: none (the identity).")
    parts: Mapping[str, Chain] = field(default_factory=dict)

    def placed(self, place: Place) -> Operation:
        parts = {}
        for name, entries in (("body", self.body), ("shortcut", self.shortcut)):
            path = place.path if place.main == name else (*place.path, name)
            inner = replace(place.context, stride=(1, 1))
            parts[name] = make_chain(entries, self.shape, inner, apart=place.apart, path=path)
        return replace(self, parts=parts)

    def faults(self) -> Iterator[Fault]:
        body, shortcut = (self.parts[name].output for name in ("body", "shortcut"))
        if all(chain.whole for chain in self.parts.values()) and 0 not in self.shape and body != shortcut:
            found, other = (" × ".join(map(str, shape)) for shape in (body, shortcut))
            yield (
                f"the body gives {found}, but the shortcut gives {other}",
                "Give the shortcut operations that change the shape alike, such as "
                "`shortcut: [{conv: {kernel: 1, stride: 2}}]`.",
            )

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

    def summary(self) -> str:
        return f"residual ({self.parts['body'].summary(', ')})"

    def constructor(self) -> str:
        return "Residual"
