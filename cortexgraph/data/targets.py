"""Targets from a CSV file: a row for each image, read in the way of the registered kind of target.

A kind is a function that is registered by `register_target`. It turns the cells of the file into one tensor.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from cortexgraph.data.decode import brought_to
from cortexgraph.data.images import CLASS
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.files import csv_rows
from cortexgraph.wording import count_of, quoted

NOTHING = "nothing"
"""In place of a kind of target: the images alone."""
LISTED = 8
"""Files or rows that a finding names."""
NO_CLASS = 255
"""The value of places of a class map that belong to no class, as in PASCAL VOC and Cityscapes."""


@dataclass(frozen=True)
class Table:
    """The cells of a target file, in the order of the images.

    Attributes:
        path: of the file.
        root: the folder to which paths in it are relative.
        size: (H, W) to which maps are brought.
        columns: the names of all columns but `file`.
        lines: of each row.
        cells: of each row, for `columns`.
        resize: the shorter side of images before their middle is cut out, if they are.
    """

    path: Path
    root: Path
    size: tuple[int, int]
    columns: tuple[str, ...]
    lines: tuple[int, ...]
    cells: tuple[tuple[str, ...], ...]
    resize: int | None = None

    def only_column(self) -> None:
        """Raise DataError if there is not exactly one column besides `file`."""
        if len(self.columns) != 1:
            expected = "these targets are one column besides `file`"
            repair = "Keep one of them, or train with a loss of several numbers: docs/tasks.md."
            raise DataError(
                self.finding(f"its target columns are {quoted(self.columns) or 'missing'}", expected, repair)
            )

    def finding(self, found: str, expected: str, repair: str = "") -> Diagnostic:
        """A finding about the file."""
        return Diagnostic("bad-targets", "", found, expected, repair, file=str(self.path), line=1)

    def numbers(self, allowed: Callable[[float], bool], expected: str) -> Tensor:
        """All cells as numbers, float32 [N, K].

        Raises:
            DataError: naming the cells that are not allowed.
        """
        wrong, values = [], []
        for line, row in zip(self.lines, self.cells, strict=True):
            for column, cell in zip(self.columns, row, strict=True):
                number = _number(cell)
                values.append(number)
                if not allowed(number):
                    wrong.append(f"line {line} {column} `{cell}`")
        if wrong:
            raise DataError(self.finding(f"{count_of(len(wrong), 'cell')}: {some(wrong)}", expected, "Correct them."))
        return torch.tensor(values).view(len(self.cells), len(self.columns))


Reader = Callable[[Table], tuple[tuple[str, ...], Tensor]]

TARGETS: dict[str, Reader] = {}
"""By kind: the names of classes or numbers, and the targets of all images, of a table."""


def register_target(kind: str) -> Callable[[Reader], Reader]:
    """Decorator that adds a kind of target, which losses name (`register_loss`).

    Raises:
        ValueError: if the name is taken.
    """

    def add(read: Reader) -> Reader:
        if kind in TARGETS:
            raise ValueError(f"target `{kind}` is registered already")
        TARGETS[kind] = read
        return read

    return add


@register_target(CLASS)
def classes(table: Table) -> tuple[tuple[str, ...], Tensor]:
    """One class for each image, by its name: int64 [N], the classes in alphabetical order."""
    table.only_column()
    words = [row[0].strip() for row in table.cells]
    if empty := [f"line {line}" for line, word in zip(table.lines, words, strict=True) if not word]:
        raise DataError(table.finding(f"no class is given in {some(empty)}", "each image has a class", "Add it."))
    names = tuple(sorted(set(words)))
    number = {name: n for n, name in enumerate(names)}
    return names, torch.tensor([number[word] for word in words])


@register_target("labels")
def labels(table: Table) -> tuple[tuple[str, ...], Tensor]:
    """Several labels, each of which an image has (1) or not (0): float32 [N, K]."""
    return table.columns, table.numbers(lambda number: number in (0, 1), "a label is 0 or 1")


@register_target("numbers")
def numbers(table: Table) -> tuple[tuple[str, ...], Tensor]:
    """Numbers to be predicted: float32 [N, K]."""
    return table.columns, table.numbers(math.isfinite, "a number is needed")


@register_target("class-map")
def class_maps(table: Table) -> tuple[tuple[str, ...], Tensor]:
    """A class for each place, int64 [N, H, W]; −1 where the map is 255.

    The names of the classes are their numbers, from 0 to the largest.
    """
    maps = torch.from_numpy(np.stack(_maps(table, "a class map has whole numbers and one channel", _indices)))
    targets = maps.where(maps != NO_CLASS, -1)
    return tuple(map(str, range(max(1, int(targets.max()) + 1)))), targets


@register_target("number-map")
def number_maps(table: Table) -> tuple[tuple[str, ...], Tensor]:
    """A number for each place, such as depth: float32 [N, 1, H, W]; NaN where it is not known."""
    return table.columns, torch.from_numpy(np.stack(_maps(table, "a map of numbers has one channel", _floats)))[:, None]


# ---- maps ------------------------------------------------------------------------


def _maps(
    table: Table, expected: str, values: Callable[[Image.Image], npt.NDArray[np.generic]]
) -> list[npt.NDArray[np.generic]]:
    """The maps of all images, each cropped around its middle and brought to the size of the images.

    Raises:
        DataError: naming every map that cannot be read.
    """
    table.only_column()
    maps, wrong = [], []
    for line, (name,) in zip(table.lines, table.cells, strict=True):
        try:
            maps.append(values(_fitted(table.root / name, table.size, table.resize)))
        except Exception as error:  # PIL's readers raise nearly any kind of exception on a damaged file
            wrong.append(f"line {line} `{name}` ({' '.join(str(error).split()) or type(error).__name__})")
    if wrong:
        repair = f"Give paths relative to {table.root}."
        raise DataError(table.finding(f"{count_of(len(wrong), 'map')} cannot be read: {some(wrong)}", expected, repair))
    return maps


def _fitted(path: Path, size: tuple[int, int], resize: int | None) -> Image.Image:
    """The map of an image file, or of an array [H, W] in a .npy file; its values are not mixed."""
    if path.suffix == ".npy":
        image = Image.fromarray(np.load(path, allow_pickle=False).astype(np.float32))
        return brought_to(image, size, resize, Image.Resampling.NEAREST)
    with Image.open(path) as image:
        image.load()
        return brought_to(image, size, resize, Image.Resampling.NEAREST)


def _one_channel(image: Image.Image) -> npt.NDArray[np.generic]:
    values = np.asarray(image)
    if values.ndim != 2:
        raise ValueError(f"it has {values.shape[2]} channels")
    return values


def _indices(image: Image.Image) -> npt.NDArray[np.int64]:
    values = _one_channel(image)
    if not np.array_equal(values, whole := values.astype(np.int64)) or whole.min() < 0:
        raise ValueError("it has values that are no whole numbers from 0")
    return whole


def _floats(image: Image.Image) -> npt.NDArray[np.float32]:
    return _one_channel(image).astype(np.float32)


# ---- the file --------------------------------------------------------------------


def read_targets(
    path: Path,
    kind: str,
    root: Path,
    files: Mapping[str, Sequence[Path]],
    size: tuple[int, int],
    resize: int | None = None,
) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """The names of the targets, and those of each split in the order of its images.

    Args:
        path: a CSV file with a column `file`, relative to `root`, and one or more columns of targets.
        kind: the registered kind of target.
        root: the folder of the images.
        files: the images of each split.
        size: (H, W) in pixels of the images.
        resize: the shorter side of images before their middle is cut out, if they are; maps are brought to size alike.

    Raises:
        DataError: with a finding for missing rows, rows without image, repeated rows, or cells that are no targets.
    """
    columns, rows = csv_rows(path, ["file"], "bad-targets")
    wanted = [file.relative_to(root).as_posix() for split in files.values() for file in split]
    lines: dict[str, list[int]] = defaultdict(list)
    for row, line in rows:
        lines[(row["file"] or "").strip().removeprefix("./")].append(line)
    at = {line: row for row, line in rows}
    table = Table(path, root, size, tuple(name for name in columns if name != "file"), (), ())
    if findings := [*_mismatches(table, lines, wanted)]:
        raise DataError(findings)
    places = tuple(lines[file][0] for file in wanted)
    cells = tuple(tuple(at[line][name] or "" for name in table.columns) for line in places)
    names, targets = TARGETS[kind](Table(path, root, size, table.columns, places, cells, resize))
    parts = torch.split(targets, [*map(len, files.values())])
    return names, dict(zip(files, parts, strict=True))


def _mismatches(table: Table, lines: Mapping[str, list[int]], wanted: Sequence[str]) -> Iterator[Diagnostic]:
    """Everything in which the rows and the images differ."""
    if not table.columns:
        yield table.finding("there is no column besides `file`", "a column of targets is needed", "Add it.")
    if missing := [file for file in wanted if file not in lines]:
        found = f"{count_of(len(missing), 'image')} without a row: {some(missing)}"
        yield table.finding(found, "each image needs one row", "Add the rows, or remove the images.")
    known = set(wanted)
    if unknown := [f"line {each[0]} `{file}`" for file, each in lines.items() if file not in known]:
        found = f"{count_of(len(unknown), 'row')} without an image: {some(unknown)}"
        example = f"`file` is relative to {table.root}" + (f", such as `{wanted[0]}`" if wanted else "")
        yield table.finding(found, example, "Correct or remove the rows.")
    if repeated := [f"`{file}` in lines {', '.join(map(str, each))}" for file, each in lines.items() if len(each) > 1]:
        found = f"{count_of(len(repeated), 'image')} in several rows: {some(repeated)}"
        yield table.finding(found, "each image needs one row", "Keep one row of each.")


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def some(texts: Sequence[str]) -> str:
    """The first of them with commas, and how many more there are."""
    more = f", and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
    return ", ".join(texts[:LISTED]) + more
