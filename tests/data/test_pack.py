"""Shards: the images that were packed, in the same order, and clear words for those that are damaged."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from cortexgraph.data import ImageData, load_data, load_stimuli
from cortexgraph.data.pack import pack
from cortexgraph.errors import DataError

Maker = Callable[..., Path]


@pytest.fixture
def packed(folder: Maker, tmp_path: Path) -> Path:
    """Six training and four test images in shards of two."""
    pack(folder(), tmp_path / "packed", shard_bytes=3000)
    return tmp_path / "packed"


def load(root: Path, memory: int | None = None, size: tuple[int, int] = (8, 8)) -> ImageData:
    return load_data(str(root), size=size, channels=3, memory=memory, workers=0)


@pytest.mark.parametrize("memory", [None, 0])
def test_packed_images_are_those_of_the_folder(folder: Maker, tmp_path: Path, packed: Path, memory: int | None) -> None:
    wide = tmp_path / "set" / "train" / "cat" / "0.png"  # 16 bits, of which PIL alone keeps the high bytes
    Image.new("I;16", (9, 7), 1000).save(wide)
    done = pack(tmp_path / "set", tmp_path / "again")
    assert (done.images, done.shards) == ({"train": 6, "test": 4}, 2)
    ours, theirs = load(tmp_path / "again", memory), load(tmp_path / "set")
    assert ours.train.streamed == (memory == 0)
    assert (ours.classes, ours.mean, ours.std) == (theirs.classes, theirs.mean, theirs.std)
    for one, other in ((ours.train, theirs.train), (ours.test, theirs.test)):
        rows = [torch.arange(len(one)).flip(0)]
        for ours_read, theirs_read in zip(next(one.read(rows)), next(other.read(rows)), strict=True):
            assert torch.equal(ours_read, theirs_read)


def test_shards_are_tar_files_as_webdataset_lays_them_out(packed: Path) -> None:
    shards = sorted(path.name for path in packed.glob("*.tar"))
    assert shards == ["test-000000.tar", "test-000001.tar", *(f"train-{n:06}.tar" for n in range(3))]
    with tarfile.open(packed / "train-000001.tar") as tar:
        assert tar.getnames() == ["00000002.png", "00000002.cls", "00000003.png", "00000003.cls"]
        label = tar.extractfile("00000003.cls")
        assert label is not None
        assert label.read() == b"1"


def test_stimuli_of_a_pack(packed: Path) -> None:
    stimuli = load_stimuli(str(packed), size=(8, 8), channels=3)
    assert stimuli.classes == ("cat", "cat", "dog", "dog")
    assert stimuli.read([3, 0]).shape == (2, 3, 8, 8)


def test_a_shard_cut_in_half_is_named_before_anything_is_read(packed: Path) -> None:
    shard = packed / "train-000001.tar"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    (packed / "test-000000.tar").unlink()
    match = r"train-000001.tar: this shard has 5,120 bytes, but 10,240 bytes were written(.|\n)*this shard is missing"
    with pytest.raises(DataError, match=match) as caught:
        load(packed)
    assert [finding.code for finding in caught.value.diagnostics] == ["bad-shard"] * 2


def test_damaged_bytes_in_a_shard_are_named(packed: Path) -> None:
    data = load(packed, memory=0)
    shard = packed / "train-000002.tar"
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(DataError, match=r"train-000002.tar image 00000004: this image cannot be read"):
        next(data.train.read([torch.tensor([0, 4])]))
    shard.write_bytes(b"")
    with pytest.raises(DataError, match=r"image 00000005: .*ends after 0 of its \d+ bytes\)\.\n  Copy the"):
        next(data.train.read([torch.tensor([5])]))


@pytest.mark.parametrize("content", ["", "{}", '{"cortexgraph_pack": 2, "shards": {}, "classes": []}', "[1]"])
def test_a_damaged_index(packed: Path, content: str) -> None:
    (packed / "index.json").write_text(content)
    with pytest.raises(DataError, match=r"packed: the index of the shards cannot be read .*\n  Pack the images again"):
        load(packed)


def test_nothing_is_packed_over_or_left_half(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"packed: this exists already"):
        pack(tmp_path / "set", packed)
    with pytest.raises(DataError, match=r"nowhere: this directory does not exist"):
        pack(tmp_path / "nowhere", tmp_path / "other")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cortexgraph.data.pack._add", full)
    with pytest.raises(DataError, match=r"other: it cannot be written: no space left on device\.\n  Make room"):
        pack(tmp_path / "set", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packed", "set"]


def test_targets_are_for_folders(packed: Path) -> None:
    with pytest.raises(DataError, match="has targets of its own"):
        load_data(str(packed), size=(8, 8), channels=3, targets="some.csv")


def test_an_index_that_names_files_elsewhere(packed: Path) -> None:
    index = json.loads((packed / "index.json").read_text())
    index["shards"]["train"][0]["file"] = "../train.tar"
    (packed / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"names files elsewhere(.|\n)*bad-pack"):
        load(packed)
