"""Keep decoded images on disk, so that the second run on a directory starts at once.

The cache is a convenience: where it cannot be written it is silently not used, and a damaged or outdated
entry is made anew. An entry is a safetensors file, which runs no code when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

__all__ = ["cache_folder", "cached", "files_key"]

_VERSION = "1"  # of how images are decoded; a new one makes all old entries outdated


def cache_folder() -> Path:
    """Where decoded images are kept: `cortexgraph/images` in `$XDG_CACHE_HOME` or `~/.cache`.

    A user without a home directory, as in some containers, gets one in the folder for temporary files.
    """
    return _base() / "cortexgraph" / "images"


def _base() -> Path:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():
        return given
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return Path(tempfile.gettempdir())


def files_key(files: Sequence[Path], size: tuple[int, int], channels: int) -> str:
    """A name that changes whenever one of the files (path, bytes, time of change) or the request does."""
    digest = hashlib.sha256(repr((_VERSION, size, channels)).encode())
    for file in files:
        digest.update(os.fsencode(f"\0{file.absolute()}\0{_state(file)}"))
    return digest.hexdigest()[:32]


def _state(file: Path) -> tuple[int, int] | None:
    """Bytes and time of change; None for a broken link, which is left for the decoder to report."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def cached(key: str, shape: tuple[int, ...], make: Callable[[], Tensor]) -> Tensor:
    """The uint8 tensor of this key and shape, from the cache, or else from `make` and then kept."""
    file = cache_folder() / f"{key}.safetensors"
    tensor = _read(file)
    if tensor is None or tensor.shape != shape or tensor.dtype != torch.uint8:
        tensor = make()
        with contextlib.suppress(OSError, SafetensorError):
            _write(file, tensor)
    return tensor


def _read(file: Path) -> Tensor | None:
    try:
        return load_file(file)["images"]
    except (OSError, SafetensorError, KeyError):
        return None


def _write(file: Path, tensor: Tensor) -> None:
    """Write beside the final name, then rename: a reader sees a whole file or none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".writing-", suffix=".safetensors", dir=file.parent)
    os.close(handle)
    try:
        save_file({"images": tensor}, name)
        Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)
