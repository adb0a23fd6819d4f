"""Decode image files of any format that PIL reads into one uint8 tensor, on several threads."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cortexgraph.errors import DataError, Diagnostic

__all__ = ["check_memory", "decode_files", "fit_array"]

Bytes = npt.NDArray[np.uint8]

_REPORTED = 20  # unreadable files named in full; further ones are counted
_MODES = {1: "L", 3: "RGB"}


def decode_files(files: Sequence[Path], size: tuple[int, int], channels: int) -> Tensor:
    """Decode files, each brought to `size` and `channels`.

    An image of another shape is cut to the aspect ratio around its middle, then resized (bilinear over the
    whole footprint, so it does not alias). Turned photographs (EXIF) are set upright, transparent areas
    become white, and an animation gives its first frame.

    Args:
        files: N of them.
        size: (H, W) in pixels.
        channels: C, 1 (luminance, ITU-R 601) or 3 (RGB).

    Returns:
        uint8 [N, C, H, W].

    Raises:
        DataError: naming every file that cannot be read (the first 20, and how many more).
    """
    check_memory(len(files), size, channels)
    images = np.empty((len(files), channels, *size), np.uint8)

    def decode(index: int) -> Diagnostic | None:
        try:
            images[index] = _decode(files[index], size, channels)
        except Exception as error:  # PIL's readers raise nearly any kind of exception on a damaged file
            return _unreadable(files[index], error)
        return None

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # of odd metadata and of large images: what matters is whether they decode
        findings = [finding for finding in pool.map(decode, range(len(files))) if finding]
    if findings:
        raise DataError([*findings[:_REPORTED], *_summary(len(findings) - _REPORTED)])
    return torch.from_numpy(images)


def fit_array(images: Bytes, size: tuple[int, int], channels: int) -> Tensor:
    """Bring RGB images [N, H', W', 3] to `size` and `channels`: uint8 [N, C, H, W]."""
    if images.shape[1:3] == size and channels == 3:
        return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    check_memory(len(images), size, channels)
    fitted = np.empty((len(images), channels, *size), np.uint8)
    for index, image in enumerate(images):
        fitted[index] = _fit(Image.fromarray(image), size, channels)
    return torch.from_numpy(fitted)


def check_memory(count: int, size: tuple[int, int], channels: int) -> None:
    """Raise DataError if `count` decoded images would not fit into half of this machine's memory."""
    needed = count * channels * size[0] * size[1]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else needed * 2
    if needed * 2 > machine:
        raise DataError(
            Diagnostic(
                code="too-large",
                place="images",
                found=f"{count} images of {channels} × {size[0]} × {size[1]} take {needed / 2**30:.1f} GiB",
                expected=f"half of this machine's memory is {machine / 2**31:.1f} GiB",
                repair="Use a smaller size, or fewer images (train_images, test_images).",
            )
        )


def _decode(file: Path, size: tuple[int, int], channels: int) -> Bytes:
    with Image.open(file) as image:
        image.draft(_MODES[channels], (max(size) * 2,) * 2)  # a much larger JPEG is decoded at a fraction of its scale
        image.load()
        return _fit(_opaque(ImageOps.exif_transpose(image)), size, channels)


def _opaque(image: Image.Image) -> Image.Image:
    """An image of 8 bits per channel without transparency."""
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits: 16-bit greys are scaled, as PIL would cut them off
        levels = np.asarray(image, dtype=np.float64)
        scale = 257.0 if levels.max(initial=0) > 255 else 1.0
        return Image.fromarray(np.clip(levels / scale, 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image


def _fit(image: Image.Image, size: tuple[int, int], channels: int) -> Bytes:
    """[C, H, W]"""
    converted = image if image.mode == _MODES[channels] else image.convert(_MODES[channels])
    if converted.size != size[::-1]:
        converted = ImageOps.fit(converted, size[::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(converted)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _unreadable(file: Path, error: Exception) -> Diagnostic:
    reason = " ".join(str(error).split()) or type(error).__name__
    return Diagnostic(
        code="unreadable-image",
        place=str(file),
        found=f"this image cannot be read ({reason})",
        repair="Remove the file or replace it by a sound copy.",
    )


def _summary(further: int) -> list[Diagnostic]:
    if further <= 0:
        return []
    return [Diagnostic("unreadable-image", "", f"{further} further images cannot be read either")]
