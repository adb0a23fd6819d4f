"""Augment whole batches without a loop over images: shifted crops, mirroring, cut-out squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cortexgraph.errors import DataError, Diagnostic

__all__ = ["Augment", "AugmentDraws", "apply_augment", "draw_augment"]


@dataclass(frozen=True)
class Augment:
    """What is done to training images, each time afresh.

    Attributes:
        crop_padding_px: pad by so many pixels on each side, then crop the original size at random; 0 for
            none.
        flip: mirror half of the images left to right.
        cutout_px: side of a square set to the mean colour at a random place (DeVries & Taylor 2017, arXiv
            1708.04552: its centre lies anywhere in the image, so parts of it may fall outside); 0 for none.
        padding: ``zero`` pads with black, ``reflect`` mirrors the image at its border.

    Raises:
        DataError: with every value that makes no sense.
    """

    crop_padding_px: int = 4
    flip: bool = True
    cutout_px: int = 0
    padding: Literal["zero", "reflect"] = "zero"

    def __post_init__(self) -> None:
        findings = [
            Diagnostic(
                code="bad-augment",
                place=f"augment.{name}",
                found=f"{name} is {value!r}",
                expected="it must be a whole number of pixels, 0 or more",
                repair=f"Give {name}=0 to switch it off.",
            )
            for name, value in (("crop_padding_px", self.crop_padding_px), ("cutout_px", self.cutout_px))
            if not isinstance(value, int) or isinstance(value, bool) or value < 0
        ]
        if self.padding not in ("zero", "reflect"):
            findings.append(
                Diagnostic(
                    code="bad-augment",
                    place="augment.padding",
                    found=f"padding is {self.padding!r}",
                    expected="`zero` and `reflect` are known",
                    repair="Give padding='zero' or padding='reflect'.",
                )
            )
        if findings:
            raise DataError(findings)

    def check_fits(self, height: int, width: int) -> None:
        """Raise DataError if images of this size cannot be augmented so."""
        limit = min(height, width)
        bounds = {"crop_padding_px": limit - 1, "cutout_px": limit}
        findings = [
            Diagnostic(
                code="bad-augment",
                place=f"augment.{name}",
                found=f"{name} is {getattr(self, name)}",
                expected=f"images of {height} × {width} pixels allow at most {bound}",
                repair="Give a smaller number, or larger images.",
            )
            for name, bound in bounds.items()
            if getattr(self, name) > bound
        ]
        if findings:
            raise DataError(findings)


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
