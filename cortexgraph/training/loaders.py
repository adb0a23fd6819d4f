"""The batches of a run: how many there are, and what gives them to the trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor

from cortexgraph.data import Batches, ImageData, Images
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.training.images import augmentation, mixed
from cortexgraph.training.settings import TrainSettings
from cortexgraph.wording import count_of

EVALUATION_BATCH_SIZE = 500
EVALUATION_BYTES = 2**26
"""Bytes of the largest batch of images, as floats, on which training evaluates an epoch."""


class EpochLoader:
    """`Batches` that ask for the number of the epoch when an iteration starts.

    The order and augmentation of an epoch follow from its number, so a resumed run sees the same images as an
    uninterrupted one.

    Args:
        batches: what to iterate over.
        epoch: gives the number of the epoch, from 0.
        first: gives the number of the epoch's batch with which an iteration starts.
        rank, world: this process takes images rank, rank + world, … of each batch.
        channels_last: whether images come in that memory layout.
        mixing: settings by which images are mixed with those before them in the batch; then the labels of the other
            images and the share of each image's own follow its labels.
    """

    def __init__(
        self,
        batches: Batches,
        epoch: Callable[[], int],
        first: Callable[[], int] = lambda: 0,
        *,
        rank: int = 0,
        world: int = 1,
        channels_last: bool = True,
        mixing: TrainSettings | None = None,
    ) -> None:
        self.batches, self.epoch, self.first = batches, epoch, first
        self.rank, self.world, self.mixing = rank, world, mixing
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def __len__(self) -> int:
        return len(self.batches)

    def state_dict(self) -> dict[str, int]:
        """Nothing: the trainer knows the epoch and the batch. Lightning asks whether a loader can be resumed."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Nothing, likewise."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        epoch, first, mixing = self.epoch(), self.first(), self.mixing
        self.batches.set_epoch(epoch)
        if mixing is None:
            for images, targets in self.batches.part(first, self.rank, self.world):
                yield self._laid_out(images), targets
            return
        pairs = self.world > 1  # of each image and the one that it is mixed with
        own = slice(1, None, 2) if pairs else slice(None)
        part = self.batches.part(first, self.rank, self.world, pairs=pairs)
        for number, (batch, targets) in enumerate(part, first):
            images, share = mixed(batch, mixing, epoch, number)
            yield self._laid_out(images[own]), targets[own], targets.roll(1, 0)[own], share

    def _laid_out(self, images: Tensor) -> Tensor:
        layout = self.layout if images.ndim == 4 else torch.contiguous_format  # videos have five dimensions
        return images.contiguous(memory_format=layout)


def run_length(data: ImageData, settings: TrainSettings) -> int:
    """Number of updates of the weights in the whole run."""
    return settings.epochs * max(1, len(data.train) // settings.images_per_update)


def left_out(data: ImageData, settings: TrainSettings) -> int:
    """How many images each epoch leaves out, others every time: they do not fill the batches of an update."""
    count = len(data.train)
    return count % settings.images_per_update if count >= settings.batch_size else 0


def check_batches(data: ImageData, settings: TrainSettings) -> None:
    """Raise DataError unless an epoch has an update, and processes get equal shares of what is less than a batch."""
    count = len(data.train)
    if settings.accumulate > 1 and count < settings.images_per_update:
        found = f"an update needs {settings.accumulate} batches of {settings.batch_size} images"
        expected, repair = f"there are {count_of(count, 'training image')}", "Lower --accumulate or --batch-size."
        raise DataError(Diagnostic("data-mismatch", "settings.accumulate", found, expected, repair))
    if count < settings.batch_size and count % settings.processes:
        found = f"{count_of(count, 'image')} do not divide among {settings.processes} devices"
        raise DataError(Diagnostic("data-mismatch", "settings.devices", found, repair="Use fewer devices."))


def train_batches(data: ImageData, settings: TrainSettings, device: torch.device, views: int = 1) -> Batches:
    """Training images, shuffled and augmented; a last batch that is not full is left out."""
    return Batches(
        data.train,
        mean=data.mean,
        std=data.std,
        batch_size=settings.batch_size,
        augment=augmentation(data, settings),
        seed=settings.seed,
        shuffle=True,
        device=device,
        drop_last=len(data.train) >= settings.batch_size,
        views=views,
    )


def evaluation_batches(
    data: ImageData,
    device: torch.device,
    batch_size: int | None = None,
    split: Literal["train", "validation", "test"] = "test",
    views: TrainSettings | None = None,
) -> Batches:
    """Images of a split in their order, normalised as the training images are; by default at most 500, or 64 MiB.

    With the settings for `views`, two of each image, augmented so.
    """
    images: Images = getattr(data, split)
    if batch_size is None:
        batch_size = min(
            EVALUATION_BATCH_SIZE, max(1, EVALUATION_BYTES // (4 * (images.frames or 1) * prod(images.shape)))
        )
    return Batches(
        images,
        mean=data.mean,
        std=data.std,
        batch_size=batch_size,
        augment=None if views is None else augmentation(data, views),
        seed=0,
        shuffle=False,
        device=device,
        views=1 if views is None else 2,
    )
