"""Batches of normalised images: (seed, epoch) alone decide their order and augmentation.

Whole batches are augmented without a loop over images: shifted crops, mirroring, cut-out squares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cortexgraph.data.images import Augment, Images
from cortexgraph.errors import DataError, Diagnostic

ALIKE = 8
"""Images of a batch to which RandAugment does the same."""


class Batches:
    """Iterate over (images float32 [B, C, H, W] normalised per channel, targets [B, …]: without others the classes).

    Images in memory are moved to the device once, as bytes; streamed ones are read batch by batch. Both are turned into
    floats batch by batch. Iterating does not change the object: the same epoch gives the same batches again, also after
    a restart and on another device.

    Args:
        data: the images.
        mean, std: per channel, of images in [0, 1].
        batch_size: B; the last batch may be smaller.
        augment: what to do to each image, or None.
        seed: of the order and the augmentation.
        shuffle: whether each epoch has its own random order; otherwise the order of `data`.
        device: where the batches live.
        drop_last: leave out a last batch of fewer than `batch_size` images.
        views: how often each image of a batch is in it, each time augmented afresh: first all, then all again.

    Raises:
        DataError: for an empty or impossible request.
    """

    def __init__(
        self,
        data: Images,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        batch_size: int,
        augment: Augment | None,
        seed: int,
        shuffle: bool,
        device: torch.device | str = "cpu",
        drop_last: bool = False,
        views: int = 1,
    ) -> None:
        channels, count = data.shape[0], len(data)
        problems: list[tuple[bool, tuple[str, str, str]]] = [
            (not count, ("no images", "at least one is needed", "Give a data set that is not empty.")),
            (
                not len(mean) == len(std) == channels,
                (
                    f"mean has {len(mean)} and std has {len(std)} values",
                    f"the images have {channels} channels",
                    "Give one value per channel.",
                ),
            ),
            (min(std, default=1) <= 0, (f"std is {tuple(std)}", "each must be positive", "Replace a zero by 1 / 255.")),
            (seed < 0, (f"seed is {seed}", "it must be 0 or more", "Give another seed.")),
            (batch_size < 1, (f"batch_size is {batch_size}", "it must be 1 or more", "Give a positive number.")),
            (
                drop_last and count < batch_size,
                (
                    f"drop_last leaves nothing of {count} images in batches of {batch_size}",
                    "at least one batch is needed",
                    f"Give a batch size of at most {count}.",
                ),
            ),
        ]
        if findings := [Diagnostic("bad-batches", "batches", *texts) for wrong, texts in problems if wrong]:
            raise DataError(findings)
        if augment is not None:
            augment.check_fits(*data.shape[1:])
        self.batch_size, self.augment, self.seed = batch_size, augment, seed
        self.shuffle, self.drop_last, self.device, self.views = shuffle, drop_last, torch.device(device), views
        self._data = data.on(self.device)
        # (x / 255 − mean) / std as one multiplication and one addition, each [C, 1, 1].
        scale, centre = torch.tensor(std)[:, None, None] * 255, torch.tensor(mean)[:, None, None] * 255
        self._gain, self._shift = (1 / scale).to(self.device), (-centre / scale).to(self.device)
        self._mean_colour = centre.flatten().round().to(torch.uint8).to(self.device)
        self._epoch, self._mirrored = 0, torch.rand(count, generator=_generator(seed, stream=1)) < 0.5

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, whose batches the next iteration gives."""
        self._epoch = epoch

    def __len__(self) -> int:
        """The number of batches."""
        full, rest = divmod(len(self._data), self.batch_size)
        return full + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.part()

    def part(
        self, first: int = 0, rank: int = 0, world: int = 1, *, pairs: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches from number `first` on; of each batch, the images rank, rank + world, …, in all their views.

        With `pairs`, each of these images comes after the one that is before it in the whole batch.
        """
        count, (_, *size), views = len(self._data), self._data.shape, self.views
        generator = _generator(self.seed, self._epoch)
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        drawn = draw_augment(self.augment, count * views, size, generator) if self.augment else ()
        if isinstance(drawn, AugmentDraws) and self.augment and self.augment.flip == "alternating":
            drawn = drawn._replace(flip=self._mirrored[order].repeat(views) ^ bool(self._epoch % 2))
        of_views = [draw.to(self.device).view(views, count, *draw.shape[1:]) for draw in drawn]
        draws = [torch.split(draw, self.batch_size, 1)[first : len(self)] for draw in of_views]  # each [views, B, …]
        batches = torch.split(order, self.batch_size)[first : len(self)]
        places = [_places(len(batch), rank, world, pairs) for batch in batches]
        own = (batch[place].repeat(views) for batch, place in zip(batches, places, strict=True))
        for number, (images, targets) in enumerate(self._data.read(own)):
            place, whole = places[number], len(batches[number])
            in_views = torch.cat([place + view * whole for view in range(views)])
            own_draws = [draw[number][:, place.to(self.device)].flatten(0, 1) for draw in draws]
            start = (first + number) * self.batch_size
            images, targets = self._augmented(images, targets, start, in_views, own_draws)  # noqa: PLW2901
            yield images.float().mul_(self._gain).add_(self._shift), targets

    def _augmented(
        self, images: Tensor, targets: Tensor, start: int, places: Tensor, draws: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Images of the batch that starts at this place of the epoch, uint8 [B, C, H, W] or videos, augmented.

        All frames of a video are augmented alike, and the places of targets [B, …, H, W] move with those of the image.

        Args:
            images, targets: of this process.
            start: of the whole batch.
            places: of the images in the whole batch.
            draws: for these images.
        """
        if self.augment is None:
            return images, targets
        if self.augment.randaugment:
            images = self._randaugmented(images, self.augment.randaugment, start, places)
        own, channels = AugmentDraws(*draws), images.flatten(1, -3)  # [B, C or F · C, H, W]
        mean = self._mean_colour.repeat(channels.shape[1] // len(self._mean_colour))
        augmented = apply_augment(channels, self.augment, own, mean).view_as(images)
        return augmented, move_places(targets, self.augment, own) if targets.ndim > 2 else targets

    def _randaugmented(self, images: Tensor, operations: int, start: int, places: Tensor) -> Tensor:
        """RandAugment, the same for every 8 places of the whole batch; it draws from torch's global generator."""
        from torchvision.transforms import v2

        fill: list[float] = self._mean_colour.tolist()
        transform, changed, groups = v2.RandAugment(operations, fill=fill), images.clone(), places // ALIKE
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed(self.seed, self._epoch, start, stream=2))
            for group in range(int(groups.max()) + 1 if len(groups) else 0):
                alike = (groups == group).nonzero()[:, 0].to(images.device)
                part = images[alike] if len(alike) else torch.zeros_like(images[:1])  # to draw what all processes do
                changed[alike] = transform(part)[: len(alike)]
        return changed


def _places(count: int, rank: int, world: int, pairs: bool) -> Tensor:
    """The places of a process's images in a batch, with `pairs` each after the one before it."""
    own = torch.arange(rank, count, world)
    return torch.stack([(own - 1) % count, own], 1).flatten() if pairs else own


def _generator(*entropy: int, stream: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(*entropy, stream=stream))


def _seed(*entropy: int, stream: int = 0) -> int:
    """A seed whose numbers have nothing in common with those of neighbouring numbers and other streams."""
    sequence = np.random.SeedSequence(entropy, spawn_key=(stream,) if stream else ())
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


# ---- augmentation --------------------------------------------------------


class AugmentDraws(NamedTuple):
    """The random choices for N images: one row per image, made on the CPU so that every device sees the same.

    Attributes:
        shift: crop origin (y, x) in the padded image, int64 [N, 2].
        flip: whether to mirror, bool [N].
        hole: centre (y, x) of the cut-out square, int64 [N, 2].
    """

    shift: Tensor
    flip: Tensor
    hole: Tensor


def draw_augment(augment: Augment, count: int, size: Sequence[int], generator: torch.Generator) -> AugmentDraws:
    """Draw the choices for `count` images of `size` (height, width)."""
    shift = torch.randint(2 * augment.crop_padding_px + 1, (count, 2), generator=generator)
    flip = torch.rand(count, generator=generator) < (0.5 if augment.flip else -1.0)
    centres = [torch.randint(extent, (count,), generator=generator) for extent in size]
    return AugmentDraws(shift, flip, torch.stack(centres, dim=1))


def apply_augment(images: Tensor, augment: Augment, draws: AugmentDraws, mean: Tensor) -> Tensor:
    """Augment images, uint8 [B, C, H, W], as `draws` on the same device say; `mean` [C] fills cut-out squares."""
    if augment.crop_padding_px or augment.flip:
        images = _crop_and_flip(images, augment, draws)
    if augment.cutout_px:
        rows, columns = (
            _within(index - (draws.hole[:, axis, None] - augment.cutout_px // 2), augment.cutout_px)  # [B, H or W]
            for axis, index in enumerate(_indices(images))
        )
        images = torch.where((rows[:, :, None] & columns[:, None, :])[:, None], mean[:, None, None], images)
    return images


def _indices(images: Tensor) -> list[Tensor]:
    return [torch.arange(extent, device=images.device) for extent in images.shape[2:]]


def _within(index: Tensor, extent: int) -> Tensor:
    return (index >= 0) & (index < extent)


def move_places(targets: Tensor, augment: Augment, draws: AugmentDraws) -> Tensor:
    """Targets of places [B, …, H, W], moved as their images are; −1 or NaN where a place lies outside of the image."""
    maps = targets.flatten(1, -3) if targets.ndim > 3 else targets[:, None]  # [B, K, H, W]
    moved, inside = _fetched(maps, augment, draws)
    known = (
        moved if augment.padding == "reflect" else moved.where(inside, torch.nan if maps.is_floating_point() else -1)
    )
    return known.view_as(targets)


def _crop_and_flip(images: Tensor, augment: Augment, draws: AugmentDraws) -> Tensor:
    fetched, inside = _fetched(images, augment, draws)
    return fetched * inside if augment.crop_padding_px and augment.padding == "zero" else fetched


def _fetched(images: Tensor, augment: Augment, draws: AugmentDraws) -> tuple[Tensor, Tensor]:
    """Every pixel from where shift and mirror say that it lies in the unpadded image, and whether it lies inside."""
    batch, channels, height, width = images.shape
    y, x = _indices(images)
    origin = draws.shift - augment.crop_padding_px  # [B, 2]
    rows, columns = origin[:, :1] + y, origin[:, 1:] + x  # [B, H], [B, W]
    columns = torch.where(draws.flip[:, None], columns.flip(1), columns)
    inside = (_within(rows, height)[:, :, None] & _within(columns, width)[:, None, :])[:, None]  # [B, 1, H, W]
    if augment.padding == "reflect":  # at the centres of the first and last pixel, as `torch.nn.functional.pad` does
        rows, columns = _reflect(rows, height - 1), _reflect(columns, width - 1)
    else:
        rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    flat = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, height * width)
    return images.flatten(2).gather(2, flat.expand(-1, channels, -1)).view_as(images), inside


def _reflect(index: Tensor, last: int) -> Tensor:
    return last - (last - index.abs()).abs()
