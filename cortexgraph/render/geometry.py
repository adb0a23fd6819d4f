"""Plane geometry of drawings: boxes, Bézier curves, and courses of arrows that keep clear of boxes, in points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import hypot

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """A rectangle with sides along the axes, by its centre."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        return (self.x, self.y)

    def at(self, across: float, up: float) -> Point:
        """A point by its place in the box: (0, 0) is the centre, (1, 1) the upper right corner."""
        return (self.x + across * self.width / 2, self.y + up * self.height / 2)

    def overlap(self, other: Box) -> float:
        """Area that two boxes have in common."""
        across = (self.width + other.width) / 2 - abs(self.x - other.x)
        up = (self.height + other.height) / 2 - abs(self.y - other.y)
        return max(across, 0.0) * max(up, 0.0)

    def border(self, towards: Point) -> Point:
        """Where the ray from the centre towards a point leaves the box."""
        dx, dy = towards[0] - self.x, towards[1] - self.y
        scale = max(abs(dx) / (self.width / 2), abs(dy) / (self.height / 2))
        return (self.x + dx / scale, self.y + dy / scale) if scale else self.centre


@dataclass(frozen=True)
class Curve:
    """A chain of cubic Bézier curves: 3n + 1 points, of which every third lies on the curve."""

    points: tuple[Point, ...]

    def __add__(self, other: Curve) -> Curve:
        """This curve and then the other, which begins where this one ends."""
        return Curve(self.points + other.points[1:])

    @property
    def tip(self) -> Point:
        return self.points[-1]

    def at(self, t: float) -> Point:
        """The point at parameter t from 0 to 1."""
        pieces = (len(self.points) - 1) // 3
        piece = min(int(t * pieces), pieces - 1)
        a, b, c, d = _cubic(t * pieces - piece)
        x, y = (
            a * p + b * q + c * r + d * u for p, q, r, u in zip(*self.points[3 * piece : 3 * piece + 4], strict=True)
        )
        return (x, y)

    def samples(self, n: int = 24) -> Array:
        """Points at n + 1 even parameters, ends included: [n + 1, 2]."""
        points: Array = _weights((len(self.points) - 1) // 3, n) @ np.array(self.points)
        return points

    @property
    def length(self) -> float:
        return float(np.hypot(*np.diff(self.samples(15), axis=0).T).sum())

    def shortened(self, by: float) -> Curve:
        """The curve without its last stretch of chord `by`: where an arrow head begins."""
        last = Curve(self.points[-4:])
        low, high = 0.0, 1.0
        for _ in range(30):
            t = (low + high) / 2
            x, y = last.at(t)
            if hypot(self.tip[0] - x, self.tip[1] - y) > by:
                low = t
            else:
                high = t
        return Curve(self.points[:-4] + _until(last.points, low))

    def tightened(self, most: float = 3.0) -> Curve:
        """The same curve, split until no control point lies far outside its bounding box.

        Graphviz leaves room for control points around a drawing.
        """
        points, samples = np.array(self.points), self.samples(32)
        above, below = points.max(axis=0) - samples.max(axis=0), samples.min(axis=0) - points.min(axis=0)
        if max(above.max(), below.max()) < most:
            return self
        halves: tuple[Point, ...] = self.points[:1]
        for n in range(0, len(self.points) - 1, 3):
            piece = self.points[n : n + 4]
            halves += _until(piece, 0.5)[1:] + _until(piece[::-1], 0.5)[-2::-1]
        return Curve(halves).tightened(most)

    def cut(self, x: float, *, after: bool) -> Curve:
        """The part before the first point at this x, or the part after it."""
        across = self.samples(64)[:, 0] > x
        low = max(0.0, float(np.argmax(across) - 1) / 64) if across.any() else 1.0
        high = min(1.0, low + 1 / 64)
        for _ in range(20):
            t = (low + high) / 2
            low, high = (low, t) if self.at(t)[0] > x else (t, high)
        pieces = (len(self.points) - 1) // 3
        n = min(int(low * pieces), pieces - 1)
        piece, t = self.points[3 * n : 3 * n + 4], low * pieces - n
        if not after:
            return Curve(self.points[: 3 * n] + _until(piece, t))
        return Curve(_until(piece[::-1], 1 - t)[::-1] + self.points[3 * n + 4 :])

    def shifted(self, dx: float, dy: float = 0.0) -> Curve:
        return Curve(tuple((x + dx, y + dy) for x, y in self.points))


def _cubic(t: float) -> tuple[float, float, float, float]:
    """What the four points of a cubic curve contribute at t."""
    s = 1 - t
    return s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t


@cache
def _weights(pieces: int, n: int) -> Array:
    """What each of the 3 · pieces + 1 points of a curve contributes to its n + 1 samples."""
    weights = np.zeros((n + 1, 3 * pieces + 1))
    for i in range(n + 1):
        piece = min(i * pieces // n, pieces - 1)
        weights[i, 3 * piece : 3 * piece + 4] = _cubic(i * pieces / n - piece)
    return weights


def _mix(a: Point, b: Point, share: float) -> Point:
    """The point that lies `share` of the way from a to b."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)


def _until(points: tuple[Point, ...], t: float) -> tuple[Point, ...]:
    """One cubic curve from 0 to t (de Casteljau)."""
    p, q, r, u = points
    a, b, c = _mix(p, q, t), _mix(q, r, t), _mix(r, u, t)
    d, e = _mix(a, b, t), _mix(b, c, t)
    return (p, a, d, _mix(d, e, t))


def line(start: Point, end: Point, first: float = 1 / 3, second: float = 2 / 3) -> Curve:
    """A straight line as a curve, with control points at two shares of the way."""
    return Curve((start, _mix(start, end, first), _mix(start, end, second), end))


def turn(start: Point, end: Point, share: float = 0.5) -> Curve:
    """An S that leaves and arrives level; it is steepest `share` of the way across."""
    middle = start[0] + (end[0] - start[0]) * share
    return Curve((start, (middle, start[1]), (middle, end[1]), end))


class Obstacles:
    """Boxes that arrows must not run through."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._boxes = np.array([(box.x, box.y, box.width / 2, box.height / 2) for box in boxes]).reshape(-1, 4)

    def hits(self, curve: Curve, margin: float = 3.0) -> int:
        """Number of samples of the curve that lie in a box, or nearer than `margin` to one."""
        x, y, width, height = self._boxes.T
        across, up = curve.samples(32).T[:, :, None]
        return int(np.count_nonzero((abs(across - x) < width + margin) & (abs(up - y) < height + margin)))


def cheapest(candidates: Iterable[tuple[float, Curve]], dearer: Callable[[Curve], float]) -> int:
    """Index of the candidate with the lowest sum of penalty, length and further cost (never negative).

    Of equal candidates the first wins. The further cost is expensive, so it is computed only while it can matter.
    """
    ranked = sorted((round(penalty + curve.length, 4), n, curve) for n, (penalty, curve) in enumerate(candidates))
    best, place = np.inf, 0
    for base, n, curve in ranked:
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
    first, second = line(tail.centre, head.centre, 0.3, 0.7).shifted(*across).points[1:3]
    return Curve((tail.border(first), first, second, head.border(second)))


def arc(start: Point, end: Point, out: float, *, upright: bool = True) -> Curve:
    """A C-shaped arc between points on the same side of two boxes; it leaves and arrives at right angles to it.

    It goes `out` beyond the farther of the two: negative is left (or down). `upright` says whether it stands on left or
    right sides, else on tops or bottoms.
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
