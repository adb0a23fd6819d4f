"""Directories of images: `train/<class>/*` and `test/<class>/*`, as in torchvision's ImageFolder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from cortexgraph.data.decode import cached, decode_files, files_key, preparation
from cortexgraph.data.images import Augment, ImageData, LabelledImages
from cortexgraph.data.load import Request, as_path, register_data, require
from cortexgraph.errors import DataError, Diagnostic

__all__ = ["FolderSplit", "list_folder", "list_images"]

_SPLITS = ("train", "test")
_LAYOUT = "Arrange it as train/<class>/*.png and test/<class>/*.png."


@register_data("folder")
def read_folder(request: Request) -> ImageData:
    """The images of a directory."""
    classes, listed = list_folder(as_path(request.source))
    request.require_available({split: len(content.files) for split, content in listed.items()})
    splits: dict[str, LabelledImages] = {}
    findings: list[Diagnostic] = []
    for split, content in listed.items():
        try:
            splits[split] = _decoded(content, request.subset(split, content.labels), request)
        except DataError as error:  # unreadable files of both splits are reported together
            findings += error.diagnostics
    require(findings)
    prepared = preparation(listed["train"].files, request.size)
    augment = Augment(crop_padding_px=min(request.size) // 8)
    return ImageData.of(request.source, classes, splits, augment, prepared)


@dataclass(frozen=True)
class FolderSplit:
    """The files of one split, sorted by class and name, and the class index of each."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]


def _decoded(content: FolderSplit, chosen: list[int], request: Request) -> LabelledImages:
    files, size, channels = [content.files[index] for index in chosen], request.size, request.channels
    labels = torch.tensor(content.labels)[chosen]
    if not request.cache:
        return LabelledImages(decode_files(files, size, channels), labels)
    shape, key = (len(files), channels, *size), files_key(files, size, channels)
    return LabelledImages(cached(key, shape, lambda: decode_files(files, size, channels)), labels)


def list_folder(root: Path) -> tuple[tuple[str, ...], dict[str, FolderSplit]]:
    """List the images below `root`.

    Hidden files and folders, and files whose name does not end like an image's
    (`PIL.Image.registered_extensions`), are left out. Links are followed, but no folder is read twice in one split.
    Images may lie at any depth below their class folder.

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
        walk = _Walk(root)
        images = walk.images(root)
    except OSError as error:
        raise _unlistable(root, error) from error
    require(walk.findings)
    return images


class _Walk:
    """Finds images below a split, and notes what must not be read: folders met twice, pipes, names without UTF-8."""

    def __init__(self, split: Path) -> None:
        top = split.resolve()
        self.visited = {*top.parents, top}
        self.findings: list[Diagnostic] = []

    def images(self, folder: Path) -> list[Path]:
        """The image files of a folder and those below it, sorted."""
        endings = Image.registered_extensions()
        files: list[Path] = []
        self.visited.add(folder.resolve())
        for parent, folders, names in os.walk(folder, onerror=_stop, followlinks=True):
            folders[:] = [name for name in sorted(folders) if not name.startswith(".") and self._enter(parent, name)]
            seen = [Path(parent, name) for name in names if not name.startswith(".")]
            files.extend(path for path in seen if path.suffix.lower() in endings and self._is_usable(path))
        return sorted(files)

    def _enter(self, parent: str, name: str) -> bool:
        path = Path(parent, name)
        real = path.resolve()
        if new := real not in self.visited:
            self.visited.add(real)
        else:
            found, expected = f"this leads to {real}", "the images there would count twice"
            self.findings.append(_finding("folder-twice", path, found, expected, "Remove the link."))
        return new and self._is_text(path)

    def _is_usable(self, path: Path) -> bool:
        if path.is_file() or not path.exists():  # a broken link is left for the decoder to report
            return self._is_text(path)
        kind = "folder" if path.is_dir() else "pipe or device"
        found = f"this is a {kind} whose name ends like an image's"
        self.findings.append(_finding("not-a-file", path, found, "only files are read", "Remove or rename it."))
        return False

    def _is_text(self, path: Path) -> bool:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            found = "the name of this is not valid UTF-8"
            self.findings.append(_finding("not-utf8", path, found, "", "Rename it."))
            return False
        return True

    def class_folders(self, split: Path) -> list[Path]:
        """The folders directly below the split, which are its classes."""
        folders = sorted(entry for entry in split.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        return [folder for folder in folders if self._enter(str(split), folder.name)]


def _stop(error: OSError) -> None:
    raise error


def _unlistable(root: Path, error: OSError) -> DataError:
    place, found = Path(error.filename or root), f"this cannot be listed ({error.strerror})"
    repair = "Check its permissions and those of the folders above it."
    return DataError(_finding("unreadable-directory", place, found, "it must be readable", repair))


def _read_layout(root: Path) -> dict[str, dict[str, list[Path]]]:
    """The images of each split and class."""
    require(_check_root(root))
    walks = {split: _Walk(root / split) for split in _SPLITS}
    folders = {split: walk.class_folders(root / split) for split, walk in walks.items()}
    require([*_check_classes(root, folders), *(f for walk in walks.values() for f in walk.findings)])
    images = {split: {folder.name: walk.images(folder) for folder in folders[split]} for split, walk in walks.items()}
    require([*_check_filled(root, images), *(f for walk in walks.values() for f in walk.findings)])
    return images


def _finding(code: str, place: Path, found: str, expected: str, repair: str) -> Diagnostic:
    return Diagnostic(code, str(place), found, expected, repair)


def _check_root(root: Path) -> Iterator[Diagnostic]:
    expected = "a directory with train/ and test/ is needed"
    if root.is_file():
        yield _finding("not-a-directory", root, "this is a file", expected, "Unpack it and give the directory.")
    elif not root.is_dir():
        yield _finding("missing-directory", root, "there is no such directory", expected, "Check the path.")
    else:
        for split in _SPLITS:
            if not (root / split).is_dir():
                yield _finding("missing-split", root, f"there is no folder {split}/", "both splits are needed", _LAYOUT)


def _check_classes(root: Path, folders: dict[str, list[Path]]) -> Iterator[Diagnostic]:
    """Both splits have classes, and the same ones."""
    names = {split: {folder.name for folder in listed} for split, listed in folders.items()}
    for split in _SPLITS:
        if not names[split]:
            expected = "at least one folder per class is needed"
            yield _finding("no-classes", root / split, "there are no class folders", expected, _LAYOUT)
    for here, there in (_SPLITS, _SPLITS[::-1]) if all(names.values()) else ():
        for name in sorted(names[here] - names[there]):
            found, expected = f"there is a class folder {here}/{name}", f"there is no {there}/{name}"
            repair = f"Add {there}/{name} with images, or remove {here}/{name}."
            yield _finding("class-in-one-split", root, found, expected, repair)


def _check_filled(root: Path, images: dict[str, dict[str, list[Path]]]) -> Iterator[Diagnostic]:
    for split, classes in images.items():
        for name, files in classes.items():
            if not files:
                found, expected = "this class folder has no images", "at least one is needed"
                repair = "Add images (such as .png or .jpg), or remove the class from both splits."
                yield _finding("empty-class", root / split / name, found, expected, repair)


def _flatten(classes: dict[str, list[Path]]) -> FolderSplit:
    pairs = [(file, label) for label, name in enumerate(sorted(classes)) for file in classes[name]]
    return FolderSplit(tuple(file for file, _ in pairs), tuple(label for _, label in pairs))
