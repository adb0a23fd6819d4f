"""Batches as Lightning iterates them: by epoch, in the right layout, each device its share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from cortexgraph.data import Batches, ImageData
from cortexgraph.training.settings import TrainSettings

__all__ = ["EVALUATION_BATCH_SIZE", "EpochLoader", "evaluation_batches", "run_length", "train_batches"]

EVALUATION_BATCH_SIZE = 500


class EpochLoader:
    """`Batches` that ask for the number of the epoch when an iteration starts.

    The order and augmentation of an epoch follow from its number, so a resumed run sees what an uninterrupted
    one would have seen.

    Args:
        batches: what to iterate over.
        epoch: gives the number of the epoch, from 0.
        rank, world: this process takes images rank, rank + world, … of each batch.
        channels_last: whether images come in that memory layout.
    """

    def __init__(
        self,
        batches: Batches,
        epoch: Callable[[], int],
        *,
        rank: int = 0,
        world: int = 1,
        channels_last: bool = True,
    ) -> None:
        self.batches, self.epoch = batches, epoch
        self.rank, self.world = rank, world
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.batches.set_epoch(self.epoch())
        for images, labels in self.batches:
            share = slice(self.rank, None, self.world)
            yield images[share].contiguous(memory_format=self.layout), labels[share]


def run_length(data: ImageData, settings: TrainSettings) -> int:
    """Number of training batches in the whole run."""
    return settings.epochs * max(1, len(data.train) // settings.batch_size)


def train_batches(data: ImageData, settings: TrainSettings, device: torch.device) -> Batches:
    """Training images, shuffled and augmented; a last batch that is not full is left out."""
    return Batches(
        data.train,
        mean=data.mean,
        std=data.std,
        batch_size=settings.batch_size,
        augment=data.augment if settings.augment else None,
        seed=settings.seed,
        shuffle=True,
        device=device,
        drop_last=len(data.train) >= settings.batch_size,
    )


def evaluation_batches(
    data: ImageData,
    device: torch.device,
    batch_size: int = EVALUATION_BATCH_SIZE,
    split: Literal["train", "test"] = "test",
) -> Batches:
    """Images of a split in their order, normalised as the training images are."""
    return Batches(
        data.train if split == "train" else data.test,
        mean=data.mean,
        std=data.std,
        batch_size=batch_size,
        augment=None,
        seed=0,
        shuffle=False,
        device=device,
    )
