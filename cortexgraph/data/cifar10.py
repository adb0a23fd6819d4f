"""CIFAR-10 (Krizhevsky 2009, «Learning multiple layers of features from tiny images») through torchvision."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cortexgraph.data.cache import cache_folder
from cortexgraph.errors import DataError, Diagnostic

__all__ = ["default_root", "read_cifar10"]

Split = tuple[npt.NDArray[np.uint8], list[int]]


def default_root() -> Path:
    """Where CIFAR-10 is looked for and downloaded to, unless a folder is given."""
    return cache_folder().with_name("cifar10")


def read_cifar10(root: Path, *, download: bool) -> tuple[tuple[str, ...], Split, Split]:
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
            _download(root)
        try:
            train, test = CIFAR10(root, train=True), CIFAR10(root, train=False)
        except (RuntimeError, OSError) as error:
            raise _missing(root) from error
    return tuple(train.classes), (train.data, train.targets), (test.data, test.targets)


def _missing(root: Path) -> DataError:
    return DataError(
        Diagnostic(
            code="missing-cifar10",
            place=str(root),
            found="there is no sound copy of CIFAR-10 (cifar-10-batches-py) here",
            expected="all of its files are needed",
            repair="Add `--download` to fetch it (170 MB), or give a directory of images as the data.",
        )
    )


def _download(root: Path) -> None:
    from torchvision.datasets import CIFAR10

    try:
        root.mkdir(parents=True, exist_ok=True)
        CIFAR10(root, download=True)
    except (RuntimeError, OSError, EOFError) as error:  # network, disk, a wrong checksum, a broken archive
        raise DataError(
            Diagnostic(
                code="download-failed",
                place=str(root),
                found=f"CIFAR-10 could not be downloaded ({' '.join(str(error).split())})",
                repair="Check the network and the free space, or give a directory of images as the data.",
            )
        ) from error
