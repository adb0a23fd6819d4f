"""Small sets of images on disk for the tests of the data package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Colour = tuple[int, int, int]


def write_image(file: Path, colour: Colour, size: tuple[int, int] = (8, 8)) -> None:
    """An image of one colour; `size` is (height, width)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), colour, np.uint8)).save(file)


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own for each test."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Make a directory with two classes, `train` and `test` images of each, each image of its own colour."""

    def make(train: int = 3, test: int = 2, ending: str = "png") -> Path:
        for split, count in (("train", train), ("test", test)):
            for label, name in enumerate(("cat", "dog")):
                for index in range(count):
                    file = tmp_path / "set" / split / name / f"{index}.{ending}"
                    write_image(file, (100 * label, 10 * index, 200 * (split == "test")))
        return tmp_path / "set"

    return make
