"""What `load_data` is asked for, and whether it makes sense before anything is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from cortexgraph.data.subset import check_request
from cortexgraph.errors import DataError, Diagnostic

__all__ = ["Request", "as_path", "check", "require"]


@dataclass(frozen=True)
class Request:
    """The arguments of `cortexgraph.data.load_data`; `images` holds the wished numbers by split."""

    size: tuple[int, int]
    channels: int
    seed: int
    root: Path | None
    download: bool
    images: dict[str, int | None]
    cache: bool

    def require_available(self, available: dict[str, int]) -> None:
        """Raise DataError if more images of a split are asked for than `available` says there are."""
        require(f for split, count in available.items() for f in check_request(split, self.images[split], count))


def require(findings: Iterator[Diagnostic]) -> None:
    """Raise all findings as one DataError, if there are any."""
    if listed := list(findings):
        raise DataError(listed)


def check(source: str, request: Request, known: Collection[str]) -> Iterator[Diagnostic]:
    """Everything that is wrong with a request for `source`, given the names of the known sources."""
    if source not in known:
        yield from _check_name(source, known)
    size, channels, seed = request.size, request.channels, request.seed
    if channels not in (1, 3):
        found, repair = f"{channels} channels are asked for", "Give the network's input 1 channel (grey) or 3 (RGB)."
        yield Diagnostic("bad-channels", "channels", found, "images have 1 or 3", repair)
    if len(size) != 2 or min(size) < 1:
        expected = "a height and a width of at least 1 pixel are needed"
        yield Diagnostic("bad-size", "size", f"the size is {tuple(size)}", expected, "Give (height, width).")
    if seed < 0:
        yield Diagnostic("bad-seed", "seed", f"the seed is {seed}", "it must be 0 or more", "Give another seed.")
    for split, wanted in request.images.items():
        yield from check_request(split, wanted, None)


def _check_name(source: str, known: Collection[str]) -> Iterator[Diagnostic]:
    """Tell a mistyped name from a missing directory: a name has no separator, and no file bears it."""
    if source and (as_path(source).exists() or any(sign in source for sign in "/\\.")):
        return
    yield Diagnostic(
        code="unknown-data",
        place="data",
        found=f"«{source}» is neither a known data set nor a directory",
        expected=f"the known data sets are {', '.join(sorted(known))}",
        repair="Give one of these names, or the path of a directory with train/ and test/.",
    )


def as_path(source: str) -> Path:
    """The path that the user means; `~` is the home directory."""
    try:
        return Path(source).expanduser()
    except RuntimeError:  # the home directory of somebody unknown
        return Path(source)
