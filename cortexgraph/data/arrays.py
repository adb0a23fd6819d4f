"""Arrays: HDF5 files, NumPy's .npz files, and folders of .npy files, which are mapped and not read as a whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cortexgraph.data.decode import Bytes, ImageReader, fit_pixels
from cortexgraph.data.images import Augment, ImageData
from cortexgraph.data.load import Items, Request, as_path, register_data, require
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.extras import import_explained

HDF5 = (".h5", ".hdf5")
NAMES = ("train_images", "train_labels", "test_images", "test_labels")
CHANNELS = (1, 3)


def holds_arrays(path: Path) -> bool:
    """Whether this is a file, or a folder of files, of arrays."""
    return path.suffix.lower() in (".npz", *HDF5) or (path / f"{NAMES[0]}.npy").is_file()


@register_data("arrays", accepts=holds_arrays)
def read_arrays(request: Request) -> ImageData:
    """The arrays `train_images`, `train_labels`, `test_images` and `test_labels`, and the texts `classes` if there are.

    Images are bytes [N, H, W], [N, H, W, C] or [N, C, H, W]; labels are whole numbers from 0.

    Raises:
        DataError: with everything that is wrong with the arrays.
    """
    path = as_path(request.source)
    try:
        arrays = {name: opened(path, name) for name in NAMES}
    except Exception as error:  # each of the formats has its own exceptions
        repair = f"Give a file or folder with {', '.join(NAMES)}, as docs/data.md says."
        problem = f"the arrays cannot be read ({' '.join(str(error).split())})"
        raise DataError(Diagnostic("bad-arrays", str(path), problem, repair=repair)) from None
    require(finding for split in ("train", "test") for finding in _wrong(path, split, arrays))
    labels = {split: np.asarray(arrays[f"{split}_labels"]).astype(np.int64).tolist() for split in ("train", "test")}
    count = max(max(each, default=0) for each in labels.values()) + 1
    splits = {split: _items(path, f"{split}_images", arrays, each, request) for split, each in labels.items()}
    sizes = np.shape(arrays["train_images"])
    height, width = sizes[2:] if _channels_first(sizes) else sizes[1:3]
    target = f"{request.size[0]} × {request.size[1]} pixels"
    same = (height, width) == tuple(request.size)
    text = f"used at their size of {target}" if same else f"cropped and resized from {height} × {width} to {target}"
    text = request.size_text if request.resize else text
    augment = Augment(crop_padding_px=min(request.size) // 8)
    return request.data(request.source, _classes(path, count), splits, augment, text)


def opened(path: Path, name: str) -> Any:
    """An array of a file or folder, which is read where it is indexed.

    Raises:
        KeyError, OSError, ValueError: if it cannot be opened.
    """
    process = os.getpid() if path.suffix.lower() in HDF5 else 0  # each process opens its own HDF5 file
    return _open(path, name, _file(path, name).stat().st_mtime_ns, process)


@lru_cache(maxsize=16)
def _open(path: Path, name: str, changed: int, process: int) -> Any:
    if path.is_dir():
        return np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    if path.suffix.lower() in HDF5:
        return import_explained("h5py").File(path, "r")[name]
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return arrays[name]


def _file(path: Path, name: str) -> Path:
    return path / f"{name}.npy" if path.is_dir() else path


def _channels_first(shape: Sequence[int]) -> bool:
    return len(shape) == 4 and shape[1] in CHANNELS and shape[3] not in CHANNELS


def _wrong(path: Path, split: str, arrays: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """What is wrong with the arrays of a split."""
    images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    shape, place = tuple(images.shape), f"{path} {split}_images"
    known = len(shape) == 3 or _channels_first(shape) or (len(shape) == 4 and shape[3] in CHANNELS)
    if not known or images.dtype != np.uint8:
        expected, repair = "bytes [N, H, W], [N, H, W, C] or [N, C, H, W] are needed", "Convert them to uint8."
        yield Diagnostic("bad-arrays", place, f"it is {images.dtype} {list(shape)}", expected, repair)
    place = f"{path} {split}_labels"
    if not np.issubdtype(labels.dtype, np.integer) or tuple(labels.shape) != shape[:1]:
        expected = f"whole numbers [{shape[0] if shape else 0}] are needed"
        yield Diagnostic(
            "bad-arrays", place, f"it is {labels.dtype} {list(labels.shape)}", expected, "Give each a label."
        )
    elif labels.shape[0] and int(np.min(labels)) < 0:
        yield Diagnostic("bad-arrays", place, f"the smallest label is {np.min(labels)}", "labels count from 0")


def _items(path: Path, name: str, arrays: Mapping[str, Any], labels: list[int], request: Request) -> Items:
    file = _file(path, name)
    status, shape = file.stat(), tuple(arrays[name].shape)
    identity = hashlib.sha256(repr((name, shape, status.st_size, labels)).encode()).hexdigest()
    key = f"{file.absolute()} {status.st_mtime_ns} {identity}"
    return Items(ArrayReader(request.size, request.channels, request.resize, path, name), labels, identity, key)


def _classes(path: Path, count: int) -> list[str]:
    """The names in `classes`, or numbers."""
    try:
        names = opened(path, "classes")[...]
    except Exception:  # it is not there
        return [str(number) for number in range(count)]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in np.asarray(names).tolist()]


@dataclass(frozen=True)
class ArrayReader(ImageReader):
    """Takes the n-th image out of an array."""

    path: Path
    name: str
    repair: ClassVar[str] = "Replace the file with a sound copy."

    def decoded(self, number: int) -> Bytes:
        """The image, uint8 [C, H, W]; raises what the format does."""
        image = np.asarray(opened(self.path, self.name)[number])
        if _channels_first((0, *image.shape)):
            image = image.transpose(1, 2, 0)
        return fit_pixels(image, self.size, self.channels, self.resize)

    def place(self, number: int) -> str:
        """The array of the file and the row in it."""
        return f"{self.path} {self.name}[{number}]"
