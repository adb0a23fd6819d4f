"""Shards: tar files in the layout of WebDataset, with an index by which any image is read at once.

A shard holds, for image n, `NNNNNNNN.jpg` (the bytes of the file as it was) and `NNNNNNNN.cls` (the number of its
class), so that WebDataset and tar read it too. `index.json`, which is written last, has the length and the SHA-256 of
each shard; `train.npy` and `test.npy` have the place of each image.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cortexgraph.arguments import arguments_explained
from cortexgraph.data.decode import Bytes, ImageReader, decode_bytes, unreadable
from cortexgraph.data.folder import list_folder
from cortexgraph.data.images import Augment, ImageData
from cortexgraph.data.load import Items, Request, as_path, register_data, require
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.files import check_new_folder, new_folder

INDEX, LAYOUT = "index.json", "cortexgraph_pack"
SHARD_BYTES = 256 * 10**6
PLACE = np.dtype([("shard", "<u4"), ("offset", "<u8"), ("length", "<u4"), ("label", "<u4")])
"""Where an image lies: number of the shard, first byte in it, bytes; and the number of its class."""

Places = npt.NDArray[np.void]


@dataclass(frozen=True)
class Packed:
    """What `pack` wrote.

    Attributes:
        path: the folder.
        images: how many, by split.
        shards: how many.
        bytes: of all shards.
    """

    path: Path
    images: Mapping[str, int]
    shards: int
    bytes: int


# ---- writing -----------------------------------------------------------------


@arguments_explained
def pack(source: str | Path, out: str | Path, *, shard_bytes: int = SHARD_BYTES) -> Packed:
    """Pack a folder of images into shards, which `load_data` streams.

    The images are not decoded: their bytes are stored as they are. The folder appears when it is whole.

    Args:
        source: a folder with train/CLASS/* and test/CLASS/*.
        out: the folder to write, which must not exist.
        shard_bytes: about the size of a shard.

    Raises:
        DataError: with everything that is wrong with the layout of the folder, or if `out` exists or cannot be written.
    """
    root, target = as_path(str(source)), Path(out)
    check_new_folder(target)
    listed = list_folder(root)
    with new_folder(target) as folder:
        shards = {split: _write(folder, split, classes, shard_bytes) for split, classes in listed.items()}
        index = {LAYOUT: 1, "classes": [*listed["train"]], "shards": shards}
        (folder / INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False), "utf-8")
    images = {split: sum(map(len, classes.values())) for split, classes in listed.items()}
    every = [shard for each in shards.values() for shard in each]
    return Packed(target, images, len(every), sum(shard["bytes"] for shard in every))


def _write(folder: Path, split: str, classes: Mapping[str, Sequence[Path]], limit: int) -> list[dict[str, Any]]:
    """Write the shards of a split and the places of its images; the entries of the shards in the index."""
    files = [(file, label) for label, members in enumerate(classes.values()) for file in members]
    places, number = np.zeros(len(files), PLACE), 0
    shards: list[dict[str, Any]] = []
    while number < len(files):
        path = folder / f"{split}-{len(shards):06}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            while number < len(files) and (tar.offset == 0 or tar.offset < limit):
                file, label = files[number]
                content = _read(file)
                places[number] = (len(shards), tar.offset + tarfile.BLOCKSIZE, len(content), label)
                _add(tar, f"{number:08}{file.suffix.lower()}", content)
                _add(tar, f"{number:08}.cls", str(label).encode())
                number += 1
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        shards.append({"file": path.name, "bytes": path.stat().st_size, "sha256": digest})
    np.save(folder / f"{split}.npy", places, allow_pickle=False)
    return shards


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(unreadable(str(file), error)) from None


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, BytesIO(content))


# ---- reading -----------------------------------------------------------------


def is_pack(path: Path) -> bool:
    """Whether this is a folder that `pack` wrote."""
    return (path / INDEX).is_file() and not (path / "train").is_dir()


@register_data("pack", accepts=is_pack)
def read_pack(request: Request) -> ImageData:
    """The images of shards, in memory or streamed.

    Raises:
        DataError: if the index cannot be read, or a shard is missing or of another length than when it was written.
    """
    root = as_path(request.source)
    try:
        index = json.loads((root / INDEX).read_text("utf-8"))
        shards, classes = index["shards"], [str(name) for name in index["classes"]]
        places = {split: np.load(root / f"{split}.npy", allow_pickle=False) for split in shards}
        entries = [
            (split, str(s["file"]), int(s["bytes"]), str(s["sha256"])) for split in shards for s in shards[split]
        ]
        if index[LAYOUT] != 1 or any(each.dtype != PLACE for each in places.values()) or {*shards} != {"train", "test"}:
            raise ValueError("it is of another layout")
        if any(Path(file).name != file for _, file, *_ in entries):
            raise ValueError("it names files elsewhere")
        if any(len(rows) and rows["shard"].max() >= len(shards[split]) for split, rows in places.items()):
            raise ValueError("its places are of another pack")
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"the index of the shards cannot be read ({' '.join(str(error).split())})"
        repair = "Pack the images again with `cortexgraph data pack`."
        raise DataError(Diagnostic("bad-pack", str(root), problem, repair=repair)) from None
    require(_damaged(root, [(file, size) for _, file, size, _ in entries]))
    splits = {}
    for split, rows in places.items():
        own = [entry for entry in entries if entry[0] == split]
        files = tuple(root / file for _, file, _, _ in own)
        reader = ShardReader(request.size, request.channels, request.resize, files, rows)
        identity = hashlib.sha256(repr([digest for *_, digest in own]).encode()).hexdigest()
        splits[split] = Items(reader, rows["label"].tolist(), identity, identity)
    augment = Augment(crop_padding_px=min(request.size) // 8)
    return request.data(request.source, classes, splits, augment, request.size_text)


def _damaged(root: Path, shards: Sequence[tuple[str, int]]) -> Iterator[Diagnostic]:
    """The shards that are missing or not as long as they were written."""
    for file, size in shards:
        path = root / file
        length = path.stat().st_size if path.is_file() else None
        if length != size:
            found = "this shard is missing" if length is None else f"this shard has {length:,} bytes"
            repair = "Copy it again, or pack the images again with `cortexgraph data pack`."
            yield Diagnostic("bad-shard", str(path), found, f"{size:,} bytes were written", repair)


@dataclass(frozen=True)
class ShardReader(ImageReader):
    """Decodes the n-th image of some shards."""

    shards: Sequence[Path]
    places: Places
    repair: ClassVar[str] = "Copy the shard again, or pack the images again."

    def decoded(self, number: int) -> Bytes:
        """The image, uint8 [C, H, W]; raises whatever PIL does."""
        shard, offset, length, _ = self.places[number].item()
        with self.shards[shard].open("rb", buffering=0) as stream:
            stream.seek(offset)
            content = stream.read(length)
        if len(content) != length:
            raise ValueError(f"the shard ends after {len(content):,} of its {length:,} bytes")
        return decode_bytes(content, self.size, self.channels, self.resize)

    def place(self, number: int) -> str:
        """The shard and the number of the image in its split."""
        return f"{self.shards[self.places[number]['shard']]} image {number:08}"
