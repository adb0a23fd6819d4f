"""Resizing: how a connection bridges two sizes that the stride of its convolution does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cortexgraph.ops.base import Operation, Shape, option, text
from cortexgraph.ops.make import register_operation
from cortexgraph.spec.fields import Square
from cortexgraph.wording import by

if TYPE_CHECKING:
    pass

__all__ = ["RESIZES", "Bilinear", "Nearest", "Pool", "Resize"]


@dataclass(frozen=True)
class Resize(Operation):
    """Base of the resizing operations: to a fixed height and width."""

    role: ClassVar[str] = "resize"

    size: Square = option(..., "Height and width of the result.", main=True)

    def summary(self) -> str:
        return f"{type(self).__name__.lower()} to {by(self.size)}"

    def output(self) -> Shape:
        return (self.shape[0], *self.size)


def _along(n: int, size: int) -> list[tuple[int, int, float]]:
    """For each output place along one axis: left neighbour, right neighbour, weight of the right one."""
    places = []
    for i in range(size):
        at = max((i + 0.5) * n / size - 0.5, 0.0)
        left = min(int(at), n - 1)
        places.append((left, min(left + 1, n - 1), at - left))
    return places


@register_operation("nearest")
@dataclass(frozen=True)
class Nearest(Resize):
    """Nearest-neighbour interpolation: y[i, j] = x[⌊i · H / H'⌋, ⌊j · W / W'⌋].

    torch computes i · H / H' in 32 bits, so that for some ratios that are not whole (such as 26 to 22) a place falls
    on the neighbour; for all whole ratios up to 256 it does not.
    """

    equation: ClassVar[str] = "y[i, j] = x[⌊i·H/H'⌋, ⌊j·W/W'⌋]"

    def constructor(self) -> str:
        return f'nn.Upsample(size={self.size}, mode="nearest")'

    def field(self, axis: int, place: int) -> Iterable[int]:
        return (place * self.shape[1 + axis] // self.size[axis],)


@register_operation("bilinear")
@dataclass(frozen=True)
class Bilinear(Resize):
    """Linear interpolation along each axis between pixel centres, edges held."""

    equation: ClassVar[str] = "y[i] = (1 − a) x[⌊s⌋] + a x[⌊s⌋ + 1], s = (i + ½)·H/H' − ½, a = s − ⌊s⌋"

    def constructor(self) -> str:
        return f'nn.Upsample(size={self.size}, mode="bilinear")'

    def field(self, axis: int, place: int) -> Iterable[int]:
        left, right, share = _along(self.shape[1 + axis], self.size[axis])[place]
        return {left, right} if share else (left,)


@register_operation("pool")
@dataclass(frozen=True)
class Pool(Resize):
    """Average pooling to a size: mean over the ⌊i·H/H'⌋ … ⌈(i+1)·H/H'⌉ rows, and columns likewise, of each output."""

    equation: ClassVar[str] = "y[i, j] = mean of x over the inputs that fall on (i, j)"

    def constructor(self) -> str:
        return f"nn.AdaptiveAvgPool2d({text(self.size)})"

    def field(self, axis: int, place: int) -> Iterable[int]:
        n, size = self.shape[1 + axis], self.size[axis]
        return range(place * n // size, -(-(place + 1) * n // size))


RESIZES: dict[str, type[Resize]] = {"nearest": Nearest, "bilinear": Bilinear, "pool": Pool}
"""The modes of a connection's `resize` that are operations of their own."""
