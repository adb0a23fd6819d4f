"""Files of a run, written whole or not at all, and tensors with a digest of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from cortexgraph.files import replacing, write_text

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["save_tensors", "tensors_digest", "write_json", "writing"]


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary file that becomes `path` when the block ends well, once its bytes are on the disk.

    Until then a file of that name stays as it was: at no time is it missing or half written.
    """
    with replacing(path, devices=False) as temporary:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())


def tensors_digest(state: Mapping[str, Tensor]) -> str:
    """A digest of the names, types, shapes and bytes of tensors."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_tensors(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors of a processor as safetensors, with a digest of them, whole or not at all."""
    from safetensors.torch import save_file

    with writing(path) as temporary:
        save_file(dict(state), temporary, metadata={**metadata, "tensors_sha256": tensors_digest(state)})


def write_json(path: Path, content: BaseModel | Mapping[str, Any]) -> None:
    """Write a JSON object for people and programs, whole or not at all."""
    values = content.model_dump(mode="json", exclude_unset=True) if isinstance(content, BaseModel) else content
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n", devices=False)
