"""Colours and textures of the built-in data set: two inks and a pattern that mixes them.

Inks are drawn without regard to the class. Patterns are triangle waves, combined to plain areas, stripes,
checks and dots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cortexgraph.data.shapes.outlines import Array, Integers, coverage

__all__ = ["Paint", "draw_paint", "draw_turns", "pattern", "turn"]

# cos and sin of 1024 angles, rounded so that the last bit of a machine's own cosine cannot matter.
_ANGLES = np.arange(1024) * (2 * np.pi / 1024)
_COS = (np.round(np.cos(_ANGLES) * 2**20) / 2**20).astype(np.float32)
_SIN = (np.round(np.sin(_ANGLES) * 2**20) / 2**20).astype(np.float32)

# The pattern is a·wave_u + b·wave_v + c·wave_u·wave_v, cut at a threshold: (a, b, c, threshold).
_PATTERNS = np.array(
    [
        (0, 0, 0, 0.5),  # plain
        (1, 0, 0, 0.5),  # stripes
        (1, 1, -2, 0.5),  # checks
        (0, 0, 1, 0.4),  # dots
    ],
    dtype=np.float32,
)


@dataclass(frozen=True)
class Paint:
    """The inks and the pattern of n surfaces.

    Attributes:
        inks: two colours, in [0, 1], [n, 2, 3].
        kind: row of the table of patterns, [n].
        period_px: length of one wave in pixels of a 32-pixel image, [n].
        phase: shift of both waves, in waves, [n, 2].
        turn: orientation, index of an angle, [n].
    """

    inks: Array
    kind: Integers
    period_px: Array
    phase: Array
    turn: Integers


def draw_turns(rng: np.random.Generator, count: int) -> Integers:
    """Indices of `count` angles, spread evenly over the circle, [count]."""
    return rng.integers(len(_ANGLES), size=count)


def turn(x: Array, y: Array, turns: Integers) -> tuple[Array, Array]:
    """The coordinates x, y, of shapes that broadcast to [n, H, W], turned by one angle per image."""
    cos, sin = _COS[turns][:, None, None], _SIN[turns][:, None, None]
    return x * cos + y * sin, y * cos - x * sin


def _hsv_to_rgb(hue: Array, saturation: Array, value: Array) -> Array:
    """Colours [...] → [..., 3], all in [0, 1]; by lines only, so it is exact everywhere."""
    shifted = hue[..., None] * np.float32(6) + np.array([5, 3, 1], np.float32)
    wheel = shifted - np.floor(shifted / np.float32(6)) * np.float32(6)
    ramp = np.clip(np.minimum(wheel, np.float32(4) - wheel), np.float32(0), np.float32(1))
    colours: Array = value[..., None] * (np.float32(1) - saturation[..., None] * ramp)
    return colours


def draw_colours(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Lively colours of any hue, neither black nor white nor neon: [*shape, 3] in [0, 1]."""
    hue, saturation, value = rng.random((3, *shape), dtype=np.float32)
    return _hsv_to_rgb(hue, np.float32(0.1) + np.float32(0.65) * saturation, np.float32(0.2) + np.float32(0.75) * value)


def draw_paint(rng: np.random.Generator, count: int, avoid: Array | None = None, contrast: float = 0.45) -> Paint:
    """Draw the paint of `count` surfaces.

    Args:
        rng: the random stream.
        count: n.
        avoid: mean colours [n, 3] from which the surface must stand out: the farthest of four candidates is
            taken.
        contrast: how far the second ink lies from the first, from 0 (equal) to 1 (independent).
    """
    first, other = draw_colours(rng, (count, 4)), draw_colours(rng, (count,))
    pick = np.zeros(count, np.int64)
    if avoid is not None:
        pick = np.abs(first - avoid[:, None]).sum(-1).argmax(1)
    base = first[np.arange(count), pick]
    second = base + np.float32(contrast) * (other - base)
    return Paint(
        inks=np.stack([base, second], axis=1),
        kind=rng.integers(len(_PATTERNS), size=count),
        period_px=np.float32(3) + np.float32(5) * rng.random(count, dtype=np.float32),
        phase=rng.random((count, 2), dtype=np.float32),
        turn=draw_turns(rng, count),
    )


def _wave(position: Array) -> Array:
    """A triangle wave of period 1 between 0 and 1."""
    wave: Array = np.abs((position - np.floor(position)) * np.float32(2) - np.float32(1))
    return wave


def pattern(paint: Paint, x: Array, y: Array, pixel: float) -> Array:
    """How much of the second ink is seen at x, y: [n, H, W] in [0, 1].

    Args:
        paint: of n surfaces.
        x, y: pixel centres, in pixels of a 32-pixel image, [1, 1, W] and [1, H, 1].
        pixel: side of a pixel in the same unit.
    """
    u, v = turn(x, y, paint.turn)
    period, shift = paint.period_px[:, None, None], paint.phase[:, :, None, None]
    wave_u, wave_v = _wave(u / period + shift[:, 0]), _wave(v / period + shift[:, 1])
    a, b, c, threshold = _PATTERNS[paint.kind].T[:, :, None, None]
    level = wave_u * a + wave_v * b + wave_u * wave_v * c
    # One wave climbs by 2 per period, so this division turns the level into a distance in pixels.
    return coverage((threshold - level) * period / np.float32(2), pixel)
