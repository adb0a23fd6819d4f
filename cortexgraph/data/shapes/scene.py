"""Scenes of the built-in data set: background, clutter, the object, and what stands in front of it.

Surfaces are painted with two inks, drawn without regard to the class, and a pattern of triangle waves that mixes them
to plain areas, stripes, checks and dots.

Lengths are in pixels of a 32-pixel image, with the origin in the middle; a scene may be drawn at any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cortexgraph.data.shapes.outlines import CLASSES, OUTLINES, Array, Integers, coverage, equal_area

__all__ = ["draw_scenes"]

UNITS = 32.0  # the shorter side of the image, in the unit of all lengths below
OBJECT_RADIUS, OBJECT_MARGIN = (6.5, 9.5), 11.5  # of the disc of equal area; from its centre to the border
FRAGMENTS, FRAGMENT_RADIUS, FRAGMENT_MARGIN = 2, (3.5, 6.0), 0.5
BARS, BAR_HALF_WIDTH, BAR_HALF_LENGTH = 2, (0.8, 1.6), (7.0, 20.0)
PATCHES, PATCH_RADIUS = 1, (1.8, 3.0)
PRESENCE = 0.5  # probability of each bar and patch
NOISE = 0.06  # full width of the pixel noise, of the range from black to white


# ---- paint: two inks and a pattern that mixes them ---------------------------

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


# ---- scenes ------------------------------------------------------------------


@dataclass(frozen=True)
class _Canvas:
    """Pixels [n, 3, H, W] in [0, 1], changed in place; their centres x [1, 1, W], y [1, H, 1]; their side."""

    pixels: Array
    x: Array
    y: Array
    pixel: float

    def reach(self, margin: float) -> tuple[float, float]:
        """How far a centre may lie from the middle, in x and y, to stay `margin` away from the border."""
        height, width = self.pixels.shape[2:]
        return width * self.pixel / 2 - margin, height * self.pixel / 2 - margin

    def cover(self, mask: Array, paint: Paint) -> None:
        """Lay painted surfaces over the canvas where `mask` [n, H, W] is 1."""
        first, second = (ink[:, :, None, None] for ink in paint.inks.transpose(1, 0, 2))
        mix = pattern(paint, self.x, self.y, self.pixel)[:, None]  # [n, 1, H, W]
        surface = first + (second - first) * mix
        surface -= self.pixels
        surface *= mask[:, None]
        np.add(self.pixels, surface, out=self.pixels)


def _uniform(rng: np.random.Generator, bounds: tuple[float, float], size: int) -> Array:
    low, high = np.float32(bounds[0]), np.float32(bounds[1])
    return low + (high - low) * rng.random(size, dtype=np.float32)


def _blank(count: int, height: int, width: int) -> _Canvas:
    pixel = UNITS / min(height, width)
    rows = (np.arange(height, dtype=np.float32) - np.float32((height - 1) / 2)) * np.float32(pixel)
    columns = (np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)) * np.float32(pixel)
    pixels = np.zeros((count, 3, height, width), np.float32)
    return _Canvas(pixels, columns[None, None, :], rows[None, :, None], pixel)


@dataclass(frozen=True)
class _Pose:
    """Centre [2, n], radius [n] and orientation [n] of n things."""

    centre: Array
    radius: Array
    turn: Integers

    def local(self, canvas: _Canvas) -> tuple[Array, Array]:
        """The canvas's coordinates seen from each thing, [n, H, W], in the canvas's unit."""
        centre_x, centre_y = self.centre[:, :, None, None]
        return turn(canvas.x - centre_x, canvas.y - centre_y, self.turn)


def _draw_pose(rng: np.random.Generator, count: int, reach: tuple[float, float], radius: tuple[float, float]) -> _Pose:
    """Draw centres within ±reach (x, y) of the middle."""
    centre = np.stack([_uniform(rng, (-r, r), count) for r in reach])
    return _Pose(centre, _uniform(rng, radius, count), draw_turns(rng, count))


def _distance(kinds: Integers, x: Array, y: Array, radius: Array) -> Array:
    """Distance to outlines of the given kinds [n] at x, y [n, H, W]: [n, H, W]."""
    result = np.empty_like(x)
    for kind, name in enumerate(CLASSES):
        mine = np.flatnonzero(kinds == kind)
        scale = radius[mine, None, None] * np.float32(equal_area(name))
        result[mine] = OUTLINES[name](x[mine] / scale, y[mine] / scale) * scale
    return result


def _add_object(rng: np.random.Generator, canvas: _Canvas, labels: Integers, avoid: Array) -> _Pose:
    """A shape of the labelled kind, a little stretched; it stands out from the colours `avoid` [n, 3]."""
    pose = _draw_pose(rng, len(labels), canvas.reach(OBJECT_MARGIN), OBJECT_RADIUS)
    x, y = pose.local(canvas)
    stretch = _uniform(rng, (0.85, 1.18), len(labels))[:, None, None]
    distance = _distance(labels, x * stretch, y / stretch, pose.radius)
    canvas.cover(coverage(distance, canvas.pixel), draw_paint(rng, len(labels), avoid))
    return pose


def _add_fragment(rng: np.random.Generator, canvas: _Canvas) -> None:
    """Half of a shape of any kind, cut through its middle."""
    count = len(canvas.pixels)
    pose = _draw_pose(rng, count, canvas.reach(FRAGMENT_MARGIN), FRAGMENT_RADIUS)
    kinds, cut = rng.integers(len(CLASSES), size=count), draw_turns(rng, count)
    x, y = pose.local(canvas)
    distance = np.maximum(_distance(kinds, x, y, pose.radius), turn(x, y, cut)[0])
    canvas.cover(coverage(distance, canvas.pixel), draw_paint(rng, count))


def _near(rng: np.random.Generator, pose: _Pose, radius: tuple[float, float]) -> _Pose:
    """Poses on and around the object; some are out of sight, so that the number seen varies."""
    count = len(pose.radius)
    centre = pose.centre + np.stack([_uniform(rng, (-1, 1), count) * pose.radius for _ in range(2)])
    centre[:, rng.random(count) > PRESENCE] += np.float32(1000)
    return _Pose(centre, _uniform(rng, radius, count), draw_turns(rng, count))


def _add_bar(rng: np.random.Generator, canvas: _Canvas, pose: _Pose) -> None:
    count = len(pose.radius)
    x, y = pose.local(canvas)
    half_length = _uniform(rng, BAR_HALF_LENGTH, count)[:, None, None]
    distance = np.maximum(np.abs(x) - half_length, np.abs(y) - pose.radius[:, None, None])
    canvas.cover(coverage(distance, canvas.pixel), draw_paint(rng, count))


def _add_patch(rng: np.random.Generator, canvas: _Canvas, pose: _Pose) -> None:
    x, y = pose.local(canvas)
    distance = np.sqrt(x * x + y * y) - pose.radius[:, None, None]
    canvas.cover(coverage(distance, canvas.pixel), draw_paint(rng, len(pose.radius)))


def draw_scenes(rng: np.random.Generator, labels: Integers, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Draw one scene per label.

    Args:
        rng: the random stream; nothing else decides what is drawn.
        labels: index into `CLASSES`, [n].
        height, width: of the images, in pixels.

    Returns:
        RGB images, [n, 3, height, width].
    """
    count, canvas = len(labels), _blank(len(labels), height, width)
    ground = draw_paint(rng, count)
    canvas.cover(np.ones((count, height, width), np.float32), ground)
    for _ in range(FRAGMENTS):
        _add_fragment(rng, canvas)
    pose = _add_object(rng, canvas, labels, ground.inks.mean(1))
    for _ in range(BARS):
        _add_bar(rng, canvas, _near(rng, pose, BAR_HALF_WIDTH))
    for _ in range(PATCHES):
        _add_patch(rng, canvas, _near(rng, pose, PATCH_RADIUS))
    noise = rng.random(canvas.pixels.shape, dtype=np.float32) - np.float32(0.5)
    pixels = np.clip(canvas.pixels + noise * np.float32(NOISE), 0, 1)
    return (pixels * np.float32(255) + np.float32(0.5)).astype(np.uint8)
