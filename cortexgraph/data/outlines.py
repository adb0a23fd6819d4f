"""The ten outlines of the built-in data set, each as a distance to its border.

An outline is a function (x, y) -> d of arrays of one shape: negative inside, positive outside, with a slope of about 1
across the border, so that `coverage` can turn it into an anti-aliased mask. Only +, -, ×, /, sqrt, min, max and abs
are used: IEEE 754 rounds them alike everywhere, so the images have the same bytes on every machine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Outline = Callable[[Array, Array], Array]

f32 = np.float32
SQRT_HALF = f32(0.70710678)
COS_36, SIN_36 = f32(0.80901699), f32(0.58778525)

inside_both: Callable[[Array, Array | f32], Array] = np.maximum
inside_either: Callable[[Array, Array], Array] = np.minimum


def length(x: Array, y: Array) -> Array:
    """The length of the vectors (x, y)."""
    lengths: Array = np.sqrt(x * x + y * y)
    return lengths


def _box(x: Array, y: Array, half_width: float, half_height: float) -> Array:
    return inside_both(np.abs(x) - f32(half_width), np.abs(y) - f32(half_height))


def _disc(x: Array, y: Array) -> Array:
    return length(x, y) - f32(1)


def _ring(x: Array, y: Array) -> Array:
    radius = length(x, y)
    return inside_both(radius - f32(1), f32(0.52) - radius)


def _square(x: Array, y: Array) -> Array:
    return _box(x, y, 1, 1)


def _triangle(x: Array, y: Array) -> Array:
    return inside_both(np.abs(x) * f32(0.8660254) - y * f32(0.5), y) - f32(0.5)


def _cross(x: Array, y: Array) -> Array:
    return inside_either(_box(x, y, 1, 0.33), _box(x, y, 0.33, 1))


def _crescent(x: Array, y: Array) -> Array:
    x = x - f32(0.2)
    return inside_both(_disc(x, y), f32(0.86) - length(x - f32(0.52), y))


def _heart(x: Array, y: Array) -> Array:
    lobe = length(np.abs(x) - f32(0.5), y + f32(0.5)) - SQRT_HALF
    diamond = (np.abs(x) + np.abs(y)) * SQRT_HALF - SQRT_HALF
    return inside_either(lobe, diamond)


def _hourglass(x: Array, y: Array) -> Array:
    waist = (np.abs(x) - np.abs(y) * f32(0.9) - f32(0.1)) * f32(0.7433)
    return inside_both(np.abs(y) - f32(1), waist)


def _arrow(x: Array, y: Array) -> Array:
    head = inside_both((np.abs(x) - y - f32(0.9)) * SQRT_HALF, y)
    return inside_either(head, _box(x, y - f32(0.4), 0.3, 0.5))


def _star(x: Array, y: Array) -> Array:
    """Folds all edges onto one, as in I. Quilez, «2D distance functions» (iquilezles.org/articles/distfunctions2d)."""
    x = np.abs(x)
    fold = f32(2) * inside_both(COS_36 * x - SIN_36 * y, f32(0))
    x, y = x - fold * COS_36, y + fold * SIN_36
    fold = f32(2) * inside_both(-COS_36 * x - SIN_36 * y, f32(0))
    x, y = np.abs(x + fold * COS_36), y + fold * SIN_36 - f32(1)
    # The edge from the tip (0, 1) to the notch between two tips; the notch lies at 0.45 of the tip's radius.
    edge_x, edge_y = f32(0.45) * SIN_36, f32(0.45) * COS_36 - f32(1)
    edge = np.sqrt(edge_x * edge_x + edge_y * edge_y)
    distance: Array = (y * edge_x - x * edge_y) / edge
    return distance


OUTLINES: dict[str, Outline] = {
    outline.__name__.removeprefix("_"): outline
    for outline in (_arrow, _crescent, _cross, _disc, _heart, _hourglass, _ring, _square, _star, _triangle)
}
CLASSES: tuple[str, ...] = tuple(OUTLINES)


@functools.cache
def equal_area(name: str) -> float:
    """The factor by which outline `name` must grow to have the area of the unit disc.

    Counted on a grid of 512 × 512 points. With equal areas, neither mean colour nor contrast gives the class away.
    """
    points = (np.arange(512, dtype=f32) + f32(0.5)) / f32(128) - f32(2)
    y, x = np.meshgrid(points, points, indexing="ij")
    inside = int((OUTLINES[name](x, y) < 0).sum())
    return float(np.sqrt(np.pi * 128 * 128 / inside))


def coverage(distance: Array, pixel: float) -> Array:
    """The share of each pixel that lies inside: 1 inside, 0 outside, linear over one pixel at the border.

    Args:
        distance: signed distance to the border, any shape.
        pixel: side of a pixel in the same unit.
    """
    inside: Array = np.clip(f32(0.5) - distance / f32(pixel), f32(0), f32(1))
    return inside
