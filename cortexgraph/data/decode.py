"""Decode image files of any format that PIL reads into one uint8 tensor, on several threads."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFile, ImageOps
from torch import Tensor

from cortexgraph.errors import DataError, Diagnostic

Bytes = npt.NDArray[np.uint8]

MAX_PIXELS = 64_000_000
"""Pixels of the largest image that is decoded: a small compressed file can hold billions."""
LARGE_PIXELS = 4_000_000
"""Images with more pixels are decoded one at a time, so that the memory does not grow with the number of threads."""

STRIP_PIXELS = 1 << 20
"""Pixels that are converted at a time: a large image is never held several times over."""
VERSION = "4"
"""Of how images are decoded; a new one makes all old cache entries outdated."""
REPORTED = 20
MODES = {1: "L", 3: "RGB"}
TRANSPARENT = ("RGBA", "LA", "PA", "La", "RGBa")

one_large = threading.Lock()


def decode_files(files: Sequence[Path], size: tuple[int, int], channels: int, resize: int | None = None) -> Tensor:
    """Decode files, each brought to `size` and `channels`.

    An image of another shape is cropped to the aspect ratio around its middle, then resized (bilinear over the
    whole footprint, so it does not alias). Photographs are turned upright (EXIF), transparent areas become white, and
    an animation gives its first frame. Every value of 16 bits is divided by 257; floats must lie from 0 to 1.

    Args:
        files: N of them.
        size: (H, W) in pixels.
        channels: C, 1 (luminance, ITU-R 601) or 3 (RGB).
        resize: bring the shorter side to this length, then cut out the middle at `size`.

    Returns:
        uint8 [N, C, H, W].

    Raises:
        DataError: naming every file that cannot be read (the first 20, and how many more).
    """
    check_memory(len(files), size, channels)
    return decode_all(FileReader(size, channels, resize, tuple(files)), range(len(files)), (channels, *size))


Reader = Callable[[int], Tensor | Bytes]
"""Gives an image by its number as uint8 [C, H, W], or a video as [F, C, H, W], or raises a DataError that names it.
Worker processes call it: it must pickle."""


@dataclass(frozen=True)
class ImageReader(ABC):
    """Decodes the n-th image of a source and brings it to a size.

    Attributes:
        size: (H, W) in pixels.
        channels: 1 or 3.
        resize: the shorter side before the middle is cut out, if it is.
        repair: of an image that cannot be read.
    """

    size: tuple[int, int]
    channels: int
    resize: int | None
    repair: ClassVar[str] = "Remove the file or replace it with a sound copy."

    def __call__(self, number: int) -> Bytes:
        """The image, uint8 [C, H, W].

        Raises:
            DataError: naming the image that cannot be read.
        """
        try:
            return self.decoded(number)
        except DataError:
            raise
        except Exception as error:  # PIL and the formats of arrays raise nearly any kind of exception
            raise DataError(unreadable(self.place(number), error, self.repair)) from None

    @abstractmethod
    def decoded(self, number: int) -> Bytes:
        """The image, uint8 [C, H, W]; raises anything."""

    @abstractmethod
    def place(self, number: int) -> str:
        """The file or other place of the image."""


@dataclass(frozen=True)
class FileReader(ImageReader):
    """Decodes the n-th of some files, as `decode_files` does."""

    files: Sequence[Path]

    def decoded(self, number: int) -> Bytes:
        """The image, uint8 [C, H, W]; raises whatever PIL does."""
        return _decode(self.files[number], self.size, self.channels, self.resize)

    def place(self, number: int) -> str:
        """The file."""
        return str(self.files[number])


def decode_bytes(content: bytes, size: tuple[int, int], channels: int, resize: int | None = None) -> Bytes:
    """Decode the bytes of an image file as `decode_files` does, uint8 [C, H, W]; raises whatever PIL does."""
    return _decode(BytesIO(content), size, channels, resize)


@dataclass(frozen=True)
class VideoReader:
    """Decodes the frames of the n-th of some videos, whose files follow each other."""

    read: FileReader
    frames: int

    def __call__(self, number: int) -> Bytes:
        """The video, uint8 [F, C, H, W].

        Raises:
            DataError: if a frame cannot be read.
        """
        return np.stack([self.read(number * self.frames + frame) for frame in range(self.frames)])


def decode_all(read: Reader, numbers: Sequence[int], shape: tuple[int, ...]) -> Tensor:
    """Read images on several threads: uint8 [N, C, H, W].

    Raises:
        DataError: naming every image that cannot be read (the first 20, and how many more).
    """
    images = torch.empty((len(numbers), *shape), dtype=torch.uint8)

    def decode(place: int) -> list[Diagnostic]:
        return read_into(images[place], read, numbers[place])

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # of odd metadata and of large images: what matters is whether they decode
        require_readable(finding for findings in pool.map(decode, range(len(numbers))) for finding in findings)
    return images


def read_into(image: Tensor, read: Reader, number: int) -> list[Diagnostic]:
    """Read an image into its place, uint8 [C, H, W]; what is wrong with it, if anything is."""
    try:
        values = np.asarray(read(number))
    except DataError as error:
        return list(error.diagnostics)
    if values.shape != image.shape or values.dtype != np.uint8:
        found = f"the source gives {values.dtype} {list(values.shape)}"
        expected = f"uint8 {list(image.shape)} is needed"
        repair = "Return bytes of the requested channels and size."
        return [Diagnostic("wrong-shape", f"image {number}", found, expected, repair)]
    image.numpy()[:] = values
    return []


def require_readable(findings: Iterable[Diagnostic]) -> None:
    """Raise the first of the findings, and how many more there are, as one DataError."""
    every = list(findings)
    if every:
        more = len(every) - REPORTED
        further = Diagnostic("unreadable-image", "", f"{more} further images cannot be read either")
        raise DataError([*every[:REPORTED], *[further] * (more > 0)])


def fit_array(images: Bytes, size: tuple[int, int], channels: int) -> Tensor:
    """Bring RGB images [N, H', W', 3] to `size` and `channels`: uint8 [N, C, H, W]."""
    if images.shape[1:3] == size and channels == 3:
        return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    check_memory(len(images), size, channels)
    fitted = np.empty((len(images), channels, *size), np.uint8)
    for index, image in enumerate(images):
        fitted[index] = fit_pixels(image, size, channels)
    return torch.from_numpy(fitted)


def fit_pixels(image: Bytes, size: tuple[int, int], channels: int, resize: int | None = None) -> Bytes:
    """Bring an image, [H', W'] or [H', W', 1 or 3], to `size` and `channels`: uint8 [C, H, W]."""
    pixels = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return _fit(Image.fromarray(np.ascontiguousarray(pixels)), size, channels, resize)


def half_of_memory() -> int:
    """Half of this machine's memory in bytes; where it is not known, more than anything takes."""
    known = hasattr(os, "sysconf")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 if known else sys.maxsize


