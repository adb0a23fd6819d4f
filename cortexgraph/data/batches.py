"""Batches of normalised images: (seed, epoch) alone decide their order and augmentation.

Whole batches are augmented without a loop over images: shifted crops, mirroring, cut-out squares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cortexgraph.data.images import Augment, LabelledImages
from cortexgraph.errors import DataError, Diagnostic

__all__ = ["AugmentDraws", "Batches", "apply_augment", "draw_augment"]


class Batches:
    """Iterate over (images float32 [B, C, H, W] normalised per channel, labels int64 [B]).

    The images are moved to the device once, as bytes, and turned into floats batch by batch. Iterating does
    not change the object: the same epoch gives the same batches again, also after a restart and on another
    device.

    Args:
        data: the images.
        mean, std: per channel, of images in [0, 1].
        batch_size: B; the last batch may be smaller.
        augment: what to do to each image, or None.
        seed: of the order and the augmentation.
        shuffle: whether each epoch has an order of its own; otherwise the order of `data`.
        device: where the batches live.
        drop_last: leave out a last batch of fewer than `batch_size` images.

    Raises:
        DataError: for an empty or impossible request.
    """

    def __init__(
        self,
        data: LabelledImages,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        batch_size: int,
        augment: Augment | None,
        seed: int,
        shuffle: bool,
        device: torch.device | str = "cpu",
        drop_last: bool = False,
    ) -> None:
        findings = [
            *_check_request(data, mean, std),
            *_check_numbers(len(data), batch_size, seed, drop_last),
        ]
        if findings:
            raise DataError(findings)
        if augment is not None:
            augment.check_fits(data.images.shape[2], data.images.shape[3])
        self.batch_size, self.augment, self.seed = batch_size, augment, seed
        self.shuffle, self.drop_last, self.device = shuffle, drop_last, torch.device(device)
        self._images = data.images.to(self.device)  # uint8 [N, C, H, W]
        self._labels = data.labels.to(self.device)  # [N]
        # (x / 255 − mean) / std as one multiplication and one addition, each [C, 1, 1].
        scale, centre = torch.tensor(std)[:, None, None] * 255, torch.tensor(mean)[:, None, None] * 255
        self._gain, self._shift = (1 / scale).to(self.device), (-centre / scale).to(self.device)
        self._mean_colour = centre.flatten().round().to(torch.uint8).to(self.device)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, whose batches the next iteration gives."""
        self._epoch = epoch

    def __len__(self) -> int:
        """The number of batches."""
        full, rest = divmod(len(self._labels), self.batch_size)
        return full + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count, size = len(self._labels), (self._images.shape[2], self._images.shape[3])
        generator = _generator(self.seed, self._epoch)
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        order = order.to(self.device)
        draws = draw_augment(self.augment, count, size, generator).to(self.device) if self.augment else None
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            rows = slice(start, start + self.batch_size)
            images = self._images[order[rows]]  # uint8 [B, C, H, W]
            if self.augment and draws:
                images = apply_augment(images, self.augment, draws[rows], self._mean_colour)
            yield images.float().mul_(self._gain).add_(self._shift), self._labels[order[rows]]


def _generator(seed: int, epoch: int) -> torch.Generator:
    """A random stream for one epoch of one seed; neighbouring seeds and epochs have nothing in common."""
    state = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def _check_request(data: LabelledImages, mean: Sequence[float], std: Sequence[float]) -> Iterator[Diagnostic]:
    channels = data.images.shape[1]
    if not len(data):
        yield _finding("no images", "at least one is needed", "Give a data set that is not empty.")
    if len(mean) != channels or len(std) != channels:
        found, expected = (
            f"mean has {len(mean)} and std has {len(std)} values",
            f"the images have {channels} channels",
        )
        yield _finding(found, expected, "Give one value per channel.")
    elif any(value <= 0 for value in std):
        yield _finding(f"std is {tuple(std)}", "each must be positive", "Replace a zero by 1 / 255.")


def _check_numbers(count: int, batch_size: int, seed: int, drop_last: bool) -> Iterator[Diagnostic]:
    if seed < 0:
        yield _finding(f"seed is {seed}", "it must be 0 or more", "Give another seed.")
    if batch_size < 1:
        yield _finding(f"batch_size is {batch_size}", "it must be 1 or more", "Give a positive number.")
    elif drop_last and count < batch_size:
        found = f"drop_last leaves nothing of {count} images in batches of {batch_size}"
        yield _finding(found, "at least one batch is needed", f"Give a batch size of at most {count}.")


