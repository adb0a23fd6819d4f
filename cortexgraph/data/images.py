"""The interface of data: splits of images with their targets, the data set that they make, and its augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from cortexgraph.errors import DataError, Diagnostic

CLASS = "class"
"""The kind of target that is the index of a class."""
CHUNK_BYTES = 1 << 24
"""Bytes of the images that are counted together."""


@dataclass(frozen=True)
class Augment:
    """What is done to training images, each time afresh.

    Attributes:
        crop_padding_px: pad by this many pixels on each side, then crop the original size at random; 0 for none.
        flip: mirror half of the images left to right: afresh each time, or ``alternating``: each image in every
            second epoch (Jordan 2024, arXiv 2404.00498).
        cutout_px: side of a square set to the mean colour at a random place (DeVries & Taylor 2017, arXiv
            1708.04552: its centre lies anywhere in the image, so parts of it may fall outside); 0 for none.
        padding: ``zero`` pads with black, ``reflect`` mirrors the image at its border.
        randaugment: how many operations of torchvision's RandAugment (Cubuk et al. 2020) come first, drawn for every
            8 images of a batch; 0 for none.

    Raises:
        DataError: with every value that makes no sense.
    """

    crop_padding_px: int = 4
    flip: bool | Literal["alternating"] = True
    cutout_px: int = 0
    padding: Literal["zero", "reflect"] = "zero"
    randaugment: int = 0

    def __post_init__(self) -> None:
        findings = [
            _finding(name, value, "it must be a whole number, 0 or more", f"Give {name}=0 to disable it.")
            for name, value in asdict(self).items()
            if name not in {"flip", "padding"} and (not isinstance(value, int) or isinstance(value, bool) or value < 0)
        ]
        if self.padding not in ("zero", "reflect"):
            repair = "Give padding='zero' or padding='reflect'."
            findings.append(_finding("padding", repr(self.padding), "`zero` and `reflect` are known", repair))
        if self.flip not in (True, False, "alternating"):
            repair = "Give flip=True, flip=False or flip='alternating'."
            findings.append(_finding("flip", repr(self.flip), "True, False and `alternating` are known", repair))
        if findings:
            raise DataError(findings)

    def __str__(self) -> str:
        border = " with reflected borders" * (self.padding == "reflect")
        parts = [f"crops shifted by up to {self.crop_padding_px} px{border}"] if self.crop_padding_px else []
        parts += [f"mirror images{' in every second epoch' * (self.flip == 'alternating')}"] if self.flip else []
        parts += [f"{self.cutout_px} px cut-outs"] if self.cutout_px else []
        parts += [f"{self.randaugment} operations of RandAugment"] if self.randaugment else []
        return ", ".join(parts) or "none"

    def check_fits(self, height: int, width: int) -> None:
        """Raise DataError if images of this size cannot be augmented so."""
        limit = min(height, width)
        findings = [
            _finding(name, value, f"images of {height} × {width} pixels allow at most {most}", "Give a smaller number.")
            for name, value, most in (
                ("crop_padding_px", self.crop_padding_px, limit - 1),
                ("cutout_px", self.cutout_px, limit),
            )
            if value > most
        ]
        if findings:
            raise DataError(findings)


def _finding(name: str, value: object, expected: str, repair: str) -> Diagnostic:
    return Diagnostic("bad-augment", f"augment.{name}", f"{value} was given", expected, repair)


# ---- one split -------------------------------------------------------------------


class Images(ABC):
    """One split of a data set: N images of one size, each with a target, in memory or read as they are needed.

    Attributes:
        labels: index of each image's class, int64 [N]; zeros where the data set has no classes. Subsets take each class
            evenly by them.
        targets: what the network learns to give for each image, [N, …], where that is not its class.
        shape: of an image: channels, height, width.
        streamed: whether images are read as they are needed.
        frames: how many frames each has, where they are videos, which `read` gives as [B, F, C, H, W].
    """

    labels: Tensor
    targets: Tensor | None
    shape: tuple[int, int, int]
    streamed: bool
    frames: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def __getitem__(self, rows: Sequence[int]) -> Images:
        """The images in these rows."""

    @abstractmethod
    def on(self, device: torch.device) -> Images:
        """The same images, which `read` gives on this device."""

    @abstractmethod
    def read(self, batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images, uint8 [B, C, H, W], and targets, [B, …], for each batch of rows, int64 [B]."""

    @abstractmethod
    def update(self, digest: Any) -> None:
        """Add the images and their targets to a digest of `hashlib`."""

    def goals(self, rows: Tensor) -> Tensor:
        """The targets in these rows; without any, the classes."""
        return (self.labels if self.targets is None else self.targets)[rows]

    def __repr__(self) -> str:
        return f"<{len(self)} images of {' × '.join(map(str, self.shape))}>"


