"""Directories of images: what is found, in which order, and each way in which a directory can be wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cortexgraph.data import ImageData, load_data
from cortexgraph.errors import DataError

from .conftest import write_image

Maker = Callable[..., Path]


def load(source: Path | str, **wishes: object) -> ImageData:
    return load_data(str(source), **({"size": (8, 8), "channels": 3} | wishes))  # type: ignore[arg-type]


def test_images_labels_and_classes(folder: Maker) -> None:
    root = folder()
    data = load(root)
    assert data.name == str(root)
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert data.train.images[:, :, 0, 0].tolist() == [[100 * c, 10 * i, 0] for c in (0, 1) for i in range(3)]
    assert data.mean == pytest.approx((50 / 255, 10 / 255, 0))


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "webp", "jpg", "gif", "PNG"])
def test_any_format(folder: Maker, ending: str) -> None:
    data = load(folder(ending=ending))
    found = data.train.images[:, :, 4, 4].float()
    expected = torch.tensor([[100 * c, 10 * i, 0] for c in (0, 1) for i in range(3)]).float()
    assert (found - expected).abs().max() <= (8 if ending in ("jpg", "webp") else 0)


def test_other_files_and_hidden_ones_are_left_out(folder: Maker) -> None:
    root = folder()
    (root / "train" / "cat" / "notes.txt").write_text("no image")
    (root / "train" / "cat" / ".hidden.png").write_text("no image")
    (root / "train" / ".cache").mkdir()
    (root / "train" / "README.md").write_text("no class")
    assert len(load(root).train) == 6


def test_images_in_folders_within_a_class(folder: Maker) -> None:
    root = folder()
    write_image(root / "train" / "dog" / "puppies" / "a.png", (1, 2, 3))
    data = load(root)
    assert len(data.train) == 7 and data.train.labels.tolist().count(1) == 4


def test_the_home_folder_may_be_abbreviated(folder: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder().parent))
    assert len(load("~/set").train) == 6


def test_default_augmentation_follows_the_size(folder: Maker) -> None:
    root = folder()
    assert load(root, size=(32, 32)).augment.crop_padding_px == 4
    assert load(root, size=(4, 64)).augment.crop_padding_px == 0


def findings(root: Path | str, match: str) -> list[str]:
    with pytest.raises(DataError, match=match) as caught:
        load(root)
    return [finding.code for finding in caught.value.diagnostics]


def test_unknown_name() -> None:
    match = "`cifar` is neither a known data set nor a directory, but the known data sets are cifar10, shapes"
    assert findings("cifar", match) == ["unknown-data"]


@pytest.mark.parametrize("name", ["", "~nobody-of-this-name"])
def test_odd_names(name: str) -> None:
    assert findings(name, f"`{name}` is neither a known data set") == ["unknown-data"]


def test_missing_directory(tmp_path: Path) -> None:
    assert findings(tmp_path / "none", "none: this directory does not exist, but .*train/") == ["missing-directory"]


def test_a_file_instead_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_text("")
    assert findings(tmp_path / "images.zip", "this is a file, but a directory") == ["not-a-directory"]


def test_missing_splits(tmp_path: Path) -> None:
    assert findings(tmp_path, "the folder train/ is missing, but both splits") == ["missing-split", "missing-split"]


def test_no_classes(folder: Maker) -> None:
    root = folder()
    shutil.rmtree(root / "test")
    (root / "test").mkdir()
    assert findings(root, "test: it has no class folders") == ["no-classes"]


def test_classes_in_one_split_only(folder: Maker) -> None:
    root = folder()
    write_image(root / "train" / "newt" / "0.png", (0, 0, 0))
    (root / "test" / "cat").rename(root / "test" / "lion")
    match = "there is a class folder train/newt, but there is no test/newt.\n  Add test/newt with images"
    assert findings(root, match) == ["class-in-one-split"] * 3


def test_classes_and_images_are_checked_together(folder: Maker) -> None:
    root = folder()
    write_image(root / "train" / "newt" / "0.png", (0, 0, 0))
    (root / "train" / "cat" / "1.png").write_bytes(b"no image at all")
    (root / "test" / "eel").mkdir()
    expected = ["class-in-one-split", "class-in-one-split", "empty-class", "unreadable-image"]
    assert sorted(findings(root, "there is a class folder train/newt")) == expected


def test_class_folders_without_images(folder: Maker) -> None:
    root = folder()
    for split in ("train", "test"):
        (root / split / "eel").mkdir()
    assert findings(root, "train/eel: this class folder has no images") == ["empty-class"] * 2


def test_unreadable_images_are_all_named(folder: Maker) -> None:
    root = folder()
    (root / "train" / "cat" / "1.png").write_bytes(b"no image at all")
    whole = (root / "train" / "dog" / "2.png").read_bytes()
    (root / "train" / "dog" / "2.png").write_bytes(whole[:-30])
    match = r"(?s)cat/1.png: this image cannot be read \(cannot identify.*dog/2.png: this image cannot be read"
    assert findings(root, match) == ["unreadable-image"] * 2


def test_a_broken_link(folder: Maker) -> None:
    root = folder()
    (root / "test" / "cat" / "7.png").symlink_to("nowhere.png")
    assert findings(root, "cat/7.png: this image cannot be read") == ["unreadable-image"]


@pytest.mark.parametrize("call", ["os.walk", "pathlib.Path.iterdir"])
def test_a_directory_that_may_not_be_listed(folder: Maker, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    root = folder()

    def refuse(folder: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(call, refuse)
    match = r"this cannot be listed \(Permission denied\), but it must be readable"
    assert findings(root, match) == ["unreadable-directory"]


def test_many_unreadable_images_are_counted(folder: Maker) -> None:
    root = folder(train=15)
    for file in (root / "train").rglob("*.png"):
        file.write_bytes(b"")
    assert findings(root, "10 further images cannot be read either") == ["unreadable-image"] * 21


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"channels": 2}, "channels: 2 channels are asked for, but images have 1 or 3"),
        ({"size": (0, 8)}, r"size: the size is \(0, 8\), but a height and a width"),
        ({"size": (8,)}, r"size: the size is \(8,\), but a height and a width"),
        ({"seed": -1}, "seed: the seed is -1, but it must be 0 or more"),
        ({"train_images": 0}, "train_images: 0 images are asked for, but it must be 1 or more"),
        ({"train_images": 7}, "train_images: 7 images are asked for, but the train split has 6"),
        ({"test_images": 5}, "test_images: 5 images are asked for, but the test split has 4"),
        (
            {"size": (10**6, 10**6)},
            "images: 6 images of 3 × 1000000 × 1000000 take 16763.8 GiB, but half of this",
        ),
    ],
)
def test_bad_requests(folder: Maker, wishes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(folder(), **wishes)


def test_both_splits_are_counted(folder: Maker) -> None:
    with pytest.raises(DataError, match="train split has 6") as caught:
        load(folder(), train_images=7, test_images=5)
    assert [finding.place for finding in caught.value.diagnostics] == ["train_images", "test_images"]


def test_all_that_is_wrong_with_a_request_is_said_at_once() -> None:
    with pytest.raises(DataError, match="channels") as caught:
        load("shape", channels=4, size=(-1, 2), test_images=-1)
    places = [finding.place for finding in caught.value.diagnostics]
    assert places == ["data", "channels", "size", "test_images"]


def test_a_resize_that_means_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"16 pixels were given, but the images are to have 32(.|\n)*Give at least 32"):
        load_data(str(tmp_path), size=(32, 32), channels=3, resize=16)
