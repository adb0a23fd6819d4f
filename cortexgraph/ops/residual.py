"""A residual block: a chain beside a shortcut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from cortexgraph.ops.base import Chain, Fault, Operation, Options, Place, Shape, option
from cortexgraph.ops.make import make_chain
from cortexgraph.ops.registry import register_operation
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

    @classmethod
    def made(cls, shape: Shape, options: Options, place: Place) -> Operation:
        inner = replace(place.context, stride=(1, 1))
        parts = {}
        for name in ("body", "shortcut"):
            path = place.path if place.main == name else (*place.path, name)
            parts[name] = make_chain(options[name], shape, inner, apart=place.apart, path=path)
        return cls(shape, options["body"], options["shortcut"], parts)

    def fault(self) -> Fault | None:
        body, shortcut = (self.parts[name].output for name in ("body", "shortcut"))
        if not all(chain.whole for chain in self.parts.values()) or 0 in self.shape or body == shortcut:
            return None
        found, other = (" × ".join(map(str, s)) for s in (body, shortcut))
        return (
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
