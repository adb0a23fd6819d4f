"""`load_data`: from the name of a source to images in memory, and the registry of sources.

A source is one file with a function that is registered by `register_data`, and one line in `cortexgraph.data`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np

from cortexgraph.arguments import arguments_explained
from cortexgraph.data.images import CLASS, ImageData
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.wording import suggest

__all__ = ["SOURCES", "Request", "as_path", "balanced_subset", "check_count", "load_data", "register_data", "require"]


@dataclass(frozen=True)
class Request:
    """The arguments of `load_data`; `images` holds the requested numbers by split."""

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

    def subset(self, split: str, labels: Sequence[int]) -> list[int]:
        """Indices of the images of a split that are asked for."""
        return balanced_subset(labels, self.images[split], self.seed)

    def require_available(self, available: dict[str, int]) -> None:
        """Raise DataError if more images of a split are asked for than `available` says there are."""
        require(f for split, count in available.items() for f in check_count(split, self.images[split], count))


Reader = Callable[[Request], ImageData]

SOURCES: dict[str, Reader] = {}
"""Data sets by name."""

DIRECTORY = "folder"
"""The source of everything that is not a name."""


@arguments_explained
def register_data(name: str) -> Callable[[Reader], Reader]:
    """Decorator that adds a data set to those that `load_data` and `--data` know by name.

    Raises:
        ValueError: if the name is taken.

    Examples:
        >>> @register_data("noise")
        ... def noise(request: Request) -> ImageData: ...
    """

    def add(read: Reader) -> Reader:
        if name in SOURCES:
            raise ValueError(f"data set `{name}` is registered already")
        SOURCES[name] = read
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
) -> ImageData:
    """Load a data set.

    Args:
        source: ``shapes`` (built in), ``cifar10``, another registered name, or a directory `train/<class>/*`,
            `test/<class>/*` (write ``./shapes`` for a directory of such a name).
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
        target: what its columns are: `class`, `labels`, `numbers`, `class-map` or `number-map` (docs/tasks.md).

    Raises:
        DataError: with everything that is wrong with the request or the files.
    """
    counts = {"train": train_images, "test": test_images}
    root = Path(root) if root is not None else None
    table = None if targets is None else Path(targets)
    request = Request(source, size, channels, seed, root, download, counts, cache, resize, table, target)
    require(_check(request))
    return SOURCES[source if is_name(source) else DIRECTORY](request)


def is_name(source: str) -> bool:
    """Whether this is the name of a registered data set, not a directory."""
    return source in SOURCES and source != DIRECTORY


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
        repair = suggest(source, [name for name in SOURCES if is_name(name)], otherwise)
        yield Diagnostic("unknown-data", "data", found, expected, repair)
    if channels not in (1, 3):
        repair = "Give the network's input 1 channel (grey) or 3 (RGB)."
        yield Diagnostic("bad-channels", "channels", f"{channels} channels are asked for", "images have 1 or 3", repair)
    if not (isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(n, Integral) and n > 0 for n in size)):
        expected = "a height and a width of at least 1 pixel are needed"
        yield Diagnostic("bad-size", "size", f"the size is {size}", expected, "Give (height, width), such as (32, 32).")
    if seed < 0:
        yield Diagnostic("bad-seed", "seed", f"the seed is {seed}", "it must be 0 or more", "Give another seed.")
    if request.targets is not None and is_name(source):
        found, repair = f"`{source}` has targets of its own", "Leave --targets out, or give a directory of images."
        yield Diagnostic("bad-targets", "targets", found, repair=repair)
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
