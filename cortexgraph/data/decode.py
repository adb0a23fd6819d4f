"""Decode image files of any format that PIL reads into one uint8 tensor, on several threads, and cache it on disk.

The cache is a convenience: where it cannot be written it is not used, and a damaged or outdated entry is replaced. An
entry is a safetensors file, which runs no code when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.files import replacing

__all__ = ["cache_folder", "cached", "check_memory", "decode_files", "files_key", "fit_array", "preparation"]

Bytes = npt.NDArray[np.uint8]

MAX_PIXELS = 64_000_000
"""Pixels of the largest image that is decoded: a small compressed file can hold billions."""
LARGE_PIXELS = 4_000_000
"""Images with more pixels are decoded one at a time, so that the memory does not grow with the number of threads."""

_REPORTED = 20  # unreadable files named in full; further ones are counted
_MODES = {1: "L", 3: "RGB"}
_SAMPLED = 200  # files whose size is looked up for the description of a data set
_VERSION = "2"  # of how images are decoded; a new one makes all old entries outdated
_one_large = threading.Lock()


def decode_files(files: Sequence[Path], size: tuple[int, int], channels: int) -> Tensor:
    """Decode files, each brought to `size` and `channels`.

    An image of another shape is cropped to the aspect ratio around its middle, then resized (bilinear over the
    whole footprint, so it does not alias). Photographs are turned upright (EXIF), transparent areas become white, and
    an animation gives its first frame. Values of 16 bits are divided by 257, and floats lie between 0 and 1.

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
        more = len(findings) - _REPORTED
        further = Diagnostic("unreadable-image", "", f"{more} further images cannot be read either")
        raise DataError([*findings[:_REPORTED], *[further] * (more > 0)])
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


def preparation(files: Sequence[Path], size: tuple[int, int]) -> str:
    """What `decode_files` does to images of these sizes, in words; looks at some of the files only."""
    sizes = {found for file in files[:: max(1, len(files) // _SAMPLED)] if (found := _size_of(file))}
    target = f"{size[0]} × {size[1]}"
    if not sizes or sizes == {size}:
        return f"used at their size of {target} pixels"
    (least, most) = min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1])
    from_sizes = f"{least[0]} × {least[1]}" + (f" to {most[0]} × {most[1]}" if len(sizes) > 1 else "")
    cropped = any(height * size[1] != width * size[0] for height, width in sizes)
    return f"{'cropped around their middle and ' if cropped else ''}resized from {from_sizes} to {target} pixels"


def _size_of(file: Path) -> tuple[int, int] | None:
    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("ignore")
            return image.height, image.width
    except Exception:  # the decoder reports what cannot be read
        return None


def _decode(file: Path, size: tuple[int, int], channels: int) -> Bytes:
    with Image.open(file) as image:
        image.draft(_MODES[channels], (max(size) * 2,) * 2)  # a much larger JPEG is decoded at a fraction of its scale
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise ValueError(f"it has {pixels:,} pixels, and at most {MAX_PIXELS:,} are decoded: make it smaller")
        with _one_large if pixels > LARGE_PIXELS else contextlib.nullcontext():
            image.load()
            return _fit(_opaque(ImageOps.exif_transpose(image)), size, channels)


def _opaque(image: Image.Image) -> Image.Image:
    """An image of 8 bits per channel without transparency."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_from_floats(image) if image.mode == "F" else _from_integers(image))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image


def _from_integers(image: Image.Image) -> Bytes:
    """Greys of 16 bits, which some formats keep in 32: 0 … 65535 becomes 0 … 255, in every image alike."""
    levels = np.asarray(image)
    if levels.size and (levels.min() < 0 or levels.max() > 65535):
        raise ValueError(f"its values lie between {levels.min()} and {levels.max()}; 16 bits, 0 to 65535, can be used")
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_floats(image: Image.Image) -> Bytes:
    """Floats between 0 (black) and 1 (white)."""
    levels = np.asarray(image, dtype=np.float32)
    if not np.isfinite(levels).all():
        raise ValueError("some of its values are not finite numbers; floats between 0 and 1 can be used")
    if levels.size and (levels.min() < 0 or levels.max() > 1):
        raise ValueError(f"its values lie between {levels.min():g} and {levels.max():g}; floats must lie from 0 to 1")
    return np.rint(levels * 255).astype(np.uint8)


def _fit(image: Image.Image, size: tuple[int, int], channels: int) -> Bytes:
    """[C, H, W]"""
    converted = image if image.mode == _MODES[channels] else image.convert(_MODES[channels])
    if converted.size != size[::-1]:
        converted = ImageOps.fit(converted, size[::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(converted)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _unreadable(file: Path, error: Exception) -> Diagnostic:
    reason = " ".join(str(error).split()) or type(error).__name__
    repair = "Remove the file or replace it with a sound copy."
    return Diagnostic("unreadable-image", str(file), f"this image cannot be read ({reason})", repair=repair)


# ---- cache -------------------------------------------------------------------


def cache_folder() -> Path:
    """Where decoded images are kept: `cortexgraph/images` in `$XDG_CACHE_HOME` or `~/.cache`.

    A user without a home directory, as in some containers, gets one in the folder for temporary files.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError:
            base = Path(tempfile.gettempdir())
    return base / "cortexgraph" / "images"


def files_key(files: Sequence[Path], size: tuple[int, int], channels: int) -> str:
    """A name that changes whenever one of the files (path, bytes, time of change) or the request does."""
    digest = hashlib.sha256(repr((_VERSION, size, channels)).encode())
    for file in files:
        digest.update(os.fsencode(f"\0{file.absolute()}\0{_state(file)}"))
    return digest.hexdigest()[:32]


def _state(file: Path) -> tuple[int, int] | None:
    """Bytes and time of change; None for a broken link, which is left for the decoder to report."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def cached(key: str, shape: tuple[int, ...], decode: Callable[[], Tensor]) -> Tensor:
    """The uint8 tensor of this key and shape, from the cache, or else from `decode` and then kept."""
    file = cache_folder() / f"{key}.safetensors"
    tensor = None
    with contextlib.suppress(OSError, SafetensorError, KeyError):
        tensor = load_file(file)["images"]
    if tensor is None or tensor.shape != shape or tensor.dtype != torch.uint8:
        tensor = decode()
        with contextlib.suppress(OSError, SafetensorError, DataError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary:
                save_file({"images": tensor}, temporary)
    return tensor
