"""Whether data and network fit each other, said before any time is spent; and what identifies the data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cortexgraph.data import ImageData
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.spec import NetworkSpec, ReadoutSpec

__all__ = ["check_fit", "data_card"]


def check_fit(spec: NetworkSpec, data: ImageData) -> None:
    """Compare classes, channels and size.

    Raises:
        DataError: with one finding for each that differs, and the override that repairs it.
    """
    channels, *size = data.train.images.shape[1:]
    declared = spec.input.size
    wanted = [declared, declared] if isinstance(declared, int) else list(declared)
    findings = [
        *(_mismatch(path, readout.classes, len(data.classes), "classes") for path, readout in _readouts(spec)),
        _mismatch("input.channels", spec.input.channels, channels, "channels"),
        _mismatch("input.size", wanted, size, "pixels (height, width)"),
    ]
    if found := [finding for finding in findings if finding is not None]:
        raise DataError(found)


def _readouts(spec: NetworkSpec) -> list[tuple[str, ReadoutSpec]]:
    alone = len(spec.readouts) == 1
    return [("readout.classes" if alone else f"readout[{n}].classes", r) for n, r in enumerate(spec.readouts)]


def _mismatch(path: str, declared: object, found: object, unit: str) -> Diagnostic | None:
    if declared == found:
        return None
    return Diagnostic(
        "data-mismatch",
        path,
        f"the network declares {_text(declared)}",
        f"the data has {_text(found)} {unit}",
        f"Give --set {path}={_value(found)}, or other data.",
    )


def _text(value: object) -> str:
    return " × ".join(map(str, value)) if isinstance(value, list) else str(value)


def _value(value: object) -> str:
    return f"'[{', '.join(map(str, value))}]'" if isinstance(value, list) else str(value)


def data_card(data: ImageData, origin: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a run keeps of its data: enough to load it again, to normalise and augment alike, and to notice a change.

    Args:
        data: the images.
        origin: the arguments of `load_data` that made them.
    """
    digest = hashlib.sha256()
    for split in (data.train, data.test):
        digest.update(str(tuple(split.images.shape)).encode())
        digest.update(split.images.contiguous().numpy().data)
        digest.update(split.labels.contiguous().numpy().data)
    return {
        "name": data.name,
        "classes": list(data.classes),
        "train_images": len(data.train),
        "test_images": len(data.test),
        "mean": list(data.mean),
        "std": list(data.std),
        "augment": asdict(data.augment),
        "sha256": digest.hexdigest(),
        "load_data": dict(origin) if origin is not None else None,
    }
