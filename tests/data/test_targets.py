"""Targets from a CSV file: each kind, and each way in which a file can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cortexgraph.data import ImageData, Targets, load_data, register_target
from cortexgraph.errors import DataError
from tests.data.conftest import write_image

Make = Callable[..., Path]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three training and two test images without folders of classes."""
    for split, count in (("train", 3), ("test", 2)):
        for n in range(count):
            write_image(tmp_path / "set" / split / f"{n}.png", (20 * n, 0, 0))
    return tmp_path / "set"


FILES = ("train/0.png", "train/1.png", "train/2.png", "test/0.png", "test/1.png")


def table(folder: Path, header: str, rows: list[str]) -> Path:
    path = folder / "targets.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def loaded(images: Path, header: str, cells: list[str], target: str, **more: int) -> ImageData:
    path = table(images, header, [f"{file},{cell}" for file, cell in zip(FILES, cells, strict=True)])
    return load_data(str(images), size=(8, 8), channels=3, targets=path, target=target, **more)  # type: ignore[arg-type]


def test_numbers_come_in_the_order_of_the_images(images: Path) -> None:
    data = loaded(images, "file,x,y", ["1,2", "3,4", "5,-6e-1", "0,1", "2,3"], "numbers")
    assert (data.classes, data.targets) == (("x", "y"), Targets("numbers", (2,)))
    torch.testing.assert_close(data.train.targets, torch.tensor([[1.0, 2], [3, 4], [5, -0.6]]))
    torch.testing.assert_close(data.test.targets, torch.tensor([[0.0, 1], [2, 3]]))
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 20, 40]


def test_labels_and_classes(images: Path) -> None:
    several = loaded(images, "file,red,round", ["1,0", "0,0", "1,1", "0,1", "1.0,0"], "labels")
    assert several.train.targets.tolist() == [[1, 0], [0, 0], [1, 1]]
    one = loaded(images, "file,kind", ["cat", "dog", "cat", "dog", "ant"], "class")
    assert one.classes == ("ant", "cat", "dog")
    assert one.train.labels.tolist() == [1, 2, 1]
    fewer = loaded(images, "file,x", ["1", "2", "3", "4", "5"], "numbers", train_images=2)
    assert len(fewer.train) == 2


def test_maps_keep_their_values(images: Path) -> None:
    for n in range(5):
        classes = np.full((16, 16), n, np.uint8)  # brought to 8 × 8 by taking pixels, not by mixing them
        classes[:8] = 255
        Image.fromarray(classes).save(images / f"{n}.map.png")
        np.save(images / f"{n}.npy", np.full((8, 8), 0.5 * n, np.float32))
    data = loaded(images, "file,map", [f"{n}.map.png" for n in range(5)], "class-map")
    assert data.train.targets.shape == (3, 8, 8)
    assert data.train.targets[1].unique().tolist() == [-1, 1]
    assert len(data.classes) == 5
    depth = loaded(images, "file,depth", [f"{n}.npy" for n in range(5)], "number-map")
    assert depth.test.targets.shape == (2, 1, 8, 8)
    assert float(depth.test.targets[1].mean()) == 2.0


@pytest.mark.parametrize(
    ("header", "rows", "target", "messages"),
    [
        ("file", list(FILES), "numbers", ["there is no column besides `file`"]),
        ("name,x", ["a,1"], "numbers", ["there is no column `file`", "Name the column `file` in the first row"]),
        (
            "file,x",
            [f"{file},1" for file in FILES[1:4]],
            "numbers",
            ["2 images without a row: train/0.png, test/1.png, but each image needs one row"],
        ),
        ("file,x", [f"{file},1" for file in (*FILES, "c.png")], "numbers", ["1 row without an image: line 7 `c.png`"]),
        (
            "file,x",
            [f"{file},1" for file in (*FILES, FILES[0])],
            "numbers",
            ["1 image in several rows: `train/0.png` in lines 2, 7"],
        ),
        (
            "file,x",
            [f"{f},{'' if f == FILES[0] else 'one'}" for f in FILES],
            "numbers",
            ["5 cells: line 2 x ``, line 3"],
        ),
        ("file,x", [f"{file},nan" for file in FILES], "numbers", ["5 cells: line 2 x `nan`", "a number is needed"]),
        ("file,x", [f"{file},2" for file in FILES], "labels", ["5 cells: line 2 x `2`", "a label is 0 or 1"]),
        ("file,x,y", [f"{file},2,3" for file in FILES], "class", ["its target columns are `x` and `y`"]),
        ("file,x", [f"{file}, " for file in FILES], "class", ["no class is given in line 2, line 3"]),
        ("file,x", [f"{file},no.png" for file in FILES], "class-map", ["5 maps cannot be read: line 2 `no.png`"]),
        ("file,x", [f"{f},{f}" for f in FILES], "class-map", ["5 maps cannot be read: .*it has 3 channels"]),
    ],
)
def test_every_wrong_file_is_one_finding(
    images: Path, header: str, rows: list[str], target: str, messages: list[str]
) -> None:
    path = table(images, header, rows)
    with pytest.raises(DataError, match=messages[0]) as caught:
        load_data(str(images), size=(8, 8), channels=3, targets=path, target=target)
    assert len(caught.value.diagnostics) == 1
    for message in messages[1:]:
        assert message in str(caught.value)


def test_everything_in_which_rows_and_images_differ_is_reported_together(images: Path) -> None:
    path = table(images, "file,x", [f"train/{n}.png,1" for n in (0, 1, 1, 9)])
    with pytest.raises(DataError, match="without a row") as caught:
        load_data(str(images), size=(8, 8), channels=3, targets=path, target="numbers")
    assert len(caught.value.diagnostics) == 3


def test_a_named_data_set_has_targets_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`shapes` has targets of its own"):
        load_data("shapes", size=(8, 8), channels=3, targets=tmp_path / "targets.csv")


def test_a_kind_of_target_is_registered_once() -> None:
    with pytest.raises(ValueError, match="target `numbers` is registered already"):
        register_target("numbers")(lambda table: ((), torch.zeros(0)))


def test_maps_lose_the_rim_that_their_images_lose(tmp_path: Path) -> None:
    """The middle 32 × 32 of 64 × 64 pixels is white and of class 1; with --resize 64 only the middle is used."""
    square = np.zeros((64, 64), np.uint8)
    square[16:48, 16:48] = 1
    root = tmp_path / "set"
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        Image.fromarray(square * 255).save(root / split / "0.png")
    (tmp_path / "set" / "maps").mkdir()
    Image.fromarray(square).save(root / "maps" / "0.png")
    path = table(root, "file,map", ["train/0.png,maps/0.png", "test/0.png,maps/0.png"])
    data = load_data(str(root), size=(32, 32), channels=1, targets=path, target="class-map", resize=64)
    images, maps = next(data.train.read([torch.tensor([0])]))
    assert images.unique().tolist() == [255]
    assert maps.unique().tolist() == [1]
