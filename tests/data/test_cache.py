"""The cache of decoded images: used when it can be, made anew when it must be, never in the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cortexgraph.data import ImageData, load_data
from cortexgraph.data import load as load_module
from cortexgraph.data.cache import cache_folder
from cortexgraph.data.decode import Reader

from .conftest import write_image

Maker = Callable[..., Path]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of files that were decoded, call by call."""
    calls: list[int] = []
    decode = load_module.decode_all

    def counting(read: Reader, numbers: list[int], *rest: Any) -> torch.Tensor:
        calls.append(len(numbers))
        return decode(read, numbers, *rest)

    monkeypatch.setattr(load_module, "decode_all", counting)
    return calls


def load(root: Path, **wishes: object) -> ImageData:
    return load_data(str(root), **({"size": (8, 8), "channels": 3} | wishes))  # type: ignore[arg-type]


def entries() -> list[Path]:
    return sorted(cache_folder().iterdir())


def test_the_second_run_decodes_nothing(folder: Maker, decoded: list[int]) -> None:
    root = folder()
    first, second = load(root), load(root)
    assert decoded == [6, 4]
    assert torch.equal(first.train.images, second.train.images)
    assert torch.equal(first.test.images, second.test.images)
    assert [file.suffix for file in entries()] == [".safetensors"] * 2


@pytest.mark.parametrize("wishes", [{"size": (4, 8)}, {"channels": 1}, {"train_images": 4}])
def test_another_request_is_decoded_anew(folder: Maker, decoded: list[int], wishes: dict[str, object]) -> None:
    root = folder()
    load(root)
    load(root, **wishes)
    assert decoded[:3] == [6, 4, wishes.get("train_images", 6)]


def test_a_changed_file_is_seen(folder: Maker, decoded: list[int]) -> None:
    root = folder()
    load(root)
    file = root / "train" / "cat" / "0.png"
    write_image(file, (255, 255, 255))
    os.utime(file, ns=(1, 1))
    assert load(root).train.images[0].min() == 255
    assert decoded == [6, 4, 6]


def test_a_new_file_is_seen(folder: Maker, decoded: list[int]) -> None:
    root = folder()
    load(root)
    write_image(root / "train" / "dog" / "9.png", (1, 1, 1))
    assert len(load(root).train) == 7
    assert decoded == [6, 4, 7]


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_entry_is_rebuilt(folder: Maker, decoded: list[int], content: bytes) -> None:
    root = folder()
    expected = load(root).train.images
    for file in entries():
        file.write_bytes(content)
    assert torch.equal(load(root).train.images, expected)
    load(root)
    assert decoded == [6, 4, 6, 4]


def test_a_shortened_entry_is_rebuilt(folder: Maker, decoded: list[int]) -> None:
    root = folder()
    load(root)
    for file in entries():
        file.write_bytes(file.read_bytes()[:-10])
    load(root)
    assert decoded == [6, 4, 6, 4]


def test_a_cache_that_cannot_be_written_is_not_used(
    folder: Maker, decoded: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    root = folder()
    assert len(load(root).train) == len(load(root).train) == 6
    assert decoded == [6, 4, 6, 4]


def test_a_full_disk_leaves_nothing_behind(folder: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cortexgraph.data.cache.save_file", full)
    assert len(load(folder()).train) == 6
    assert entries() == []


def test_it_can_be_switched_off(folder: Maker, decoded: list[int], cache_home: Path) -> None:
    root = folder()
    load(root, cache=False)
    load(root, cache=False)
    assert decoded == [6, 4, 6, 4]
    assert not list(cache_home.iterdir())


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for unset in ("", "relative/is/ignored"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache_folder() == tmp_path / ".cache" / "cortexgraph" / "images"
