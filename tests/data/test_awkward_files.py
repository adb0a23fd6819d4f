"""Files and folders that once were misread without a word, or stopped the program."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cortexgraph.data import ImageData, Request, decode, load_data, load_stimuli, register_data, shapes
from cortexgraph.data.decode import decode_files, preparation
from cortexgraph.data.load import SOURCES
from cortexgraph.errors import DataError

Maker = Callable[..., Path]


def grey(array: np.ndarray, file: Path) -> list[int]:
    Image.fromarray(array).save(file)
    return decode_files([file], (2, 2), 1)[0, 0, 0].tolist()


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (255, 1), (256, 1), (257, 1), (32767, 127), (65535, 255)])
@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_sixteen_bits_are_divided_by_257_in_every_image(tmp_path: Path, ending: str, value: int, expected: int) -> None:
    assert grey(np.full((2, 2), value, np.uint16), tmp_path / f"a.{ending}") == [expected] * 2
    assert grey(np.full((2, 2), value, np.int32), tmp_path / "a.tiff") == [expected] * 2


def test_floats_are_scaled_from_zero_to_one(tmp_path: Path) -> None:
    assert grey(np.full((2, 2), 0.5, np.float32), tmp_path / "a.tiff") == [128] * 2
    assert grey(np.array([[0, 1], [0, 1]], np.float32), tmp_path / "a.tiff") == [0, 255]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.float32("nan"), "not finite numbers"),
        (np.float32("inf"), "not finite numbers"),
        (np.float32(128), "floats must lie from 0 to 1"),
        (np.float32(-0.1), "floats must lie from 0 to 1"),
        (np.int32(70_000), "16 bits, 0 to 65535, can be used"),
        (np.int32(-1), "16 bits, 0 to 65535, can be used"),
    ],
)
def test_other_values_are_refused(tmp_path: Path, value: np.generic, message: str) -> None:
    with pytest.raises(DataError, match=message):
        grey(np.full((2, 2), value), tmp_path / "a.tiff")


def test_the_number_of_pixels_is_bounded_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 99)
    Image.new("L", (10, 10)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(DataError, match="it has 100 pixels, and at most 99 are decoded: make it smaller"):
        decode_files([tmp_path / "a.png"], (2, 2), 1)


def test_large_images_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "LARGE_PIXELS", 3)
    assert grey(np.full((4, 4), 9, np.uint8), tmp_path / "a.png") == [9, 9]


def load(root: Path) -> ImageData:
    return load_data(str(root), size=(8, 8), channels=3, cache=False)


@pytest.mark.parametrize(("link", "target"), [("b", ".."), ("b", "../.."), ("b", "."), ("dog", "../cat")])
def test_no_folder_is_read_twice(folder: Maker, link: str, target: str) -> None:
    root = folder()
    place = root / "train" / "dog" / "loop"
    place.symlink_to(target)
    with pytest.raises(DataError, match=r"loop: this leads to .*, but the images there would count twice"):
        load(root)
    with pytest.raises(DataError, match="folder-twice"):
        load_stimuli(str(root), split="train", size=(8, 8), channels=3)


def test_a_class_that_links_to_another_is_a_finding(folder: Maker) -> None:
    root = folder()
    for split in ("train", "test"):
        (root / split / "wolf").symlink_to("dog")
    with pytest.raises(DataError, match="wolf: this leads to") as error:
        load(root)
    assert [finding.code for finding in error.value.diagnostics] == ["folder-twice"] * 2


def test_links_that_lead_elsewhere_are_followed(folder: Maker, tmp_path: Path) -> None:
    root = folder()
    (root / "train" / "dog").rename(tmp_path / "dogs")
    (root / "train" / "dog").symlink_to(tmp_path / "dogs")
    assert load(root).train.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_pipe_is_a_finding(folder: Maker) -> None:
    root = folder()
    os.mkfifo(root / "test" / "cat" / "x.png")
    with pytest.raises(DataError, match=r"x\.png: this is a pipe or device"):
        load(root)


def test_names_that_are_not_utf8_are_a_finding(folder: Maker) -> None:
    root = folder()
    for split in ("train", "test"):
        (root / split / "dog").rename(os.fsdecode(os.fsencode(root / split) + b"/d\xffg"))
    with pytest.raises(DataError, match="the name of this is not valid UTF-8") as error:
        load(root)
    assert [finding.code for finding in error.value.diagnostics] == ["not-utf8"] * 2
    str(error.value).encode()


def test_what_is_done_to_images_is_said(folder: Maker, tmp_path: Path) -> None:
    root = folder()
    assert load(root).preparation == "used at their size of 8 × 8 pixels"
    Image.new("RGB", (64, 32)).save(tmp_path / "a.png")
    Image.new("RGB", (640, 640)).save(tmp_path / "b.png")
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    assert preparation(files[1:], (8, 8)) == "resized from 640 × 640 to 8 × 8 pixels"
    text = "cropped around their middle and resized from 32 × 64 to 640 × 640 to 8 × 8 pixels"
    assert preparation(files, (8, 8)) == text
    assert load_data("shapes", size=(8, 8), channels=1, train_images=10, test_images=10).preparation.startswith("drawn")


@pytest.fixture
def blank() -> Iterator[None]:
    @register_data("blank")
    def read(request: Request) -> ImageData:
        return shapes.shapes(request)

    yield
    del SOURCES["blank"]


def test_a_data_set_is_one_registration(blank: None) -> None:
    counts = {"train_images": 10, "test_images": 10}
    assert len(load_data("blank", size=(8, 8), channels=3, **counts).train) == 10  # type: ignore[arg-type]
    with pytest.raises(DataError, match="the known data sets are blank, cifar10, shapes"):
        load_data("blanc", size=(8, 8), channels=3)
    with pytest.raises(ValueError, match="data set `shapes` is registered already"):
        register_data("shapes")(shapes.shapes)
