"""CIFAR-10 (Krizhevsky 2009, «Learning multiple layers of features from tiny images») through torchvision."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from cortexgraph.data.cache import cache_folder
from cortexgraph.data.decode import Bytes, fit_array, fit_pixels
from cortexgraph.data.images import Augment, ImageData, LabelledImages
from cortexgraph.data.load import Items, Request, register_data
from cortexgraph.errors import DataError, Diagnostic

Split = tuple[npt.NDArray[np.uint8], list[int]]


@register_data("cifar10")
def cifar10(request: Request) -> ImageData:
    """CIFAR-10, brought to the requested size."""
    root = request.root or cache_folder().with_name("cifar10")
    classes, train, test = _read(root, download=request.download)
    request.require_available({"train": len(train[1]), "test": len(test[1])})
    augment = Augment(crop_padding_px=min(request.size) // 8)
    height, width = request.size
    same = request.size == (32, 32)
    text = "used at their size of 32 × 32 pixels" if same else f"resized from 32 × 32 to {height} × {width} pixels"
    read = {"train": train, "test": test}
    if not request.fits(request.images[split] or len(labels) for split, (_, labels) in read.items()):
        items = {
            split: Items(
                Pixels(images, request.size, request.channels),
                labels,
                f"CIFAR-10 {split}",
                f"CIFAR-10 {split} {request.shape}",
            )
            for split, (images, labels) in read.items()
        }
        return request.data("cifar10", classes, items, augment, text)
    splits = {}
    for split, (images, labels) in read.items():
        chosen = request.subset(split, labels)
        fitted = fit_array(images[chosen], request.size, request.channels)
        splits[split] = LabelledImages(fitted, torch.tensor(labels)[chosen])
    return ImageData.of("cifar10", classes, splits, augment, text)


@dataclass(frozen=True)
class Pixels:
    """Brings the n-th of the images [N, 32, 32, 3] to a size."""

    images: Bytes
    size: tuple[int, int]
    channels: int

    def __call__(self, number: int) -> Bytes:
        """The image, uint8 [C, H, W]."""
        return fit_pixels(self.images[number], self.size, self.channels)


def _read(root: Path, *, download: bool) -> tuple[tuple[str, ...], Split, Split]:
    """Read both splits.

    Args:
        root: the folder that holds, or will hold, `cifar-10-batches-py`.
        download: fetch the archive (170 MB, checked by its MD5 sum) if it is not there.

    Returns:
        Class names, and (images [N, 32, 32, 3], labels) of train and test.

    Raises:
        DataError: if the files are missing or damaged, or cannot be downloaded.
    """
    from torchvision.datasets import CIFAR10  # takes a second, which other sources do not need

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy about how these old files were pickled, of tarfile about filters
        if download:
            try:
                root.mkdir(parents=True, exist_ok=True)
                CIFAR10(root, download=True)
            except (RuntimeError, OSError, EOFError) as error:  # network, disk, a wrong checksum, a broken archive
                reason = getattr(error, "reason", error)  # of urllib, which wraps what the system said
                words = str(getattr(reason, "strerror", None) or reason)
                problem = f"CIFAR-10 could not be downloaded ({' '.join(words.split())})"
                repair = "Check the network and the free space, or give a directory of images as the data."
                raise DataError(Diagnostic("download-failed", str(root), problem, repair=repair)) from error
        try:
            train, test = CIFAR10(root, train=True), CIFAR10(root, train=False)
        except (RuntimeError, OSError) as error:
            problem = "no intact copy of CIFAR-10 (cifar-10-batches-py) was found here"
            repair = "Add `--download` to fetch it (170 MB), or give a directory of images as the data."
            finding = Diagnostic("missing-cifar10", str(root), problem, "all of its files are needed", repair)
            raise DataError(finding) from error
    return tuple(train.classes), (train.data, train.targets), (test.data, test.targets)
