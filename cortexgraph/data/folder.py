"""Find the images of a directory: `train/<class>/*` and `test/<class>/*`, as in torchvision's ImageFolder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cortexgraph.errors import DataError, Diagnostic

__all__ = ["FolderSplit", "list_folder", "list_images"]

_SPLITS = ("train", "test")
_LAYOUT = "Arrange it as train/<class>/*.png and test/<class>/*.png."


@dataclass(frozen=True)
class FolderSplit:
    """The files of one split, sorted by class and name, and the class index of each."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]


def list_folder(root: Path) -> tuple[tuple[str, ...], dict[str, FolderSplit]]:
    """List the images below `root`.

    Hidden files and folders, and files whose name does not end like an image's
    (`PIL.Image.registered_extensions`), are left out. Links are followed. Images may lie at any depth below
    their class folder.

    Returns:
        The sorted class names, and the files of ``train`` and ``test``.

    Raises:
        DataError: if `root` is not laid out so; all that is wrong is reported at once.
    """
    try:
        images = _read_layout(root)
    except OSError as error:  # no permission, too many links, a network drive that is gone
        raise _unlistable(root, error) from error
    return tuple(sorted(images["train"])), {split: _flatten(images[split]) for split in _SPLITS}


def list_images(root: Path) -> list[Path]:
    """All images below a folder, sorted by folder and name, with the rules of `list_folder`.

    Raises:
        DataError: if it cannot be listed.
    """
    try:
        return _images(root)
    except OSError as error:
        raise _unlistable(root, error) from error


def _unlistable(root: Path, error: OSError) -> DataError:
    expected, repair = "it must be readable", "Check its permissions and those of the folders above it."
    place, found = Path(error.filename or root), f"this cannot be listed ({error.strerror})"
    return DataError(_finding("unreadable-directory", place, found, expected, repair))


def _read_layout(root: Path) -> dict[str, dict[str, list[Path]]]:
    """The images of each split and class."""
    _require(_check_root(root))
    found = {split: _class_folders(root / split) for split in _SPLITS}
    _require([*_check_classes(root, found), *_check_one_sided(root, found)])
    images = {split: {folder.name: _images(folder) for folder in folders} for split, folders in found.items()}
    _require(_check_filled(root, images))
    return images


def _require(findings: Sequence[Diagnostic]) -> None:
    if findings:
        raise DataError(findings)


def _finding(code: str, place: Path, found: str, expected: str, repair: str) -> Diagnostic:
    return Diagnostic(code, str(place), found, expected, repair)


def _check_root(root: Path) -> list[Diagnostic]:
    if root.is_file():
        expected = "a directory with train/ and test/ is needed"
        return [_finding("not-a-directory", root, "this is a file", expected, "Unpack it and give the directory.")]
    if not root.is_dir():
        expected = "a directory with train/ and test/ is needed"
        return [_finding("missing-directory", root, "there is no such directory", expected, "Check the path.")]
    return [
        _finding("missing-split", root, f"there is no folder {split}/", "both splits are needed", _LAYOUT)
        for split in _SPLITS
        if not (root / split).is_dir()
    ]


def _class_folders(split: Path) -> list[Path]:
    return sorted(entry for entry in split.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _check_classes(root: Path, found: dict[str, list[Path]]) -> Iterable[Diagnostic]:
    for split, folders in found.items():
        if not folders:
            place, expected = root / split, "at least one folder per class is needed"
            yield _finding("no-classes", place, "there are no class folders", expected, _LAYOUT)


def _check_one_sided(root: Path, found: dict[str, list[Path]]) -> Iterable[Diagnostic]:
    names = {split: {folder.name for folder in folders} for split, folders in found.items()}
    if not all(names.values()):
        return
    for here, there in (_SPLITS, _SPLITS[::-1]):
        for name in sorted(names[here] - names[there]):
            expected = f"there is no {there}/{name}"
            repair = f"Add {there}/{name} with images, or remove {here}/{name}."
            yield _finding("class-in-one-split", root, f"there is a class folder {here}/{name}", expected, repair)


def _check_filled(root: Path, images: dict[str, dict[str, list[Path]]]) -> list[Diagnostic]:
    return [
        _finding(
            "empty-class",
            root / split / name,
            "this class folder has no images",
            "at least one is needed",
            "Add images (such as .png or .jpg), or remove the class from both splits.",
        )
        for split, classes in images.items()
        for name, files in classes.items()
        if not files
    ]


def _images(folder: Path) -> list[Path]:
    endings = Image.registered_extensions()
    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_stop, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        seen = [name for name in names if not name.startswith(".")]
        files.extend(Path(parent, name) for name in seen if Path(name).suffix.lower() in endings)
    return sorted(files)


def _stop(error: OSError) -> None:
    raise error


def _flatten(classes: dict[str, list[Path]]) -> FolderSplit:
    pairs = [(file, label) for label, name in enumerate(sorted(classes)) for file in classes[name]]
    return FolderSplit(tuple(file for file, _ in pairs), tuple(label for _, label in pairs))
