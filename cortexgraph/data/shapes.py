"""The built-in data set: ten textured shapes among clutter and behind bars, drawn from a seed.

Image i of a split depends only on (seed, split, i, size): a smaller set is the beginning of a larger one, and the
number of threads makes no difference. A scene is a background, clutter, the object, and what stands in front of it.
Each surface is painted with two inks, drawn without regard to the class, and a pattern of triangle waves that mixes
them to plain areas, stripes, checks and dots. Lengths are in pixels of a 32-pixel image, with the origin in the middle.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cortexgraph.data.decode import check_memory
from cortexgraph.data.images import Augment, ImageData, LabelledImages
from cortexgraph.data.load import Request, register_data
from cortexgraph.data.outlines import CLASSES, OUTLINES, Array, Integers, coverage, equal_area, length

Split = Literal["train", "test"]
Range = tuple[float, float]

CHUNK = (
    100  # images with one random stream; part of the definition of the data, and a multiple of the number of classes
)
STREAMS: dict[Split, int] = {"train": 0, "test": 1}
IMAGES: dict[Split, int] = {"train": 20_000, "test": 2_000}  # unless another number is asked for

UNITS = 32.0  # the shorter side of the image, in the unit of all lengths below
OBJECT_RADIUS, OBJECT_MARGIN = (6.5, 9.5), 11.5  # of the disc of equal area; from its centre to the border
FRAGMENTS, FRAGMENT_RADIUS, FRAGMENT_MARGIN = 2, (3.5, 6.0), 0.5
BARS, BAR_HALF_WIDTH, BAR_HALF_LENGTH = 2, (0.8, 1.6), (7.0, 20.0)
PATCHES, PATCH_RADIUS = 1, (1.8, 3.0)
PRESENCE = 0.5  # probability of each bar and patch
CONTRAST = 0.45  # how far the second ink lies from the first, from 0 (equal) to 1 (independent)
NOISE = 0.06  # full width of the pixel noise, of the range from black to white

f32 = np.float32

# cos and sin of 1024 angles, rounded so that the last bit of a machine's own cosine cannot matter.
ANGLES = np.arange(1024) * (2 * np.pi / 1024)
COS = (np.round(np.cos(ANGLES) * 2**20) / 2**20).astype(f32)
SIN = (np.round(np.sin(ANGLES) * 2**20) / 2**20).astype(f32)

# The pattern is a·wave_u + b·wave_v + c·wave_u·wave_v, cut at a threshold. Columns: a, b, c, threshold.
PATTERNS = np.array(
    [
        (0, 0, 0, 0.5),  # plain
        (1, 0, 0, 0.5),  # stripes
        (1, 1, -2, 0.5),  # checks
        (0, 0, 1, 0.4),  # dots
    ],
    dtype=f32,
)


@register_data("shapes")
def shapes(request: Request) -> ImageData:
    """The built-in data set at the requested size."""
    counts = {split: request.images[split] or default for split, default in IMAGES.items()}
    check_memory(sum(counts.values()), request.size, 3, request.memory)
    splits: dict[str, LabelledImages] = {}
    for split, count in counts.items():
        images, labels = map(torch.from_numpy, generate(split, count, size=request.size, seed=request.seed))
        splits[split] = LabelledImages(images if request.channels == 3 else _luminance(images), labels)
    augment = Augment(crop_padding_px=min(request.size) // 16, padding="reflect")
    height, width = request.size
    return ImageData.of("shapes", CLASSES, splits, augment, f"drawn at {height} × {width} pixels")


def _luminance(images: Tensor) -> Tensor:
    """RGB uint8 [N, 3, H, W] → [N, 1, H, W], with the weights of ITU-R 601 in PIL's integer arithmetic."""
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32)[:, None, None]
    chunks = torch.split(images, 1024)
    return torch.cat([((c * weights).sum(1, keepdim=True) + 2**15 >> 16).to(torch.uint8) for c in chunks])


