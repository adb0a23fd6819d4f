"""The ten outlines of the built-in data set, each as a distance to its border.

An outline is a function (x, y) -> d of arrays of any one shape: negative inside, positive outside, with a
slope of about 1 across the border, so that `coverage` can turn it into an anti-aliased mask. Only +, -, ×, /,
sqrt, min, max and abs are used: IEEE 754 rounds them alike everywhere, so the images have the same bytes on
every machine. The star follows the folding construction of I. Quilez, «2D distance functions»
(iquilezles.org/articles/distfunctions2d).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["CLASSES", "OUTLINES", "Array", "Integers", "coverage", "equal_area"]

Array = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Outline = Callable[[Array, Array], Array]

_SQRT_HALF = np.float32(0.70710678)
_COS_18, _SIN_18 = np.float32(0.95105652), np.float32(0.30901699)
_COS_36, _SIN_36 = np.float32(0.80901699), np.float32(0.58778525)


def _largest(a: Array, b: Array | np.float32) -> Array:
    """Inside both."""
    result: Array = np.maximum(a, b)
    return result


def _least(a: Array, b: Array) -> Array:
    """Inside either."""
    result: Array = np.minimum(a, b)
    return result


def _length(x: Array, y: Array) -> Array:
    result: Array = np.sqrt(x * x + y * y)
    return result


def _box(x: Array, y: Array, half_width: float, half_height: float) -> Array:
    return _largest(np.abs(x) - np.float32(half_width), np.abs(y) - np.float32(half_height))


def _disc(x: Array, y: Array) -> Array:
    return _length(x, y) - np.float32(1)


def _ring(x: Array, y: Array) -> Array:
    radius = _length(x, y)
    return _largest(radius - np.float32(1), np.float32(0.52) - radius)


def _square(x: Array, y: Array) -> Array:
    return _box(x, y, 1, 1)


def _triangle(x: Array, y: Array) -> Array:
    side = np.abs(x) * np.float32(0.8660254) - y * np.float32(0.5)
    return _largest(side, y) - np.float32(0.5)


def _cross(x: Array, y: Array) -> Array:
    return _least(_box(x, y, 1, 0.33), _box(x, y, 0.33, 1))


def _crescent(x: Array, y: Array) -> Array:
    x = x - np.float32(0.2)
    bite = np.float32(0.86) - _length(x - np.float32(0.52), y)
    return _largest(_disc(x, y), bite)


def _heart(x: Array, y: Array) -> Array:
    lobe = _length(np.abs(x) - np.float32(0.5), y + np.float32(0.5)) - _SQRT_HALF
    diamond = (np.abs(x) + np.abs(y)) * _SQRT_HALF - _SQRT_HALF
    return _least(lobe, diamond)


def _hourglass(x: Array, y: Array) -> Array:
    waist = (np.abs(x) - np.abs(y) * np.float32(0.9) - np.float32(0.1)) * np.float32(0.7433)
    return _largest(np.abs(y) - np.float32(1), waist)


def _arrow(x: Array, y: Array) -> Array:
    head = _largest((np.abs(x) - y - np.float32(0.9)) * _SQRT_HALF, y)
    return _least(head, _box(x, y - np.float32(0.4), 0.3, 0.5))


def _star(x: Array, y: Array) -> Array:
    x = np.abs(x)
    fold = np.float32(2) * _largest(_COS_36 * x - _SIN_36 * y, np.float32(0))
    x, y = x - fold * _COS_36, y + fold * _SIN_36
    fold = np.float32(2) * _largest(-_COS_36 * x - _SIN_36 * y, np.float32(0))
    x, y = np.abs(x + fold * _COS_36), y + fold * _SIN_36 - np.float32(1)
    # The edge from the tip (0, 1) to the notch between two tips; the notch lies at 0.45 of the tip's radius.
    edge_x, edge_y = np.float32(0.45) * _SIN_36, np.float32(0.45) * _COS_36 - np.float32(1)
    edge = np.sqrt(edge_x * edge_x + edge_y * edge_y)
    result: Array = (y * edge_x - x * edge_y) / edge
    return result


OUTLINES: dict[str, Outline] = {
    "arrow": _arrow,
    "crescent": _crescent,
    "cross": _cross,
    "disc": _disc,
    "heart": _heart,
    "hourglass": _hourglass,
    "ring": _ring,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}
CLASSES: tuple[str, ...] = tuple(OUTLINES)


@functools.cache
def equal_area(name: str) -> float:
    """The factor by which outline `name` must grow to have the area of the unit disc.

    Counted on a grid of 512 × 512 points. With equal areas, neither mean colour nor contrast gives the class
    away.
    """
    points = (np.arange(512, dtype=np.float32) + np.float32(0.5)) / np.float32(128) - np.float32(2)
    y, x = np.meshgrid(points, points, indexing="ij")
    inside = int((OUTLINES[name](x, y) < 0).sum())
    return float(np.sqrt(np.pi * 128 * 128 / inside))


def coverage(distance: Array, pixel: float) -> Array:
    """The share of each pixel that lies inside: 1 inside, 0 outside, linear over one pixel at the border.

    Args:
        distance: signed distance to the border, any shape.
        pixel: side of a pixel in the same unit.
    """
    inside: Array = np.clip(np.float32(0.5) - distance / np.float32(pixel), np.float32(0), np.float32(1))
    return inside