def fits(count: int, size: tuple[int, int], channels: int, bound: int | None = None) -> bool:
    """Whether `count` decoded images take at most `bound` bytes, by default half of this machine's memory."""
    return count * channels * size[0] * size[1] <= (half_of_memory() if bound is None else bound)


def check_memory(count: int, size: tuple[int, int], channels: int, bound: int | None = None) -> None:
    """Raise DataError if `count` decoded images would not fit."""
    if not fits(count, size, channels, bound):
        needed = count * channels * size[0] * size[1] / 2**30
        takes = f"{count} images of {channels} × {size[0]} × {size[1]} take {needed:.1f} GiB"
        expected = f"half of this machine's memory is {half_of_memory() / 2**30:.1f} GiB"
        if bound is not None:
            expected = f"they may take {bound / 2**30:.1f} GiB"
        repair = "Use a smaller size, or fewer images (train_images, test_images)."
        raise DataError(Diagnostic("too-large", "images", takes, expected, repair))


def preparation(files: Sequence[Path], size: tuple[int, int]) -> str:
    """What `decode_files` does to images of these sizes, in words; looks at some of the files only."""
    sizes: set[tuple[int, int]] = set()
    for file in files[:: max(1, len(files) // 200)]:
        with contextlib.suppress(Exception), warnings.catch_warnings():  # the decoder reports what cannot be read
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                sizes.add((image.height, image.width))
    target = f"{size[0]} × {size[1]}"
    if not sizes or sizes == {size}:
        return f"used at their size of {target} pixels"
    least, most = (pick(sizes, key=lambda s: s[0] * s[1]) for pick in (min, max))
    from_sizes = f"{least[0]} × {least[1]}" + (f" to {most[0]} × {most[1]}" if len(sizes) > 1 else "")
    cropped = any(height * size[1] != width * size[0] for height, width in sizes)
    return f"{'cropped around their middle and ' if cropped else ''}resized from {from_sizes} to {target} pixels"


def _decode(file: Path | BytesIO, size: tuple[int, int], channels: int, resize: int | None) -> Bytes:
    with Image.open(file) as image:
        image.draft(
            MODES[channels], (max(*size, resize or 0) * 2,) * 2
        )  # a much larger JPEG is decoded at a fraction of its scale
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise ValueError(f"it has {pixels:,} pixels, and at most {MAX_PIXELS:,} are decoded: make it smaller")
        with one_large if pixels > LARGE_PIXELS else contextlib.nullcontext():
            return _fit(_opaque(_from_wide_channels(file, image) or _upright(image)), size, channels, resize)


# ---- 8 bits per channel without transparency ---------------------------------

Box = tuple[int, int, int, int]


def _by_strips(mode: str, size: tuple[int, int], convert: Callable[[Box], Image.Image]) -> Image.Image:
    """The image whose parts `convert` gives for each box."""
    whole, (width, height) = Image.new(mode, size), size
    rows = max(1, STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        whole.paste(convert(box), box)
    return whole


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _from_wide_channels(file: Path | BytesIO, image: Image.Image) -> Image.Image | None:
    """An image that has several channels of 16 bits, of which PIL by itself keeps the high bytes; None for others.

    PIL unpacks 16 bits in either order of bytes, so that a second reading gives the low bytes.
    """
    match = re.fullmatch("(LA|RGB|RGBA|RGBa|RGBX|CMYK);16([BLN])", _raw_mode(image))
    if match is None:
        return None
    kind, own = match[1].replace("RGBa", "RGBA"), match[2]
    swapped = "L" if own == "B" or (own == "N" and sys.byteorder == "big") else "B"
    # The two channels LA;16 fill the bytes of four channels.
    parts = [_reread(file, raw) for raw in (["RGBA"] if kind == "LA" else [f"{kind};16{own}", f"{kind};16{swapped}"])]
    mode = match[1].replace("RGBX", "RGB")
    transparent = image.info.get("transparency")

    def convert(box: Box) -> Image.Image:
        levels = [np.asarray(part.crop(box)).astype(np.uint16) for part in parts]
        high, low = levels if len(levels) == 2 else (levels[0][..., 0::2], levels[0][..., 1::2])
        bytes_ = _scaled(high * np.uint16(256) + low, transparent).tobytes()
        return Image.frombytes(mode, (box[2], box[3] - box[1]), bytes_)

    return _by_strips(mode, parts[0].size, convert)


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", ())
    return str(tiles[0][3][0] if tiles and isinstance(tiles[0][3], tuple) else tiles[0][3] if tiles else "")


def _reread(file: Path | BytesIO, raw_mode: str) -> Image.Image:
    """The image of a file whose bytes are unpacked in another way."""
    with Image.open(file) as image:
        assert isinstance(image, ImageFile.ImageFile)
        for n, tile in enumerate(image.tile):
            args = (raw_mode, *tile[3][1:]) if isinstance(tile[3], tuple) else raw_mode
            image.tile[n] = tuple.__new__(type(tile), (*tile[:3], args))
        return _upright(image)


def _scaled(levels: npt.NDArray[np.uint16], transparent: object) -> Bytes:
    """Levels of 16 bits, 0 … 65535, as 0 … 255: the same for every image. The transparent colour becomes white."""
    scaled = ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if isinstance(transparent, int | tuple):
        colour = np.array(transparent, np.uint16).reshape(-1)
        scaled[(levels == colour).all(-1) if levels.ndim == 3 else levels == colour] = 255
    return scaled


def _opaque(image: Image.Image) -> Image.Image:
    """An image of 8 bits per channel without transparency."""
    transparent = image.info.get("transparency")
    if image.mode == "F":
        return _by_strips("L", image.size, lambda box: Image.fromarray(_from_floats(np.asarray(image.crop(box)))))
    if image.mode.startswith("I"):  # greys of 16 bits, which some formats keep in 32
        return _by_strips(
            "L", image.size, lambda box: Image.fromarray(_from_integers(np.asarray(image.crop(box)), transparent))
        )
    if image.mode in TRANSPARENT or transparent is not None:
        return _by_strips("RGB", image.size, lambda box: _over_white(image.crop(box)))
    return image


def _over_white(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _from_integers(levels: npt.NDArray[Any], transparent: object) -> Bytes:
    if levels.size and (levels.min() < 0 or levels.max() > 65535):
        raise ValueError(f"it has values from {levels.min()} to {levels.max()}; 16 bits, 0 to 65535, can be used")
    return _scaled(levels.astype(np.uint16), transparent)


def _from_floats(levels: npt.NDArray[np.float32]) -> Bytes:
    """Floats between 0 (black) and 1 (white)."""
    if not np.isfinite(levels).all():
        raise ValueError("some of its values are not finite numbers; floats between 0 and 1 can be used")
    if levels.size and (levels.min() < 0 or levels.max() > 1):
        raise ValueError(f"it has values from {levels.min():g} to {levels.max():g}; floats must lie from 0 to 1")
    return np.rint(levels * 255).astype(np.uint8)


def brought_to(
    image: Image.Image, size: tuple[int, int], resize: int | None, resampling: Image.Resampling
) -> Image.Image:
    """The middle of an image, of the aspect ratio of `size`, brought to it.

    With `resize`, the middle is as large as `size` in an image whose shorter side has that length.
    """
    if resize:
        scale = min(image.size) / resize
        width, height = min(image.width, size[1] * scale), min(image.height, size[0] * scale)
        left, top = (image.width - width) / 2, (image.height - height) / 2
        return image.resize(size[::-1], resampling, (left, top, left + width, top + height))
    return image if image.size == size[::-1] else ImageOps.fit(image, size[::-1], resampling)


def _fit(image: Image.Image, size: tuple[int, int], channels: int, resize: int | None = None) -> Bytes:
    """[C, H, W]"""
    converted = image if image.mode == MODES[channels] else image.convert(MODES[channels])
    converted = brought_to(converted, size, resize, Image.Resampling.BILINEAR)
    pixels = np.asarray(converted)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def unreadable(place: str, error: Exception, repair: str = ImageReader.repair) -> Diagnostic:
    """The finding for an image that cannot be read, at its file or other place."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return Diagnostic("unreadable-image", place, f"this image cannot be read ({reason})", repair=repair)