def generate(
    split: Split, count: int, *, size: tuple[int, int] = (32, 32), seed: int = 0
) -> tuple[npt.NDArray[np.uint8], Integers]:
    """Draw the first `count` images of a split and their labels.

    Args:
        split: the two splits come from different random streams.
        count: n.
        size: (height, width) in pixels.
        seed: of the whole data set.

    Returns:
        RGB images [n, 3, height, width] and labels [n], indices into `CLASSES`.
    """
    images, labels = np.empty((count, 3, *size), np.uint8), np.empty(count, np.int64)

    def draw(chunk: int) -> None:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, STREAMS[split], chunk])))
        # Each run of ten labels holds every class once, in random order.
        chunk_labels = np.concatenate([rng.permutation(len(CLASSES)) for _ in range(CHUNK // len(CLASSES))])
        where = slice(chunk * CHUNK, min((chunk + 1) * CHUNK, count))
        labels[where] = chunk_labels[: where.stop - where.start]
        images[where] = _draw_scenes(rng, chunk_labels, *size)[: where.stop - where.start]

    chunk_bytes = CHUNK * size[0] * size[1] * 4 * 16  # about 16 arrays are in work at a time, which stay under 2 GiB
    with ThreadPoolExecutor(max(1, min(os.cpu_count() or 1, 2**31 // chunk_bytes))) as pool:
        list(pool.map(draw, range(-(-count // CHUNK))))
    return images, labels


# ---- paint: two inks and a pattern that mixes them ---------------------------


@dataclass(frozen=True)
class Paint:
    """The inks and the pattern of n surfaces.

    Attributes:
        inks: two colours, in [0, 1], [n, 2, 3].
        kind: row of the table of patterns, [n].
        period: length of one wave, [n].
        phase: shift of both waves, in waves, [n, 2].
        turn: orientation, index of an angle, [n].
    """

    inks: Array
    kind: Integers
    period: Array
    phase: Array
    turn: Integers

    def mix(self, x: Array, y: Array, pixel: float) -> Array:
        """How much of the second ink is seen at x [1, 1, W], y [1, H, 1]: [n, H, W] in [0, 1]."""
        u, v = _turned(x, y, self.turn)
        period, shift = self.period[:, None, None], self.phase[:, :, None, None]
        wave_u, wave_v = _wave(u / period + shift[:, 0]), _wave(v / period + shift[:, 1])
        a, b, c, threshold = PATTERNS[self.kind].T[:, :, None, None]
        level = wave_u * a + wave_v * b + wave_u * wave_v * c
        # One wave climbs by 2 per period, so this division turns the level into a distance in pixels.
        return coverage((threshold - level) * period / f32(2), pixel)


def _turns(rng: np.random.Generator, count: int) -> Integers:
    """Indices of `count` angles, spread evenly over the circle."""
    return rng.integers(len(ANGLES), size=count)


def _turned(x: Array, y: Array, turns: Integers) -> tuple[Array, Array]:
    """The coordinates x, y, of shapes that broadcast to [n, H, W], turned by one angle per image."""
    cos, sin = COS[turns][:, None, None], SIN[turns][:, None, None]
    return x * cos + y * sin, y * cos - x * sin


def _wave(position: Array) -> Array:
    """A triangle wave of period 1 between 0 and 1."""
    wave: Array = np.abs((position - np.floor(position)) * f32(2) - f32(1))
    return wave


def _draw_colours(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Lively colours of any hue, neither black nor white nor neon: [*shape, 3] in [0, 1]."""
    hue, saturation, value = rng.random((3, *shape), dtype=f32)
    saturation, value = f32(0.1) + f32(0.65) * saturation, f32(0.2) + f32(0.75) * value
    # From HSV to RGB by lines only, which is exact everywhere.
    shifted = hue[..., None] * f32(6) + np.array([5, 3, 1], f32)
    wheel = shifted - np.floor(shifted / f32(6)) * f32(6)
    ramp = np.clip(np.minimum(wheel, f32(4) - wheel), f32(0), f32(1))
    colours: Array = value[..., None] * (f32(1) - saturation[..., None] * ramp)
    return colours


def _draw_paint(rng: np.random.Generator, count: int, avoid: Array | None = None) -> Paint:
    """Draw the paint of `count` surfaces that stand out from mean colours `avoid` [n, 3].

    The farthest of four candidates is taken.
    """
    first, other = _draw_colours(rng, (count, 4)), _draw_colours(rng, (count,))
    pick = np.zeros(count, np.int64) if avoid is None else np.abs(first - avoid[:, None]).sum(-1).argmax(1)
    base = first[np.arange(count), pick]
    return Paint(
        inks=np.stack([base, base + f32(CONTRAST) * (other - base)], axis=1),
        kind=rng.integers(len(PATTERNS), size=count),
        period=f32(3) + f32(5) * rng.random(count, dtype=f32),
        phase=rng.random((count, 2), dtype=f32),
        turn=_turns(rng, count),
    )


# ---- scenes ------------------------------------------------------------------


class _Canvas:
    """Pixels [n, 3, H, W] in [0, 1], painted in place; their centres x [1, 1, W], y [1, H, 1]; their side."""

    def __init__(self, count: int, height: int, width: int) -> None:
        self.pixels = np.zeros((count, 3, height, width), f32)
        self.pixel = UNITS / min(height, width)
        self.x = ((np.arange(width, dtype=f32) - f32((width - 1) / 2)) * f32(self.pixel))[None, None, :]
        self.y = ((np.arange(height, dtype=f32) - f32((height - 1) / 2)) * f32(self.pixel))[None, :, None]

    def cover(self, distance: Array, paint: Paint) -> None:
        """Lay painted surfaces with these outlines, distances [n, H, W], over the canvas."""
        first, second = (ink[:, :, None, None] for ink in paint.inks.transpose(1, 0, 2))
        surface = first + (second - first) * paint.mix(self.x, self.y, self.pixel)[:, None]
        surface -= self.pixels
        surface *= coverage(distance, self.pixel)[:, None]
        np.add(self.pixels, surface, out=self.pixels)


@dataclass(frozen=True)
class _Pose:
    """Centre [2, n], radius [n] and orientation [n] of n things."""

    centre: Array
    radius: Array
    turn: Integers

    @classmethod
    def draw(cls, rng: np.random.Generator, canvas: _Canvas, margin: float, radius: Range) -> _Pose:
        """Draw poses whose centres stay `margin` away from the border."""
        count, _, height, width = canvas.pixels.shape
        reach = [extent * canvas.pixel / 2 - margin for extent in (width, height)]
        centre = np.stack([_uniform(rng, (-r, r), count) for r in reach])
        return cls(centre, _uniform(rng, radius, count), _turns(rng, count))

    def draw_near(self, rng: np.random.Generator, radius: Range) -> _Pose:
        """Draw poses on and around these; some are out of sight, so that the number seen varies."""
        count = len(self.radius)
        centre = self.centre + np.stack([_uniform(rng, (-1, 1), count) * self.radius for _ in range(2)])
        centre[:, rng.random(count) > PRESENCE] += f32(1000)
        return _Pose(centre, _uniform(rng, radius, count), _turns(rng, count))

    def local(self, canvas: _Canvas) -> tuple[Array, Array]:
        """The canvas's coordinates seen from each thing, [n, H, W], in the canvas's unit."""
        centre_x, centre_y = self.centre[:, :, None, None]
        return _turned(canvas.x - centre_x, canvas.y - centre_y, self.turn)


def _uniform(rng: np.random.Generator, bounds: Range, size: int) -> Array:
    low, high = f32(bounds[0]), f32(bounds[1])
    return low + (high - low) * rng.random(size, dtype=f32)


def _distance(kinds: Integers, x: Array, y: Array, radius: Array) -> Array:
    """Distance to outlines of the given kinds [n] at x, y [n, H, W]: [n, H, W]."""
    distance = np.empty_like(x)
    for kind, name in enumerate(CLASSES):
        mine = np.flatnonzero(kinds == kind)
        scale = radius[mine, None, None] * f32(equal_area(name))
        distance[mine] = OUTLINES[name](x[mine] / scale, y[mine] / scale) * scale
    return distance


def _draw_scenes(rng: np.random.Generator, labels: Integers, height: int, width: int) -> npt.NDArray[np.uint8]:
    """One scene [3, height, width] for each label; the random stream alone decides what is drawn."""
    count, canvas = len(labels), _Canvas(len(labels), height, width)
    ground = _draw_paint(rng, count)
    canvas.cover(np.full((count, height, width), -np.inf, f32), ground)
    for _ in range(FRAGMENTS):  # half of a shape of any kind, cut through its middle
        pose = _Pose.draw(rng, canvas, FRAGMENT_MARGIN, FRAGMENT_RADIUS)
        kinds, cut = rng.integers(len(CLASSES), size=count), _turns(rng, count)
        x, y = pose.local(canvas)
        canvas.cover(np.maximum(_distance(kinds, x, y, pose.radius), _turned(x, y, cut)[0]), _draw_paint(rng, count))
    thing = _Pose.draw(rng, canvas, OBJECT_MARGIN, OBJECT_RADIUS)
    x, y = thing.local(canvas)
    stretch = _uniform(rng, (0.85, 1.18), count)[:, None, None]
    canvas.cover(
        _distance(labels, x * stretch, y / stretch, thing.radius), _draw_paint(rng, count, ground.inks.mean(1))
    )
    for _ in range(BARS):
        pose = thing.draw_near(rng, BAR_HALF_WIDTH)
        x, y = pose.local(canvas)
        half_length = _uniform(rng, BAR_HALF_LENGTH, count)[:, None, None]
        bar = np.maximum(np.abs(x) - half_length, np.abs(y) - pose.radius[:, None, None])
        canvas.cover(bar, _draw_paint(rng, count))
    for _ in range(PATCHES):
        pose = thing.draw_near(rng, PATCH_RADIUS)
        canvas.cover(length(*pose.local(canvas)) - pose.radius[:, None, None], _draw_paint(rng, count))
    noise = rng.random(canvas.pixels.shape, dtype=f32) - f32(0.5)
    pixels = np.clip(canvas.pixels + noise * f32(NOISE), 0, 1)
    return (pixels * f32(255) + f32(0.5)).astype(np.uint8)
