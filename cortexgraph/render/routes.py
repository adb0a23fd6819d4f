"""Choosing the course of an arrow: the cheapest of several curves that does not run through boxes."""

from __future__ import annotations

from collections.abc import Iterable
from math import hypot

from cortexgraph.render.geometry import Box, Curve, Point, line, mix

__all__ = ["Traffic", "arc", "bow", "hits", "straight"]

MARGIN = 3.0


def hits(curve: Curve, obstacles: Iterable[Box], margin: float = MARGIN) -> int:
    """In how many places of the curve it lies in a box, or nearer than `margin` to one."""
    points = list(curve.samples(32))
    return sum(box.holds(point, margin) for box in obstacles for point in points)


def straight(tail: Box, head: Box) -> Curve:
    """Along the line that joins the centres, from border to border."""
    return line(tail.border(head.centre), head.border(tail.centre))


def bow(tail: Box, head: Box, bulge: float) -> Curve:
    """A shallow arc, `bulge` to the left of the straight line (negative: to the right)."""
    dx, dy = head.x - tail.x, head.y - tail.y
    length = hypot(dx, dy) or 1.0
    across = (-dy / length * bulge / 0.75, dx / length * bulge / 0.75)
    first, second = (_moved(mix(tail.centre, head.centre, share), across) for share in (0.3, 0.7))
    return Curve((tail.border(first), first, second, head.border(second)))


def _moved(point: Point, by: Point) -> Point:
    return (point[0] + by[0], point[1] + by[1])


def arc(start: Point, end: Point, out: float, *, upright: bool = True) -> Curve:
    """A C-shaped arc: leaves and arrives at right angles to the side on which it stands `out` away.

    Args:
        start, end: on the same side of two boxes.
        out: how far it goes beyond the farther of the two; negative is left (or down).
        upright: whether it stands on left or right sides, else on tops or bottoms.
    """
    axis = 0 if upright else 1
    places = (start[axis], end[axis])
    far = (min(places) if out < 0 else max(places)) + out / 0.75
    if upright:
        return Curve((start, (far, start[1]), (far, end[1]), end))
    return Curve((start, (start[0], far), (end[0], far), end))


class Traffic:
    """Where arrows already run, on a raster; `period` makes the raster repeat along x."""

    CELL = 4.0

    def __init__(self, period: float | None = None) -> None:
        self._period = period
        self._cells: set[tuple[int, int]] = set()

    def _cell(self, point: Point) -> tuple[int, int]:
        x = point[0] % self._period if self._period else point[0]
        return round(x / self.CELL), round(point[1] / self.CELL)

    def add(self, curve: Curve) -> None:
        for point in curve.samples(100):
            x, y = self._cell(point)
            self._cells.update((x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1))

    def share(self, curve: Curve) -> float:
        """Length of the part of the curve that runs along, or across, others."""
        points = list(curve.samples(40))
        return curve.length * sum(self._cell(point) in self._cells for point in points) / len(points)
