"""The built-in data set: ten textured shapes among clutter and behind bars, drawn from a seed.

It is generated in chunks that each have a random stream of their own.

Image i of a split depends only on (seed, split, i, size): a smaller set is the beginning of a larger one, and
the number of threads makes no difference.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cortexgraph.data.decode import check_memory
from cortexgraph.data.images import Augment, ImageData, LabelledImages
from cortexgraph.data.load import Request, register_data
from cortexgraph.data.shapes.outlines import CLASSES
from cortexgraph.data.shapes.scene import draw_scenes

__all__ = ["CLASSES", "Split", "generate"]

Split = Literal["train", "test"]

_CHUNK = 100  # images; part of the definition of the data, and a multiple of the number of classes
_STREAMS: dict[Split, int] = {"train": 0, "test": 1}
_IMAGES: dict[Split, int] = {"train": 20_000, "test": 2_000}  # unless another number is asked for


@register_data("shapes")
def shapes(request: Request) -> ImageData:
    """The built-in data set at the requested size."""
    counts = {split: request.images[split] or default for split, default in _IMAGES.items()}
    check_memory(sum(counts.values()), request.size, 3)
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