@dataclass(frozen=True, repr=False)
class LabelledImages(Images):
    """Images in memory and the index of their class.

    Attributes:
        images: uint8 [N, C, H, W], or videos [N, F, C, H, W]; a NumPy array becomes a tensor.
        labels: int64 [N], likewise.
        targets: what the network learns to give for each image, [N, …], where that is not its class; likewise.

    Raises:
        DataError: if the tensors are of another kind or do not fit each other.
    """

    images: Tensor
    labels: Tensor
    targets: Tensor | None = None
    streamed = False

    def __post_init__(self) -> None:
        for name, value in (("images", self.images), ("labels", self.labels), ("targets", self.targets)):
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, torch.from_numpy(value))
            elif not isinstance(value, Tensor) and (name != "targets" or value is not None):
                expected = "a tensor or a NumPy array is needed"
                raise DataError(Diagnostic("bad-tensors", name, f"a {type(value).__name__} was given", expected))
        images, labels = self.images, self.labels
        if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
            found, repair = f"images are {list(images.shape)}", "Put channels first: `images.permute(0, 3, 1, 2)`."
            raise DataError(Diagnostic("bad-tensors", "images", found, "they must be [N, C, H, W]", repair))
        types_fit = images.dtype == torch.uint8 and labels.dtype == torch.int64
        if not (types_fit and images.ndim in (4, 5) and labels.shape == images.shape[:1]):
            kinds = [f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}" for tensor in (images, labels)]
            expected = "uint8 images [N, C, H, W] and int64 labels [N] are needed"
            repair = "Convert them with `.to(torch.uint8)` and `.to(torch.int64)`, and give each image one label."
            found = f"images are {kinds[0]} and labels are {kinds[1]}"
            raise DataError(Diagnostic("bad-tensors", "LabelledImages", found, expected, repair))
        if self.targets is not None and self.targets.shape[:1] != labels.shape:
            found, expected = f"targets are {list(self.targets.shape)}", f"there are {len(labels)} images"
            raise DataError(Diagnostic("bad-tensors", "targets", found, expected, "Give each image one target."))

    @property
    def shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """Channels, height and width of an image."""
        channels, height, width = self.images.shape[-3:]
        return channels, height, width

    @property
    def frames(self) -> int | None:  # type: ignore[override]
        """How many frames each video has; None for images."""
        return self.images.shape[1] if self.images.ndim == 5 else None

    def __getitem__(self, rows: Sequence[int]) -> LabelledImages:
        """The images in these rows, copied."""
        return LabelledImages(
            self.images[rows], self.labels[rows], None if self.targets is None else self.targets[rows]
        )

    def on(self, device: torch.device) -> LabelledImages:
        """The same images, moved to this device."""
        targets = None if self.targets is None else self.targets.to(device)
        return LabelledImages(self.images.to(device), self.labels.to(device), targets)

    def read(self, batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images, uint8 [B, C, H, W], and targets, [B, …], for each batch of rows, int64 [B]."""
        for rows in batches:
            here = rows.to(self.images.device)
            yield self.images[here], self.goals(here)

    def update(self, digest: Any) -> None:
        """Add the images and their targets to a digest of `hashlib`."""
        digest.update(str(tuple(self.images.shape)).encode())
        for values in (self.images, self.labels, *([] if self.targets is None else [self.targets])):
            digest.update(values.contiguous().numpy().data)


# ---- the data set ----------------------------------------------------------------


@dataclass(frozen=True)
class Targets:
    """What the targets of a data set are.

    Attributes:
        kind: `class` for the index of a class, or another registered kind (`cortexgraph.data.targets`).
        shape: of the target of one image; empty for a single number.
        names: of the values of a target, where they have names other than the classes.
    """

    kind: str = CLASS
    shape: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageData:
    """A data set with its two splits; `ImageData.of` makes one of images of your own.

    Attributes:
        name: of the source, such as ``shapes``, or the directory's path.
        classes: their names; a label is an index into them. Of other targets the name of each number.
        train, test: the two splits, of one image size.
        validation: images set aside from the training images to choose an epoch, if there are any.
        mean, std: per channel, of the train images scaled to [0, 1].
        augment: the augmentation that suits this data by default.
        preparation: what was done to the images to bring them to this size, in words.
        targets: what the targets are.
    """

    name: str
    classes: tuple[str, ...]
    train: Images
    test: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment = field(default_factory=Augment)
    preparation: str = ""
    validation: Images | None = None
    targets: Targets = field(default_factory=Targets)

    @classmethod
    def of(
        cls,
        name: str,
        classes: Sequence[str],
        splits: Mapping[str, Images],
        augment: Augment | None = None,
        preparation: str = "",
        targets: Targets | None = None,
        counts: Tensor | None = None,
    ) -> ImageData:
        """The data set of some `splits` (train and test), with the statistics of its training images.

        Args:
            name: of the data set.
            classes: their names; a label is an index into them.
            splits: under `train` and `test`.
            augment: by default mirroring and crops shifted by up to 4 pixels.
            preparation: what was done to the images, in words.
            targets: what the targets are; by default classes.
            counts: `level_counts` of the training images, where they are known.

        Raises:
            DataError: if a split is missing, or a label is not the index of a class.

        Examples:
            >>> images = torch.randint(256, (20, 3, 8, 8), dtype=torch.uint8)
            >>> some = LabelledImages(images, torch.arange(20) % 2)
            >>> ImageData.of("mine", ["cat", "dog"], {"train": some, "test": some}).train
            <20 images of 3 × 8 × 8>
        """
        findings = [
            Diagnostic("bad-tensors", "splits", f"the split `{split}` is missing", repair="Give `train` and `test`.")
            for split in ("train", "test")
            if split not in splits
        ]
        for split, data in splits.items():
            if len(data) and not 0 <= int(data.labels.min()) <= int(data.labels.max()) < len(classes):
                found = f"labels go from {int(data.labels.min())} to {int(data.labels.max())}"
                expected, repair = f"there are {len(classes)} classes", "Count classes from 0, and name each of them."
                findings.append(Diagnostic("bad-tensors", f"splits.{split}", found, expected, repair))
        if findings:
            raise DataError(findings)
        train, test = splits["train"], splits["test"]
        mean, std = statistics_of(level_counts(train) if counts is None else counts)
        augment, targets = augment or Augment(), targets or Targets()
        return cls(name, tuple(classes), train, test, mean, std, augment, preparation, targets=targets)


def level_counts(images: Images) -> Tensor:
    """How often each of the 256 levels occurs in each channel, int64 [C, 256]."""
    channels, height, width = images.shape
    counts = torch.zeros(channels, 256, dtype=torch.int64)
    chunks = torch.split(
        torch.arange(len(images)), max(1, CHUNK_BYTES // ((images.frames or 1) * channels * height * width))
    )
    for chunk, _ in images.read(chunks):
        for channel in range(channels):
            counts[channel] += torch.bincount(chunk[..., channel, :, :].flatten(), minlength=256)
    return counts


def statistics_of(counts: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, scaled to [0, 1], of `level_counts`.

    Counted in integers, so that they do not depend on threads or summation order. A constant channel gets the standard
    deviation of one grey level, so that dividing by it is safe.
    """
    levels = torch.arange(256)
    total = int(counts[0].sum())
    sums, squares = (counts * levels).sum(1).tolist(), (counts * levels**2).sum(1).tolist()
    means = tuple(s / total / 255 for s in sums)
    spreads = tuple(max((q * total - s * s) ** 0.5 / total, 1) / 255 for s, q in zip(sums, squares, strict=True))
    return means, spreads
