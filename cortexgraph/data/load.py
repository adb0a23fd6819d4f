"""`load_data`: from the name of a source to images in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from cortexgraph.data.augment import Augment
from cortexgraph.data.cache import cached, files_key
from cortexgraph.data.cifar10 import default_root, read_cifar10
from cortexgraph.data.decode import check_memory, decode_files, fit_array
from cortexgraph.data.folder import FolderSplit, list_folder
from cortexgraph.data.images import ImageData, LabelledImages, channel_statistics
from cortexgraph.data.request import Request, as_path, check, require
from cortexgraph.data.shapes import CLASSES, Split, generate
from cortexgraph.data.subset import balanced_subset
from cortexgraph.errors import DataError, Diagnostic

__all__ = ["SOURCES", "load_data"]

SHAPES_IMAGES: dict[Split, int] = {"train": 20_000, "test": 2_000}  # unless another number is asked for


def load_data(
    source: str,
    *,
    size: tuple[int, int],
    channels: int,
    seed: int = 0,
    root: str | Path | None = None,
    download: bool = False,
    train_images: int | None = None,
    test_images: int | None = None,
    cache: bool = True,
) -> ImageData:
    """Load a data set.

    Args:
        source: ``shapes`` (built in), ``cifar10``, or a directory `train/<class>/*`, `test/<class>/*`
            (a directory of one of these names is given as ``./shapes``).
        size: (H, W) in pixels to which images are brought where they differ.
        channels: 1 (luminance) or 3 (RGB).
        seed: of the built-in data, and of the choice where fewer images are asked for than there are.
        root: the folder of CIFAR-10; by default one in the user's cache.
        download: whether CIFAR-10 may be downloaded into `root`.
        train_images, test_images: how many, evenly over the classes; None for all (shapes: 20,000 and 2,000).
        cache: whether the decoded images of a directory are kept in, and read from, the user's cache.

    Raises:
        DataError: with everything that is wrong with the request or the files.
    """
    counts = {"train": train_images, "test": test_images}
    request = Request(size, channels, seed, Path(root) if root is not None else None, download, counts, cache)
    require(check(source, request, SOURCES))
    return SOURCES[source](request) if source in SOURCES else _directory(source, request)


def _shapes(request: Request) -> ImageData:
    counts = {split: request.images[split] or default for split, default in SHAPES_IMAGES.items()}
    check_memory(sum(counts.values()), request.size, 3)
    splits: dict[str, LabelledImages] = {}
    for split, count in counts.items():
        images, labels = map(torch.from_numpy, generate(split, count, size=request.size, seed=request.seed))
        splits[split] = LabelledImages(images if request.channels == 3 else _luminance(images), labels)
    augment = Augment(crop_padding_px=min(request.size) // 16, padding="reflect")
    return _data("shapes", CLASSES, splits, augment)


def _cifar10(request: Request) -> ImageData:
    classes, train, test = read_cifar10(request.root or default_root(), download=request.download)
    request.require_available({"train": len(train[1]), "test": len(test[1])})
    splits: dict[str, LabelledImages] = {}
    for split, (images, labels) in (("train", train), ("test", test)):
        chosen = balanced_subset(labels, request.images[split], request.seed)
        fitted = fit_array(images[chosen], request.size, request.channels)
        splits[split] = LabelledImages(fitted, torch.tensor(labels)[chosen])
    return _data("cifar10", classes, splits, Augment(crop_padding_px=min(request.size) // 8))


def _directory(source: str, request: Request) -> ImageData:
    classes, listed = list_folder(as_path(source))
    request.require_available({split: len(found.files) for split, found in listed.items()})
    splits: dict[str, LabelledImages] = {}
    findings: list[Diagnostic] = []
    for split, found in listed.items():
        try:
            splits[split] = _decode_split(found, request.images[split], request)
        except DataError as error:  # unreadable files of both splits are reported together
            findings += error.diagnostics
    require(iter(findings))
    return _data(source, classes, splits, Augment(crop_padding_px=min(request.size) // 8))


def _decode_split(found: FolderSplit, wanted: int | None, request: Request) -> LabelledImages:
    chosen = balanced_subset(found.labels, wanted, request.seed)
    files = [found.files[index] for index in chosen]
    size, channels = request.size, request.channels

    def decode() -> Tensor:
        return decode_files(files, size, channels)

    shape = (len(files), channels, *size)
    images = cached(files_key(files, size, channels), shape, decode) if request.cache else decode()
    return LabelledImages(images, torch.tensor(found.labels)[chosen])


SOURCES: dict[str, Callable[[Request], ImageData]] = {"shapes": _shapes, "cifar10": _cifar10}


def _data(name: str, classes: tuple[str, ...], splits: dict[str, LabelledImages], augment: Augment) -> ImageData:
    mean, std = channel_statistics(splits["train"].images)
    return ImageData(name, classes, splits["train"], splits["test"], mean, std, augment)


def _luminance(images: Tensor) -> Tensor:
    """RGB uint8 [N, 3, H, W] → [N, 1, H, W], with the weights of ITU-R 601 in PIL's integer arithmetic."""
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32)[:, None, None]
    chunks = torch.split(images, 1024)
    return torch.cat([((c * weights).sum(1, keepdim=True) + 2**15 >> 16).to(torch.uint8) for c in chunks])
