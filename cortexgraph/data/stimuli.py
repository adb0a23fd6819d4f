"""Images to show to a network, read from their files as they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from cortexgraph.data.decode import decode_files
from cortexgraph.data.folder import list_images
from cortexgraph.data.images import LabelledImages
from cortexgraph.data.load import as_path, balanced_subset, check_count, is_name, load_data, require
from cortexgraph.errors import DataError, Diagnostic

__all__ = ["Stimuli", "load_stimuli"]


@dataclass(frozen=True)
class Stimuli:
    """Images in a fixed order.

    Attributes:
        name: of the source.
        classes: the class of each image; empty text where there is none.
        files: the file of each image, relative to the source; empty text where there is none.
        read: gives the images of some places as uint8 [n, C, H, W].
    """

    name: str
    classes: tuple[str, ...]
    files: tuple[str, ...]
    read: Callable[[Sequence[int]], Tensor]

    def __len__(self) -> int:
        return len(self.classes)

    def chosen(self, count: int | None, seed: int = 0) -> Stimuli:
        """So many of them, evenly over the classes, in the same order.

        Raises:
            DataError: if there are not so many.
        """
        require(replace(finding, place="images") for finding in check_count("recorded", count, len(self)))
        names = sorted(set(self.classes))
        places = balanced_subset([names.index(name) for name in self.classes], count, seed)
        read = self.read
        return Stimuli(
            self.name,
            tuple(self.classes[n] for n in places),
            tuple(self.files[n] for n in places),
            lambda some: read([places[n] for n in some]),
        )

    def batches(self, size: int) -> Iterator[Tensor]:
        """uint8 [n, C, H, W], n at most `size`."""
        for start in range(0, len(self), size):
            yield self.read(range(start, min(start + size, len(self))))


def load_stimuli(
    source: str, *, size: tuple[int, int], channels: int, split: str = "test", **arguments: Any
) -> Stimuli:
    """The images of a source.

    Args:
        source: ``shapes``, ``cifar10``, or a folder. Of a folder with train/ and test/ that of the split is taken;
            otherwise the folder itself: its images, and those of its folders, which count as classes.
        size: (H, W) in pixels to which images are brought.
        channels: 1 or 3.
        split: train or test.
        arguments: further ones of `load_data`, for the sources that are no folder.

    Raises:
        DataError: if there are no images, or they cannot be read.
    """
    if is_name(source) or not as_path(source).is_dir():
        other = {"train_images" if split == "test" else "test_images": 1}  # the other split is not looked at
        data = load_data(source, size=size, channels=channels, **(arguments | other))
        return of_images(data.name, data.train if split == "train" else data.test, data.classes)
    root = _root(as_path(source), split)
    files = list_images(root)
    if not files:
        raise DataError(
            Diagnostic(
                "no-images",
                str(root),
                "there are no images in this folder",
                repair="Give a folder with images (such as .png or .jpg), or with a folder of images for each class.",
            )
        )

    def read(places: Sequence[int]) -> Tensor:
        return decode_files([files[n] for n in places], size, channels)

    inside = [file.relative_to(root) for file in files]
    classes = tuple(path.parts[0] if len(path.parts) > 1 else "" for path in inside)
    return Stimuli(source, classes, tuple(path.as_posix() for path in inside), read)


def of_images(name: str, images: LabelledImages, classes: Sequence[str]) -> Stimuli:
    """Images that are in memory."""
    labels = [classes[label] for label in images.labels.tolist()]
    return Stimuli(name, tuple(labels), ("",) * len(labels), lambda some: images.images[list(some)])


def _root(folder: Path, split: str) -> Path:
    """The folder of the split; the folder itself if it has no splits."""
    if (folder / split).is_dir():
        return folder / split
    other = "train" if split == "test" else "test"
    if (folder / other).is_dir():
        raise DataError(
            Diagnostic(
                "missing-split",
                str(folder),
                f"there is a folder {other}/",
                f"there is no folder {split}/",
                f"Give --split {other}, or {folder / other}{os.sep}.",
            )
        )
    return folder
