"""Folders that the Hugging Face library `datasets` saved (`save_to_disk`): a column of images and one of classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from cortexgraph.data.decode import Bytes, ImageReader, decode_bytes
from cortexgraph.data.images import Augment, ImageData
from cortexgraph.data.load import Items, Request, as_path, register_data, require
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.extras import import_explained
from cortexgraph.wording import quoted

SPLITS = ("train", "test")


def is_saved(path: Path) -> bool:
    """Whether this is a folder of several splits that `save_to_disk` wrote."""
    return (path / "dataset_dict.json").is_file()


@register_data("datasets", accepts=is_saved)
def read_saved(request: Request) -> ImageData:
    """The splits `train` and `test`, of which one column has images and one has classes.

    Raises:
        DataError: if a split or column is missing, there are several of a kind, or the classes of the splits differ.
        MissingPackageError: if `datasets` is not installed.
    """
    path = as_path(request.source)
    opened = {split: _open(path, split) for split in SPLITS}
    columns = {split: _columns(path, split, opened[split]) for split in SPLITS}
    names = {split: [*opened[split].features[label].names] for split, (_, label) in columns.items()}
    if names["train"] != names["test"]:
        found = f"its classes are {quoted(names['test'])}"
        expected = f"those of `train` are {quoted(names['train'])}"
        raise DataError(
            Diagnostic("bad-datasets", f"{path} test", found, expected, "Give both splits the same classes.")
        )
    splits = {}
    for split, (image, label) in columns.items():
        data, labels = opened[split], [int(number) for number in opened[split][label]]
        require(_unlabelled(path, split, labels, len(names["train"])))
        identity = hashlib.sha256(repr((data._fingerprint, image, labels)).encode()).hexdigest()
        reader = SavedReader(request.size, request.channels, request.resize, path, split, image)
        splits[split] = Items(reader, labels, identity, f"{path.absolute()} {identity}")
    augment = Augment(crop_padding_px=min(request.size) // 8)
    return request.data(request.source, names["train"], splits, augment, request.size_text)


@lru_cache(maxsize=4)
def _open(path: Path, split: str) -> Any:
    """A split, whose images are left as the bytes of their files."""
    library = import_explained("datasets")
    try:
        data = library.load_from_disk(str(path))[split]
        for name, feature in data.features.items():
            if isinstance(feature, library.Image):
                data = data.cast_column(name, library.Image(decode=False))
    except Exception as error:  # the library and its formats raise nearly any kind of exception
        found = f"the split `{split}` cannot be read ({' '.join(str(error).split())})"
        repair = "Save a DatasetDict of `train` and `test` with `save_to_disk`."
        raise DataError(Diagnostic("bad-datasets", str(path), found, repair=repair)) from None
    return data


def _columns(path: Path, split: str, data: Any) -> tuple[str, str]:
    """The names of the columns of images and of classes."""
    library = import_explained("datasets")
    names = []
    for kind, what in ((library.Image, "images"), (library.ClassLabel, "classes")):
        matching = [name for name, feature in data.features.items() if isinstance(feature, kind)]
        if len(matching) != 1:
            found = f"its columns of {what} are {quoted(matching) or 'missing'}"
            repair = f"Keep one column of `datasets.{kind.__name__}`."
            raise DataError(Diagnostic("bad-datasets", f"{path} {split}", found, "one is needed", repair))
        names += matching
    return names[0], names[1]


def _unlabelled(path: Path, split: str, labels: list[int], classes: int) -> Iterator[Diagnostic]:
    """A finding if images have no class, which the library stores as −1."""
    if wrong := [n for n, label in enumerate(labels) if not 0 <= label < classes]:
        found = f"{len(wrong)} images have no class, the first in row {wrong[0]}"
        yield Diagnostic("bad-datasets", f"{path} {split}", found, repair="Give them classes, or filter them out.")


@dataclass(frozen=True)
class SavedReader(ImageReader):
    """Decodes the image in the n-th row of a split."""

    path: Path
    split: str
    column: str
    repair: ClassVar[str] = "Replace it in the data set, and save that again."

    def decoded(self, number: int) -> Bytes:
        """The image, uint8 [C, H, W]; raises whatever PIL does."""
        cell = _open(self.path, self.split)[number][self.column]
        content = cell["bytes"] if cell["bytes"] is not None else Path(cell["path"]).read_bytes()
        return decode_bytes(content, self.size, self.channels, self.resize)

    def place(self, number: int) -> str:
        """The split and the row in it."""
        return f"{self.path} {self.split}[{number}]"
