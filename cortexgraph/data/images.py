"""Labelled images held in memory: what every source of data is turned into."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from cortexgraph.data.augment import Augment
from cortexgraph.errors import DataError, Diagnostic

__all__ = ["ImageData", "LabelledImages"]

_STATISTICS_CHUNK = 4096  # images counted at once, to keep the memory small


@dataclass(frozen=True)
class LabelledImages:
    """Images and the index of their class.

    Attributes:
        images: uint8 [N, C, H, W].
        labels: int64 [N].

    Raises:
        DataError: if the tensors are of another kind or do not fit each other.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        kinds = images.dtype == torch.uint8 and labels.dtype == torch.int64
        if kinds and images.ndim == 4 and labels.shape == images.shape[:1]:
            return
        raise DataError(
            Diagnostic(
                code="bad-tensors",
                place="LabelledImages",
                found=f"images are {_describe(images)} and labels are {_describe(labels)}",
                expected="uint8 images [N, C, H, W] and int64 labels [N] are needed",
                repair="Convert them with `.to(…)`, and give each image one label.",
            )
        )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """A data set with its two splits.

    Attributes:
        name: of the source, such as ``shapes``, or the directory's path.
        classes: their names; a label is an index into them.
        train, test: the two splits, of one image size.
        mean, std: per channel, of the train images scaled to [0, 1].
        augment: the augmentation that suits this data by default.
    """

    name: str
    classes: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment = field(default_factory=Augment)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 images [N, C, H, W] scaled to [0, 1].

    Counted in integers, so the result does not depend on threads or summation order. A constant channel gets
    the standard deviation of one grey level, so that dividing by it is safe.
    """
    channels = images.shape[1]
    counts = torch.zeros(channels, 256, dtype=torch.int64)
    for chunk in torch.split(images, _STATISTICS_CHUNK):
        for channel in range(channels):
            counts[channel] += torch.bincount(chunk[:, channel].flatten(), minlength=256)
    levels = torch.arange(256)
    total = int(counts[0].sum())
    sums, squares = (counts * levels).sum(1).tolist(), (counts * levels**2).sum(1).tolist()
    means = tuple(s / total / 255 for s in sums)
    spreads = tuple(max((q * total - s * s) ** 0.5 / total, 1) / 255 for s, q in zip(sums, squares, strict=True))
    return means, spreads


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
