"""The user's cache of decoded images.

It is a convenience: where it cannot be written it is not used, and a damaged or outdated entry is replaced. An entry is
a safetensors file, which runs no code when it is read.
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

from cortexgraph.data.decode import VERSION
from cortexgraph.errors import DataError
from cortexgraph.files import replacing


def cache_folder() -> Path:
    """Where decoded images are kept: `cortexgraph/images` in `$XDG_CACHE_HOME` or `~/.cache`.

    A user without a home directory, as in some containers, gets one in the folder for temporary files.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError:
            base = Path(tempfile.gettempdir())
    return base / "cortexgraph" / "images"


def files_key(
    files: Sequence[Path], size: tuple[int, int], channels: int, resize: int | None = None, below: Path | None = None
) -> str:
    """A name that changes whenever one of the files (path, bytes, time of change) or the request does.

    With `below`, only the path below this folder and the bytes count, which are the same in a copy of the folder.
    """
    digest = hashlib.sha256(repr((VERSION, size, channels, *([resize] if resize else []))).encode())
    for file in files:
        state: object = None  # of a broken link, which is left for the decoder to report
        with contextlib.suppress(OSError):
            status = file.stat()
            state = status.st_size if below else (status.st_size, status.st_mtime_ns)
        path = file.relative_to(below) if below else file.absolute()
        digest.update(os.fsencode(f"\0{path}\0{state}"))
    return digest.hexdigest()[:32]


def cached(key: str, shape: tuple[int, ...], decode: Callable[[], Tensor], dtype: torch.dtype = torch.uint8) -> Tensor:
    """The tensor of this key, shape and type, from the cache, or else from `decode` and then kept."""
    file = cache_folder() / f"{key}.safetensors"
    tensor = None
    with contextlib.suppress(OSError, SafetensorError, KeyError):
        tensor = load_file(file)["images"]
    if tensor is None or tensor.shape != shape or tensor.dtype != dtype:
        tensor = decode()
        with contextlib.suppress(OSError, SafetensorError, DataError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary:
                save_file({"images": tensor}, temporary)
    return tensor