def _finding(found: str, expected: str, repair: str) -> Diagnostic:
    return Diagnostic("bad-batches", "batches", found, expected, repair)


# ---- augmentation --------------------------------------------------------


@dataclass(frozen=True)
class AugmentDraws:
    """The random choices for N images: one row per image, made on the CPU so that every device sees the same.

    Attributes:
        shift: crop origin (y, x) in the padded image, int64 [N, 2].
        flip: whether to mirror, bool [N].
        hole: centre (y, x) of the cut-out square, int64 [N, 2].
    """

    shift: Tensor
    flip: Tensor
    hole: Tensor

    def to(self, device: torch.device) -> AugmentDraws:
        return AugmentDraws(self.shift.to(device), self.flip.to(device), self.hole.to(device))

    def __getitem__(self, rows: slice) -> AugmentDraws:
        return AugmentDraws(self.shift[rows], self.flip[rows], self.hole[rows])


def draw_augment(augment: Augment, count: int, size: tuple[int, int], generator: torch.Generator) -> AugmentDraws:
    """Draw the choices for `count` images of `size` (height, width)."""
    shift = torch.randint(2 * augment.crop_padding_px + 1, (count, 2), generator=generator)
    flip = torch.rand(count, generator=generator) < (0.5 if augment.flip else -1.0)
    centres = [torch.randint(extent, (count,), generator=generator) for extent in size]
    return AugmentDraws(shift, flip, torch.stack(centres, dim=1))


def apply_augment(images: Tensor, augment: Augment, draws: AugmentDraws, mean: Tensor) -> Tensor:
    """Augment a batch.

    Args:
        images: uint8 [B, C, H, W].
        augment: what to do.
        draws: the choices for these B images, on the same device.
        mean: the colour of cut-out squares, uint8 [C].

    Returns:
        uint8 [B, C, H, W].
    """
    if augment.crop_padding_px or augment.flip:
        images = _crop_and_flip(images, augment, draws)
    if augment.cutout_px:
        images = torch.where(_holes(images, augment.cutout_px, draws.hole), mean[:, None, None], images)
    return images


def _crop_and_flip(images: Tensor, augment: Augment, draws: AugmentDraws) -> Tensor:
    """Fetch every pixel from where the shift and the mirror say that it lies in the unpadded image."""
    height, width = images.shape[2:]
    origin = draws.shift - augment.crop_padding_px  # [B, 2]
    rows = origin[:, :1] + torch.arange(height, device=images.device)  # [B, H]
    columns = origin[:, 1:] + torch.arange(width, device=images.device)  # [B, W]
    columns = torch.where(draws.flip[:, None], columns.flip(1), columns)
    if augment.padding == "reflect":
        return _fetch(images, _reflect(rows, height), _reflect(columns, width))
    fetched = _fetch(images, rows.clamp(0, height - 1), columns.clamp(0, width - 1))
    if not augment.crop_padding_px:
        return fetched
    inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]  # [B, H, W]
    return fetched * inside[:, None]


def _fetch(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """images [B, C, H, W] at rows [B, H] and columns [B, W]."""
    batch, channels, height, width = images.shape
    flat = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, height * width)
    return images.flatten(2).gather(2, flat.expand(-1, channels, -1)).view_as(images)


def _reflect(index: Tensor, extent: int) -> Tensor:
    """Mirror indices at the centres of the first and last pixel, as `torch.nn.functional.pad` does."""
    last = extent - 1
    return last - (last - index.abs()).abs()


def _within(index: Tensor, extent: int) -> Tensor:
    return (index >= 0) & (index < extent)


def _holes(images: Tensor, side: int, centre: Tensor) -> Tensor:
    """Squares of `side` pixels around centres [B, 2], cut at the image border: bool [B, 1, H, W]."""
    masks = []
    for axis, extent in enumerate(images.shape[2:]):
        offset = torch.arange(extent, device=images.device) - (centre[:, axis, None] - side // 2)
        masks.append(_within(offset, side))
    return (masks[0][:, :, None] & masks[1][:, None, :])[:, None]
