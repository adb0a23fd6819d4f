"""Arrays in HDF5 and NumPy files as data sets, in memory and streamed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import torch

from cortexgraph.data import ImageData, load_data
from cortexgraph.errors import DataError

Arrays = dict[str, npt.NDArray[Any]]


def some_arrays(layout: str = "NHWC") -> Arrays:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (10, 6, 8, 3), dtype=np.uint8)
    images = {"NHWC": images, "NCHW": images.transpose(0, 3, 1, 2), "NHW": images[..., 0]}[layout]
    labels = np.arange(10) % 2
    return {
        "train_images": images[:6],
        "train_labels": labels[:6],
        "test_images": images[6:],
        "test_labels": labels[6:],
    }


def save_npz(path: Path, arrays: Arrays) -> Path:
    np.savez(path / "some.npz", **arrays)  # type: ignore[arg-type]
    return path / "some.npz"


def save_npy(path: Path, arrays: Arrays) -> Path:
    for name, values in arrays.items():
        np.save(path / f"{name}.npy", values)
    return path


def save_hdf5(path: Path, arrays: Arrays) -> Path:
    with h5py.File(path / "some.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file["classes"] = ["cat", "dog"]
    return path / "some.h5"


def load(path: Path, **wishes: Any) -> ImageData:
    return load_data(str(path), **({"size": (6, 8), "channels": 3, "workers": 0} | wishes))


@pytest.mark.parametrize("save", [save_npz, save_npy, save_hdf5])
@pytest.mark.parametrize(("memory", "workers"), [(None, 0), (0, 0), (0, 1)])
def test_images_are_those_of_the_arrays(
    save: Callable[[Path, Arrays], Path], tmp_path: Path, memory: int | None, workers: int
) -> None:
    arrays = some_arrays()
    data = load(save(tmp_path, arrays), memory=memory, workers=workers)
    assert data.train.streamed == (memory == 0)
    assert data.classes == (("cat", "dog") if save is save_hdf5 else ("0", "1"))
    images, labels = next(data.train.read([torch.tensor([5, 0, 2])]))
    assert np.array_equal(images, arrays["train_images"][[5, 0, 2]].transpose(0, 3, 1, 2))
    assert labels.tolist() == [1, 0, 0]
    assert data.mean == pytest.approx(arrays["train_images"].mean((0, 1, 2)) / 255)
    assert data.preparation == "used at their size of 6 × 8 pixels"


@pytest.mark.parametrize("layout", ["NCHW", "NHW"])
def test_layouts(tmp_path: Path, layout: str) -> None:
    whole = load(save_npz(tmp_path, some_arrays())).test
    images, _ = next(load(save_npy(tmp_path, some_arrays(layout))).test.read([torch.arange(4)]))
    expected, _ = next(whole.read([torch.arange(4)]))
    assert torch.equal(images, expected if layout == "NCHW" else expected[:, :1].expand(-1, 3, -1, -1))
    resized = load(tmp_path, size=(3, 3), channels=1)
    assert resized.train.shape == (1, 3, 3)
    assert resized.preparation == "cropped and resized from 6 × 8 to 3 × 3 pixels"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_images": np.zeros((6, 4, 4, 3))},
            r"train_images: it is float64 \[6, 4, 4, 3\], but bytes \[N, H, W\]",
        ),
        ({"test_images": np.zeros((4, 9), np.uint8)}, r"test_images: it is uint8 \[4, 9\], but bytes \[N, H, W\]"),
        ({"train_labels": np.zeros(5, int)}, r"train_labels: it is int64 \[5\], but whole numbers \[6\] are needed"),
        ({"test_labels": np.full(4, -1)}, "test_labels: the smallest label is -1, but labels count from 0"),
    ],
)
def test_what_are_no_images_and_labels(tmp_path: Path, changes: Arrays, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(save_npz(tmp_path, some_arrays() | changes))


def test_missing_labels(tmp_path: Path) -> None:
    arrays = some_arrays()
    arrays.pop("train_labels")
    for save in (save_npz, save_npy, save_hdf5):
        with pytest.raises(
            DataError, match=r"the arrays cannot be read \(.*train_labels.*\)\.\n  Give a file or folder"
        ):
            load(save(tmp_path, arrays))


@pytest.mark.parametrize("save", [save_npz, save_hdf5])
def test_a_file_cut_in_half(save: Callable[[Path, Arrays], Path], tmp_path: Path) -> None:
    path = save(tmp_path, some_arrays())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"{path.name}: the arrays cannot be read"):
        load(path)
