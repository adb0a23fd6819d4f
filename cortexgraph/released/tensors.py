"""The tensors of a checkpoint file, whichever library wrote it. No code in a file is run."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.extras import require
from cortexgraph.wording import shortened

WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Keys under which training scripts store the state dict."""
PREFIXES = ("module.", "model.", "network.", "net.", "_orig_mod.")
"""What wrappers such as DataParallel and Lightning put before every key."""
KERAS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
KERAS |= {"moving_variance": "running_var", "depthwise_kernel": "weight"}


def refusal(path: Path, found: str, expected: str = "", repair: str = "") -> DataError:
    """A checkpoint that cannot be read."""
    return DataError(Diagnostic("checkpoint", str(path), found, expected, repair))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors, PyTorch or Keras (HDF5) file, and the metadata of a safetensors file.

    A state dict inside other dicts is unwrapped, and a prefix that every key has is removed. Tensors of Keras get
    torch's names (`kernel` is `weight`) and order of axes. Raises DataError if the file does not exist, is not whole,
    or holds more than plain data.
    """
    if not path.is_file():
        raise refusal(path, "this is not a file" if path.exists() else "this file does not exist")
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise refusal(path, f"this file cannot be read ({error.strerror})") from None
    if head.startswith(b"\x89HDF"):
        tensors, metadata = _read_keras(path), dict[str, str]()
    elif head.startswith((b"PK", b"\x80")):
        tensors, metadata = _unwrapped(_read_torch(path)), {}
    elif head[8:] == b"{":
        tensors, metadata = _read_safetensors(path)
    else:
        expected = "the formats are .safetensors, .pth, .pt and .ckpt of torch, and .h5 of Keras"
        raise refusal(path, "this is not a file of weights", expected, "Give a file of such a format.")
    if not tensors:
        raise refusal(path, "there are no tensors in this file", repair="Give the file that holds the state dict.")
    return tensors, metadata


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError):
        raise _not_whole(path) from None


def _read_torch(path: Path) -> object:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if archive.testzip() is not None:  # compares checksums, which torch does not
                    raise _not_whole(path)
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            # A Namespace holds the options of many training scripts; torch warns of pickles that it did not write.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        if name is None:
            raise _not_of_torch(path) from None
        found = f"it holds an object of Python, `{shortened(name[1])}`, which only code in the file could make"
        repair = "Save only the tensors, with `torch.save(model.state_dict(), path)`, where you trust the file."
        raise refusal(path, found, "only tensors are read", repair) from None
    except Exception:  # torch raises whatever its unpickler met
        raise _not_of_torch(path) from None


def _not_of_torch(path: Path) -> DataError:
    repair = "Download or copy it again, or give a file of `torch.save`."
    return refusal(path, "the file is not whole, or torch did not write it", repair=repair)


def _not_whole(path: Path) -> DataError:
    return refusal(path, "the file is not whole", repair="Download or copy it again.")


def _unwrapped(value: object) -> dict[str, Tensor]:
    """The state dict in what was saved, without the prefixes that all of its keys have."""
    while isinstance(value, Mapping) and not any(isinstance(part, Tensor) for part in value.values()):
        inner = next((value[key] for key in WRAPPERS if isinstance(value.get(key), Mapping)), None)
        if inner is None:
            return {}
        value = inner
    parts = value if isinstance(value, Mapping) else {}
    tensors = {str(key): part.detach() for key, part in parts.items() if isinstance(part, Tensor)}
    while prefix := next((p for p in PREFIXES if tensors and all(key.startswith(p) for key in tensors)), ""):
        tensors = {key.removeprefix(prefix): part for key, part in tensors.items()}
    return tensors


def _read_keras(path: Path) -> dict[str, Tensor]:
    require("record")
    import h5py

    tensors: dict[str, Tensor] = {}

    def add(name: str, value: object) -> None:
        parts = name.removeprefix("model_weights/").split("/")
        leaf = parts[-1].partition(":")[0]
        owner = list(dict.fromkeys(parts[:-1]))  # Keras repeats the name of a layer
        if isinstance(value, h5py.Dataset) and value.dtype.kind == "f" and owner[:1] != ["optimizer_weights"]:
            tensors[".".join([*owner, KERAS.get(leaf, leaf)])] = _torch_axes(leaf, torch.from_numpy(value[()]))

    try:
        with h5py.File(path) as file:
            file.visititems(add)
    except (OSError, ValueError, RuntimeError, KeyError):
        raise _not_whole(path) from None
    return tensors


def _torch_axes(leaf: str, value: Tensor) -> Tensor:
    """Kernels [H, W, I, O] as [O, I, H, W], depthwise ones [H, W, I, M] as [I · M, 1, H, W], matrices transposed."""
    if leaf == "depthwise_kernel":
        return value.permute(2, 3, 0, 1).flatten(0, 1)[:, None]
    if leaf == "kernel":
        return value.permute(3, 2, 0, 1) if value.ndim == 4 else value.mT
    return value
