"""`load_data`: from the name of a source to images in memory or streamed, and the registry of sources.

A source is one file with a function that is registered by `register_data`, and one line in `cortexgraph.data`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cortexgraph.arguments import arguments_explained
from cortexgraph.data.cache import cached
from cortexgraph.data.decode import VERSION, Reader, check_memory, decode_all, fits
from cortexgraph.data.images import CLASS, Augment, ImageData, Images, LabelledImages, Targets, level_counts
from cortexgraph.data.stream import StreamedImages, usual_workers
from cortexgraph.data.targets import NOTHING, TARGETS
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.wording import quoted, suggest_registered

SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(k|M|G|T)?B?", re.IGNORECASE)
FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True)
class Items:
    """The images of a split as a source lists them: read one at a time, so that they need not fit into memory.

    Attributes:
        read: gives image n, from 0, as uint8 [C, H, W] in the requested size; worker processes call it, so it must
            pickle. It raises a DataError that names what cannot be read.
        labels: index of each image's class, [N].
        identity: a text that changes whenever the images do, such as a digest.
        key: changes whenever the images on this machine do; under it, they are kept in the user's cache. None for not.
        targets: what the network learns to give for each image, [N, …], where that is not its class.
    """

    read: Reader
    labels: Sequence[int]
    identity: str
    key: str | None = None
    targets: Tensor | None = None


@dataclass(frozen=True)
class Request:
    """The arguments of `load_data`; `images` holds the requested numbers by split.

    Attributes:
        memory: bytes that all images together may take in memory; None for half of the machine's.
        workers: processes that read images which are streamed.
        processes: of this machine, each of which holds the images.
        frames: how many to read of each video; None for images.
    """

    source: str
    size: tuple[int, int]
    channels: int
    seed: int
    root: Path | None
    download: bool
    images: dict[str, int | None]
    cache: bool
    resize: int | None = None
    targets: Path | None = None
    target: str = CLASS
    memory: int | None = None
    workers: int = 0
    frames: int | None = None
    processes: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the images that are asked for: channels, height, width."""
        return self.channels, *self.size

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Of what is read at a time: an image, or a video [F, C, H, W]."""
        return self.shape if self.frames is None else (self.frames, *self.shape)

    @property
    def size_text(self) -> str:
        """How images of other sizes are brought to that which is asked for."""
        height, width = self.size
        if self.resize:
            return f"resized to a shorter side of {self.resize} pixels, of which the middle {height} × {width} is used"
        return f"cropped around their middle and resized to {height} × {width} pixels"

    def fits(self, counts: Iterable[int]) -> bool:
        """Whether splits with these numbers of images fit into memory together, in every process."""
        return fits(sum(counts) * (self.frames or 1) * self.processes, self.size, self.channels, self.memory)

    def split(self, split: str, items: Items, *, streamed: bool) -> Images:
        """The images of a split that are asked for, in memory or streamed.

        Raises:
            DataError: naming the images that cannot be read.
        """
        chosen = self.subset(split, items.labels)
        labels = torch.tensor(items.labels, dtype=torch.int64)[chosen]
        targets = None if items.targets is None else items.targets[chosen]
        if streamed:
            numbers, shape = torch.tensor(chosen), self.shape
            own = items.read, numbers, labels, shape, items.identity, targets
            return StreamedImages(*own, workers=self.workers, frames=self.frames)
        images = self._kept(
            items, chosen, (len(chosen), *self.item_shape), lambda: decode_all(items.read, chosen, self.item_shape)
        )
        return LabelledImages(images, labels, targets)

    def data(
        self,
        name: str,
        classes: Sequence[str],
        splits: Mapping[str, Items],
        augment: Augment | None = None,
        preparation: str = "",
        targets: Targets | None = None,
    ) -> ImageData:
        """The data set of the images that are asked for: in memory where they fit, else streamed.

        Args:
            name: of the data set.
            classes: their names.
            splits: under `train` and `test`.
            augment, preparation, targets: as for `ImageData.of`.

        Raises:
            DataError: if more images are asked for than there are, or, in both splits, some cannot be read.
        """
        available = {split: len(items.labels) for split, items in splits.items()}
        self.require_available(available)
        require(
            Diagnostic("no-images", split, "it has no images", repair="Give at least one.")
            for split, count in available.items()
            if not count
        )
        counts = {split: self.images[split] or count for split, count in available.items()}
        if not fits(1, self.size, self.channels):
            check_memory(counts["train"], self.size, self.channels)
        streamed = not self.fits(counts.values())
        images: dict[str, Images] = {}
        findings: list[Diagnostic] = []
        for split, items in splits.items():
            try:
                images[split] = self.split(split, items, streamed=streamed)
            except DataError as error:
                findings += error.diagnostics
        require(findings)
        return ImageData.of(name, classes, images, augment, preparation, targets, self.counts(splits, images))

    def counts(self, splits: Mapping[str, Items], images: Mapping[str, Images]) -> Tensor | None:
        """The levels of streamed training images, which take a pass over them unless the cache has them."""
        train, items = images.get("train"), splits.get("train")
        if not isinstance(train, StreamedImages) or items is None:
            return None
        chosen = ["levels", *train.numbers.tolist()]
        return self._kept(items, chosen, (self.channels, 256), lambda: level_counts(train), torch.int64)

    def _kept(
        self,
        items: Items,
        of: Sequence[object],
        shape: tuple[int, ...],
        make: Callable[[], Tensor],
        dtype: torch.dtype = torch.uint8,
    ) -> Tensor:
        """A tensor from the cache, if images are kept there, or made."""
        if items.key is None or not self.cache:
            return make()
        key = hashlib.sha256(f"{VERSION} {items.key} {self.shape} {self.resize} {list(of)}".encode()).hexdigest()[:32]
        return cached(key, shape, make, dtype)

    def subset(self, split: str, labels: Sequence[int]) -> list[int]:
        """Indices of the images of a split that are asked for."""
        return balanced_subset(labels, self.images[split], self.seed)

    def require_available(self, available: dict[str, int]) -> None:
        """Raise DataError if more images of a split are asked for than `available` says there are."""
        require(f for split, count in available.items() for f in check_count(split, self.images[split], count))


Source = Callable[[Request], ImageData]

SOURCES: dict[str, Source] = {}
"""Data sets by name."""

ACCEPTS: dict[str, Callable[[Path], bool]] = {}
"""Of the data sets that are paths and not names: whether a path is one of them."""

DIRECTORY = "folder"
"""The source of every other path."""


@arguments_explained
def register_data(name: str, *, accepts: Callable[[Path], bool] | None = None) -> Callable[[Source], Source]:
    """Decorator that adds a data set to those that `load_data` and `--data` know by name.

    Args:
        name: of the data set, or of the format.
        accepts: of a format: whether a path is of it. `load_data` and `--data` then take such paths, not the name.

    Raises:
        ValueError: if the name is taken.

    Examples:
        >>> @register_data("blank")
        ... def blank(request: Request) -> ImageData: ...
        >>> SOURCES.pop("blank") is blank
        True
    """

    def add(read: Source) -> Source:
        if name in SOURCES:
            raise ValueError(f"data set `{name}` is registered already")
        SOURCES[name] = read
        if accepts is not None:
            ACCEPTS[name] = accepts
        return read

    return add


@arguments_explained
def load_data(
    source: str,
    *,
    size: tuple[int, int],
    channels: int,
    seed: int = 0,
    root: str | Path | None = None,
    download: bool = False,
    train_images: int | None = None,
    test_images: int | None = None,
    cache: bool = True,
    resize: int | None = None,
    targets: str | Path | None = None,
    target: str = CLASS,
    memory: int | str | None = None,
    workers: int | None = None,
    frames: int | None = None,
    processes: int = 1,
) -> ImageData:
    """Load a data set: into memory where it fits, else to be read as it is needed.

    Args:
        source: ``shapes`` (built in), ``cifar10``, another registered name, or a directory `train/<class>/*`,
            `test/<class>/*` (write ``./shapes`` for a directory of such a name), or another format (docs/data.md).
        size: (H, W) in pixels, such as ``(32, 32)``, to which images are brought where they differ.
        channels: 1 (luminance) or 3 (RGB).
        seed: of the built-in data, and of the choice where fewer images are asked for than there are.
        root: the folder of CIFAR-10; by default one in the user's cache.
        download: whether CIFAR-10 may be downloaded into `root`.
        train_images: how many, evenly over the classes; None for all (shapes: 20,000).
        test_images: the same for test images (shapes: 2,000).
        cache: whether the decoded images of a directory are kept in, and read from, the user's cache.
        resize: of a directory: bring the shorter side to this length, then cut out the middle at `size`.
        targets: a CSV file with a row for each image of a directory, whose images then need no folders of classes.
        target: what its columns are: `class`, `labels`, `numbers`, `class-map` or `number-map` (docs/tasks.md);
            `nothing` for images that need none.
        memory: what the images may take in memory, in bytes or such as ``2GB``; by default half of the machine's.
        workers: processes that read images where they do not fit into that; by default one for each processor, at
            most eight, shared by `processes`. 0 reads them in this process.
        frames: how many frames to read of each video of a directory, whose innermost folders are the videos.
        processes: how many of this machine train at a time (`devices`, runs), each of which holds the images.

    Raises:
        DataError: with everything that is wrong with the request or the files.
    """
    counts = {"train": train_images, "test": test_images}
    root = Path(root) if root is not None else None
    request = Request(
        source,
        size,
        channels,
        seed,
        root,
        download,
        counts,
        cache,
        resize,
        targets=None if targets is None else Path(targets),
        target=target,
        memory=read_size(memory),
        workers=max(1, usual_workers() // processes) if workers is None else workers,
        frames=frames,
        processes=processes,
    )
    require(_check(request))
    return SOURCES[source_of(source)](request)


def is_name(source: str) -> bool:
    """Whether this is the name of a registered data set, not a path."""
    return source in SOURCES and source != DIRECTORY and source not in ACCEPTS


def source_of(source: str) -> str:
    """The registered data set that reads what `load_data` was given."""
    if is_name(source):
        return source
    return next((name for name, accepts in ACCEPTS.items() if accepts(as_path(source))), DIRECTORY)


def read_size(memory: int | str | None) -> int | None:
    """A number of bytes, which may be written as 500MB or 2.5GB.

    Raises:
        DataError: for another text, or a negative number.
    """
    if memory is None or (isinstance(memory, int) and memory >= 0):
        return memory
    match = SIZE.fullmatch(str(memory).strip())
    if match is None:
        expected, repair = "it must be a size in bytes", "Write for example 500MB or 2GB."
        raise DataError(Diagnostic("bad-memory", "memory", f"{memory!r} was given", expected, repair))
    return int(float(match[1]) * FACTORS[(match[2] or "").lower()])


def require(findings: Iterable[Diagnostic]) -> None:
    """Raise all findings as one DataError, if there are any."""
    if listed := list(findings):
        raise DataError(listed)


def as_path(source: str) -> Path:
    """The path that the user means; `~` is the home directory."""
    try:
        return Path(source).expanduser()
    except RuntimeError:  # the home directory of an unknown user
        return Path(source)


def _check(request: Request) -> Iterator[Diagnostic]:
    """Everything that is wrong with a request before anything is read."""
    source, size, channels, seed = request.source, request.size, request.channels, request.seed
    if not is_name(source) and not _looks_like_path(source):
        found = f"`{source}` is neither a known data set nor a directory"
        expected = f"the known data sets are {', '.join(sorted(filter(is_name, SOURCES)))}"
        otherwise = "Give one of these names, or the path of a directory with train/ and test/."
        repair = suggest_registered(source, [*filter(is_name, SOURCES)], otherwise)
        yield Diagnostic("unknown-data", "data", found, expected, repair)
    if channels not in (1, 3):
        repair = "Give the network's input 1 channel (grey) or 3 (RGB)."
        yield Diagnostic("bad-channels", "channels", f"{channels} channels are asked for", "images have 1 or 3", repair)
    if not (isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(n, Integral) and n > 0 for n in size)):
        expected = "a height and a width of at least 1 pixel are needed"
        yield Diagnostic("bad-size", "size", f"the size is {size}", expected, "Give (height, width), such as (32, 32).")
    elif request.resize is not None and request.resize < min(size):
        found, expected = f"{request.resize} pixels were given", f"the images are to have {min(size)}"
        yield Diagnostic("bad-resize", "resize", found, expected, f"Give at least {min(size)}, or leave --resize out.")
    if request.workers < 0:
        found, repair = f"{request.workers} workers are asked for", "Give a number of processes, or 0 for none."
        yield Diagnostic("bad-workers", "workers", found, "it must be 0 or more", repair)
    if seed < 0:
        yield Diagnostic("bad-seed", "seed", f"the seed is {seed}", "it must be 0 or more", "Give another seed.")
    if request.targets is not None and source_of(source) != DIRECTORY:
        found, repair = f"`{source}` has targets of its own", "Leave --targets out, or give a directory of images."
        yield Diagnostic("bad-targets", "targets", found, repair=repair)
    known = [*TARGETS, NOTHING]
    if request.target not in known:
        repair = suggest_registered(request.target, known)
        found, expected = f"`{request.target}` is not registered", f"the names are {quoted(known)}"
        yield Diagnostic("bad-targets", "target", found, expected, repair)
    elif request.target not in {CLASS, NOTHING} and request.targets is None and source_of(source) == DIRECTORY:
        found, repair = f"the targets are to be of the kind `{request.target}`", "Give them with --targets FILE."
        yield Diagnostic("bad-targets", "targets", found, "a folder of images has classes alone", repair)
    if request.frames is not None and source_of(source) != DIRECTORY:
        found, repair = f"`{source}` has images", "Leave --video out, or give a directory with a folder for each video."
        yield Diagnostic("bad-video", "frames", found, repair=repair)
    for split, count in request.images.items():
        yield from check_count(split, count, None)


def _looks_like_path(source: str) -> bool:
    """Tell a missing directory from a mistyped name, which has no separator."""
    return bool(source) and (as_path(source).exists() or any(sign in source for sign in "/\\."))


# ---- subsets -----------------------------------------------------------------


def check_count(split: str, count: int | None, available: int | None) -> list[Diagnostic]:
    """Check a request for `count` images of a split, or of all with ``""``; `available` is None for any number."""
    place = f"{split}_images" if split else "images"
    if count is not None and count < 1:
        expected, repair = "it must be 1 or more", "Give a positive number."
    elif count is not None and available is not None and count > available:
        expected = f"the {split} split has {available}" if split else f"there are {available}"
        repair = f"Give at most {available}, or leave {place} out to use all."
    else:
        return []
    return [Diagnostic("image-count", place, f"{count} images are asked for", expected, repair)]


def balanced_subset(labels: Sequence[int], count: int | None, seed: int, *, proportional: bool = False) -> list[int]:
    """Indices of `count` of the images with these labels (None: all), in their order; the seed decides which.

    Every class gives the same number (±1) as long as it has enough; what a small class lacks is taken from the others.
    With `proportional`, every class gives the same share of its images instead (rounded as Webster does).
    """
    if count is None or count == len(labels):
        return list(range(len(labels)))
    rng = np.random.Generator(np.random.PCG64(seed))
    shuffled = rng.permutation(len(labels))
    by_class = np.asarray(labels)[shuffled]
    rank = np.empty(len(labels))  # place of each image within its own class, after shuffling
    for label in np.unique(by_class):
        members = np.flatnonzero(by_class == label)
        rank[members] = (np.arange(len(members)) + 0.5) / len(members) if proportional else np.arange(len(members))
    chosen = shuffled[np.lexsort((by_class, rank))[:count]]
    return sorted(chosen.tolist())
