"""Choosing the course of an arrow: the cheapest of several curves that does not run through boxes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import hypot

import numpy as np

from cortexgraph.render.geometry import Box, Curve, Point, line, mix

__all__ = ["Obstacles", "Traffic", "arc", "bow", "cheapest", "straight"]

MARGIN = 3.0


class Obstacles:
    """Boxes that arrows must not run through."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._boxes = np.array([(box.x, box.y, box.width / 2, box.height / 2) for box in boxes]).reshape(-1, 4)

    def without(self, places: Collection[int]) -> Obstacles:
        """All but those at some places of the list."""
        found = Obstacles(())
        found._boxes = np.delete(self._boxes, [*places], axis=0)
        return found

    def hits(self, curve: Curve, margin: float = MARGIN) -> int:
        """In how many places the curve lies in a box, or nearer than `margin` to one."""
        x, y, width, height = self._boxes.T
        across, up = curve.samples(32).T[:, :, None]
        return int(np.count_nonzero((abs(across - x) < width + margin) & (abs(up - y) < height + margin)))


def cheapest(candidates: Iterable[tuple[float, Curve]], dearer: Callable[[Curve], float]) -> int:
    """Place of the candidate whose penalty, length and further cost (never negative) are least; the first of equals.

    The further cost, dear to compute, is asked for in the order of the rest, as long as it can matter.
    """
    known = sorted((round(penalty + curve.length, 4), n, curve) for n, (penalty, curve) in enumerate(candidates))
    best, place = np.inf, 0
    for base, n, curve in known:
        if base >= best:
            break
        cost = round(base + dearer(curve), 4)
        if cost < best:
            best, place = cost, n
    return place


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

    def _cells_of(self, curve: Curve, n: int) -> list[tuple[int, int]]:
        points = curve.samples(n)
        if self._period:
            points[:, 0] %= self._period
        return [(x, y) for x, y in np.round(points / self.CELL).astype(int).tolist()]

    def add(self, curve: Curve) -> None:
        for x, y in {*self._cells_of(curve, 100)}:
            self._cells.update((x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1))

    def share(self, curve: Curve) -> float:
        """Length of the part of the curve that runs along, or across, others."""
        cells = self._cells_of(curve, 40)
        return curve.length * sum(cell in self._cells for cell in cells) / len(cells)
