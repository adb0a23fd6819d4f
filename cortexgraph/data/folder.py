"""Folders of images: `train/<class>/*` and `test/<class>/*` as a data set, any folder as stimuli to show."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cortexgraph.arguments import arguments_explained
from cortexgraph.data.cache import files_key
from cortexgraph.data.decode import FileReader, VideoReader, decode_files, preparation
from cortexgraph.data.images import CLASS, Augment, ImageData, Images, Targets
from cortexgraph.data.load import (
    DIRECTORY,
    Items,
    Request,
    as_path,
    balanced_subset,
    check_count,
    load_data,
    register_data,
    require,
    source_of,
)
from cortexgraph.data.targets import read_targets, some
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.wording import count_of

SPLITS = ("train", "test")
LAYOUT = "Arrange it as train/<class>/*.png and test/<class>/*.png."

Classes = dict[str, list[Path]]
"""The images of each class, sorted."""


@register_data("folder")
def read_folder(request: Request) -> ImageData:
    """The images of a directory, with the layout of torchvision's ImageFolder.

    Hidden files and folders, and files whose name does not end like an image's (`PIL.Image.registered_extensions`), are
    left out. Links are followed, but no folder is read twice in one split. Images may lie at any depth below the folder
    of their class.

    Raises:
        DataError: if the directory is not laid out so, or images cannot be read; all that is wrong is reported at once.
    """
    root = as_path(request.source)
    try:
        if request.targets is not None or request.target != CLASS:
            return _without_classes(root, request)
        listed, findings = _read_layout(root)
        listed = {
            split: {name: _members(files, request) for name, files in each.items()} for split, each in listed.items()
        }
    except OSError as error:
        raise _unlistable(root, error) from error
    members = [item for each in listed.values() for items in each.values() for item in items]
    if lengths := _check_lengths(members, request):
        raise DataError([*findings, *lengths])
    splits = {}
    for split, classes in listed.items():
        files = [file for members in classes.values() for file in members]
        labels = [label for label, members in enumerate(classes.values()) for _ in members]
        splits[split] = _items(files, labels, root, request)
    if findings:
        require([*findings, *_unreadable(splits, request)])
    prepared = _preparation([item for items in listed["train"].values() for item in items], request)
    augment = Augment(crop_padding_px=min(request.size) // 8)
    return request.data(request.source, tuple(listed["train"]), splits, augment, prepared)


def list_folder(root: Path) -> dict[str, Classes]:
    """The images of each split and class.

    Raises:
        DataError: with everything that is wrong with the layout.
    """
    try:
        listed, findings = _read_layout(root)
    except OSError as error:
        raise _unlistable(root, error) from error
    require(findings)
    return listed


def _without_classes(root: Path, request: Request) -> ImageData:
    """The images or videos below train/ and test/, at any depth, with the targets of a CSV file, or without any."""
    require(_check_root(root))
    walks = {split: _Walk(root / split) for split in SPLITS}
    members = {split: _members(walk.images(root / split), request) for split, walk in walks.items()}
    empty = [
        _finding("no-images", root / split, "no images are here", "", LAYOUT) for split in SPLITS if not members[split]
    ]
    require([*empty, *(finding for walk in walks.values() for finding in walk.findings)])
    require(_check_lengths([item for each in members.values() for item in each], request))
    request.require_available({split: len(each) for split, each in members.items()})
    names: tuple[str, ...] = ("image",)
    targets: Mapping[str, Tensor | None] = dict.fromkeys(SPLITS)
    if request.targets is not None:
        names, targets = read_targets(request.targets, request.target, root, members, request.size, request.resize)
    splits = {}
    for split, each in members.items():
        values = targets[split]
        if values is None or request.target != CLASS:
            splits[split] = _items(each, [0] * len(each), root, request, values)
        else:
            splits[split] = _items(each, values.tolist(), root, request)
    augment, first = Augment(crop_padding_px=min(request.size) // 8), targets["train"]
    kind = Targets(request.target, () if first is None else tuple(first.shape[1:]))
    return request.data(request.source, names, splits, augment, _preparation(members["train"], request), kind)


def _items(
    members: Sequence[Path], labels: Sequence[int], root: Path, request: Request, targets: Tensor | None = None
) -> Items:
    """The files of a split, or its videos, which are known by their names below the directory and their sizes."""
    frames = request.frames
    files = members if frames is None else [file for video in members for file in frames_of(video)[:frames]]
    size, channels, resize = request.size, request.channels, request.resize
    images, arguments = FileReader(size, channels, resize, files), (files, size, channels, resize)
    read = images if frames is None else VideoReader(images, frames)
    return Items(read, labels, files_key(*arguments, root), files_key(*arguments), targets)


def _unreadable(splits: Mapping[str, Items], request: Request) -> list[Diagnostic]:
    """What cannot be read, for a report together with what is wrong with the layout; not looked for in large sets."""
    if not request.fits(len(items.labels) for items in splits.values()):
        return []
    every: list[Diagnostic] = []
    for split, items in splits.items():
        if not items.labels:
            continue
        try:
            request.split(split, items, streamed=False)
        except DataError as error:
            every += error.diagnostics
    return every


def _preparation(members: Sequence[Path], request: Request) -> str:
    """What is done to images, or to the first frames of videos, in words."""
    files = members if request.frames is None else [frames_of(video)[0] for video in members]
    return request.size_text if request.resize else preparation(files, request.size)


# ---- videos ----------------------------------------------------------------------


def frames_of(video: Path) -> list[Path]:
    """The frames in the folder of a video, in the order of the numbers in their names: 2.png before 10.png."""
    endings = Image.registered_extensions()
    files = [file for file in video.iterdir() if file.suffix.lower() in endings and not file.name.startswith(".")]
    parts = {file: re.split("([0-9]+)", file.name) for file in files}
    return sorted(files, key=lambda file: [(int(n or 0), text) for text, n in zip_longest(*[iter(parts[file])] * 2)])


def _members(files: Sequence[Path], request: Request) -> list[Path]:
    """The images, or the folders of videos that they are frames of."""
    return [*files] if request.frames is None else sorted({file.parent for file in files})


def _check_lengths(videos: Sequence[Path], request: Request) -> list[Diagnostic]:
    """Check that all videos have the same number of frames, and as many as the network needs."""
    if request.frames is None or not videos:
        return []
    lengths = {video: len(frames_of(video)) for video in videos}
    usual = Counter(lengths.values()).most_common(1)[0][0]
    root, needed = as_path(request.source), request.frames
    if others := [f"{video.relative_to(root)} {count}" for video, count in lengths.items() if count != usual]:
        found = f"{count_of(len(others), 'video')} of another length: {some(others)}"
        return [_finding("bad-video", root, found, f"the others have {count_of(usual, 'frame')}", "Make them equal.")]
    if usual < needed:
        found, expected = (
            f"the videos have {count_of(usual, 'frame')}",
            f"the network needs {needed}, one for each step",
        )
        repair = "Give longer videos, or fewer --steps. A network that predicts the next frame needs one frame more."
        return [_finding("bad-video", root, found, expected, repair)]
    return []


def read_videos(
    videos: Sequence[Path], frames: int, size: tuple[int, int], channels: int, resize: int | None = None
) -> Tensor:
    """The first frames of each folder: uint8 [N, F, C, H, W].

    Raises:
        DataError: naming every frame that cannot be read, or if videos are too short.
    """
    lengths = {video: len(frames_of(video)) for video in videos}
    if short := [f"{video} {count}" for video, count in lengths.items() if count < frames]:
        found, expected = f"{count_of(len(short), 'video')} too short: {some(short)}", f"{frames} frames are needed"
        raise DataError(Diagnostic("bad-video", "files", found, expected, "Give longer ones, or fewer --steps."))
    files = [file for video in videos for file in frames_of(video)[:frames]]
    return decode_files(files, size, channels, resize).view(len(videos), frames, channels, *size)


# ---- walking through folders --------------------------------------------------


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
        for parent, folders, names in os.walk(folder, onerror=_stop, followlinks=True):
            folders[:] = [name for name in sorted(folders) if not name.startswith(".") and self._enter(parent, name)]
            seen = [Path(parent, name) for name in names if not name.startswith(".")]
            files.extend(path for path in seen if path.suffix.lower() in endings and self._is_usable(path))
        return sorted(files)

    def class_folders(self, split: Path) -> list[Path]:
        """The folders directly below the split, which are its classes."""
        folders = sorted(entry for entry in split.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        return [folder for folder in folders if self._enter(str(split), folder.name)]

    def _enter(self, parent: str, name: str) -> bool:
        path = Path(parent, name)
        real = path.resolve()
        is_new = real not in self.visited
        if not is_new:
            expected = "the images there would count twice"
            self.findings.append(_finding("folder-twice", path, f"this leads to {real}", expected, "Remove the link."))
        self.visited.add(real)
        return is_new and self._is_text(path)

    def _is_usable(self, path: Path) -> bool:
        if path.is_file() or not path.exists():  # a broken link is left for the decoder to report
            return self._is_text(path)
        kind = "folder" if path.is_dir() else "pipe or device"
        problem = f"this is a {kind} whose name ends like an image's"
        self.findings.append(_finding("not-a-file", path, problem, "only files are read", "Remove or rename it."))
        return False

    def _is_text(self, path: Path) -> bool:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            self.findings.append(_finding("not-utf8", path, "the name of this is not valid UTF-8", "", "Rename it."))
            return False
        return True


def _stop(error: OSError) -> None:
    raise error


def _read_layout(root: Path) -> tuple[dict[str, Classes], list[Diagnostic]]:
    """The images of each split and class, the classes in alphabetical order; and what is wrong with the classes."""
    require(_check_root(root))
    walks = {split: _Walk(root / split) for split in SPLITS}
    folders = {split: walk.class_folders(root / split) for split, walk in walks.items()}
    unequal = [*_check_classes(root, folders)]
    images = {split: {folder.name: walk.images(folder) for folder in folders[split]} for split, walk in walks.items()}
    problem, expected = "this class folder has no images", "at least one is needed"
    repair = "Add images (such as .png or .jpg), or remove the class from both splits."
    empty = [
        _finding("empty-class", root / split / name, problem, expected, repair)
        for split, classes in images.items()
        for name, files in classes.items()
        if not files
    ]
    return images, [*unequal, *empty, *(f for walk in walks.values() for f in walk.findings)]


def _unlistable(root: Path, error: OSError) -> DataError:
    """For a folder without permission, too many links, a network drive that is gone."""
    place, problem = Path(error.filename or root), f"this cannot be listed ({error.strerror})"
    repair = "Check its permissions and those of the folders above it."
    return DataError(_finding("unreadable-directory", place, problem, "it must be readable", repair))


def _finding(code: str, place: Path, problem: str, expected: str, repair: str) -> Diagnostic:
    return Diagnostic(code, str(place), problem, expected, repair)


def _check_root(root: Path) -> Iterator[Diagnostic]:
    expected = "a directory with train/ and test/ is needed"
    if root.is_file():
        yield _finding("not-a-directory", root, "this is a file", expected, "Unpack it and give the directory.")
    elif not root.is_dir():
        yield _finding("missing-directory", root, "this directory does not exist", expected, "Check the path.")
    else:
        for split in SPLITS:
            if not (root / split).is_dir():
                yield _finding(
                    "missing-split", root, f"the folder {split}/ is missing", "both splits are needed", LAYOUT
                )


def _check_classes(root: Path, folders: dict[str, list[Path]]) -> Iterator[Diagnostic]:
    """Both splits have classes, and the same ones."""
    names = {split: {folder.name for folder in listed} for split, listed in folders.items()}
    for split in SPLITS:
        if not names[split]:
            expected = "at least one folder per class is needed"
            yield _finding("no-classes", root / split, "it has no class folders", expected, LAYOUT)
    for here, there in (SPLITS, SPLITS[::-1]) if all(names.values()) else ():
        for name in sorted(names[here] - names[there]):
            problem, expected = f"there is a class folder {here}/{name}", f"there is no {there}/{name}"
            repair = f"Add {there}/{name} with images, or remove {here}/{name}."
            yield _finding("class-in-one-split", root, problem, expected, repair)


# ---- stimuli -------------------------------------------------------------------


@dataclass(frozen=True)
class Stimuli:
    """Images in a fixed order, read from their files as they are needed.

    Attributes:
        name: of the source.
        classes: the class of each image; empty text without one.
        files: the file of each image, relative to the source; empty text without one.
        read: gives the images of some places as uint8 [n, C, H, W].
    """

    name: str
    classes: tuple[str, ...]
    files: tuple[str, ...]
    read: Callable[[Sequence[int]], Tensor]

    def __len__(self) -> int:
        return len(self.classes)

    def chosen(self, count: int | None, seed: int = 0) -> Stimuli:
        """This many of them, evenly over the classes, in the same order.

        Raises:
            DataError: if the folder has fewer.
        """
        require(check_count("", count, len(self)))
        names = sorted(set(self.classes))
        return self.at(balanced_subset([names.index(name) for name in self.classes], count, seed))

    def at(self, places: Sequence[int]) -> Stimuli:
        """Those at these places, in their order."""
        classes, files = (tuple(values[n] for n in places) for values in (self.classes, self.files))
        return Stimuli(self.name, classes, files, lambda some: self.read([places[n] for n in some]))

    def batches(self, size: int) -> Iterator[Tensor]:
        """uint8 [n, C, H, W], n at most `size`."""
        for start in range(0, len(self), size):
            yield self.read(range(start, min(start + size, len(self))))


@arguments_explained
def load_stimuli(
    source: str,
    *,
    size: tuple[int, int],
    channels: int,
    split: str = "test",
    resize: int | None = None,
    **arguments: Any,
) -> Stimuli:
    """The images of a source.

    Args:
        source: ``shapes``, ``cifar10``, or a folder. Of a folder with train/ and test/ that of the split is taken;
            otherwise the folder itself: its images, and those of its folders, which count as classes.
        size: (H, W) in pixels to which images are brought.
        channels: 1 or 3.
        split: train or test.
        resize: as for `load_data`.
        arguments: further ones of `load_data`, for the sources that are not a folder.

    Raises:
        DataError: if the folder has no images, or they cannot be read.
    """
    if source_of(source) != DIRECTORY or not as_path(source).is_dir():
        other = {"train_images" if split == "test" else "test_images": 1}  # the other split is not looked at
        data = load_data(source, size=size, channels=channels, **(arguments | other))
        return of_images(data.name, data.train if split == "train" else data.test, data.classes)
    root = _split_folder(as_path(source), split)
    try:
        walk = _Walk(root)
        files = walk.images(root)
    except OSError as error:
        raise _unlistable(root, error) from error
    require(walk.findings)
    if not files:
        repair = "Give a folder with images (such as .png or .jpg), or with a folder of images for each class."
        raise DataError(_finding("no-images", root, "this folder has no images", "", repair))
    inside = [file.relative_to(root) for file in files]
    classes = tuple(path.parts[0] if len(path.parts) > 1 else "" for path in inside)
    names = tuple(path.as_posix() for path in inside)
    return Stimuli(
        source, classes, names, lambda places: decode_files([files[n] for n in places], size, channels, resize)
    )


def of_images(name: str, images: Images, classes: Sequence[str]) -> Stimuli:
    """The images of a data set as stimuli."""
    labels = tuple(classes[label] for label in images.labels.tolist())
    return Stimuli(name, labels, ("",) * len(labels), lambda places: next(images.read([torch.tensor(places)]))[0])


def _split_folder(folder: Path, split: str) -> Path:
    """The folder of the split; the folder itself if it has no splits."""
    if (folder / split).is_dir():
        return folder / split
    other = "train" if split == "test" else "test"
    if (folder / other).is_dir():
        problem, expected = f"the folder {other}/ exists", f"the folder {split}/ does not"
        repair = f"Give --split {other}, or {folder / other}{os.sep}."
        raise DataError(_finding("missing-split", folder, problem, expected, repair))
    return folder
