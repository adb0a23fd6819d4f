"""Generate the built-in data set in chunks that each have a random stream of their own.

Image i of a split depends only on (seed, split, i, size): a smaller set is the beginning of a larger one, and
the number of threads makes no difference.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt

from cortexgraph.data.shapes.outlines import CLASSES
from cortexgraph.data.shapes.scene import draw_scenes

__all__ = ["Split", "generate"]

Split = Literal["train", "test"]

_CHUNK = 100  # images; part of the definition of the data, and a multiple of the number of classes
_STREAMS: dict[Split, int] = {"train": 0, "test": 1}


def _labels(rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Each run of ten labels holds every class once, in random order: [_CHUNK]."""
    rounds = [rng.permutation(len(CLASSES)) for _ in range(_CHUNK // len(CLASSES))]
    return np.concatenate(rounds)


def _threads(size: tuple[int, int]) -> int:
    """As many as there are cores, as long as the arrays in work, about 16 per pixel, stay under 2 GiB."""
    chunk_bytes = _CHUNK * size[0] * size[1] * 4 * 16
    return max(1, min(os.cpu_count() or 1, 2**31 // chunk_bytes))


def generate(
    split: Split, count: int, *, size: tuple[int, int] = (32, 32), seed: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Draw the first `count` images of a split and their labels.

    Args:
        split: the two splits come from different random streams.
        count: n.
        size: (height, width) in pixels.
        seed: of the whole data set.

    Returns:
        RGB images [n, 3, height, width] and labels [n], indices into `CLASSES`.
    """
    images = np.empty((count, 3, *size), np.uint8)
    labels = np.empty(count, np.int64)

    def draw(chunk: int) -> None:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _STREAMS[split], chunk])))
        chunk_labels = _labels(rng)
        where = slice(chunk * _CHUNK, min((chunk + 1) * _CHUNK, count))
        labels[where] = chunk_labels[: where.stop - where.start]
        images[where] = draw_scenes(rng, chunk_labels, *size)[: where.stop - where.start]

    with ThreadPoolExecutor(_threads(size)) as pool:
        list(pool.map(draw, range(-(-count // _CHUNK))))
    return images, labels
