"""Files that recordings are streamed into: NetCDF, and NumPy's npz. Neither holds more than a batch in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.extras import require

__all__ = ["FLOAT_BYTES", "SINKS", "Sink", "Variable", "check_sink"]

FLOAT_BYTES = 4
CHUNK_BYTES = 1 << 20

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Variable:
    """A variable whose first axis is the image; it is appended to, batch by batch.

    Attributes:
        name: in the file.
        group: that it stands in; empty for the top.
        dimensions: names and sizes of its axes.
        coordinates: values along axes.
        attributes: what is noted with it.
    """

    name: str
    group: str
    dimensions: Mapping[str, int]
    coordinates: Mapping[str, tuple[str, Array]] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dimensions.values())


class Sink(Protocol):
    """A file that is written batch by batch."""

    def __init__(self, path: Path, variables: Sequence[Variable], attributes: Mapping[str, str]) -> None: ...

    def open(self) -> None:
        """Start the file."""

    def append(self, index: int, start: int, values: Array) -> None:
        """Write the values of the images from `start` on into a variable."""

    def read(self, index: int, images: Sequence[int], step: int) -> Array:
        """The values [image, …] of some images (rising) at one place along the second axis."""

    def close(self) -> None:
        """Write what is not yet written."""

    def discard(self) -> None:
        """Close without finishing."""


class _Disk:
    """A file for HDF5, which crashes the process when a write fails: it is told that all went well, and ends in peace.

    Attributes:
        error: the first error.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self.error: OSError | None = None
        self.seek, self.tell, self.flush = self._file.seek, self._file.tell, self._file.flush
        self.read, self.readinto, self.close = self._file.read, self._file.readinto, self._file.close

    def write(self, data: memoryview) -> int:
        written = 0
        try:
            while written < len(data) and self.error is None:
                written += self._file.write(data[written:])
        except OSError as error:
            self.error = error
        self._file.seek(len(data) - written, os.SEEK_CUR)
        return len(data)

    def truncate(self, size: int) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size


class NetCDF:
    """NetCDF 4: a group for each area, and the logits at the top."""

    def __init__(self, path: Path, variables: Sequence[Variable], attributes: Mapping[str, str]) -> None:
        self._disk, self._variables, self._attributes = _Disk(path), variables, attributes

    def open(self) -> None:
        import h5netcdf

        self._file = h5netcdf.File(self._disk, "w")
        self._file.attrs.update(self._attributes)
        self._stored = [self._variable(variable) for variable in self._variables]
        self._check()

    def _check(self) -> None:
        if self._disk.error is not None:
            raise self._disk.error

    def _variable(self, variable: Variable) -> Any:
        import h5py

        group = self._file.create_group(variable.group) if variable.group else self._file
        for name, size in variable.dimensions.items():
            if name not in group.dimensions:
                group.dimensions[name] = size
        for name, (axis, values) in variable.coordinates.items():
            if name in group.variables:
                continue
            if values.dtype.kind == "U":
                group.create_variable(name, (axis,), data=values.astype(object), dtype=h5py.string_dtype())
            else:
                group.create_variable(name, (axis,), data=values)
        inner = max(1, prod(variable.shape[2:]) * FLOAT_BYTES)
        chunks = (max(1, min(variable.shape[0], CHUNK_BYTES // inner)), 1, *variable.shape[2:])
        stored = group.create_variable(variable.name, tuple(variable.dimensions), dtype="float32", chunks=chunks)
        stored.attrs.update(variable.attributes)
        if "area" in variable.attributes:
            group.attrs["area"] = variable.attributes["area"]
        return stored

    def append(self, index: int, start: int, values: Array) -> None:
        self._stored[index][start : start + len(values)] = values
        self._check()

    def read(self, index: int, images: Sequence[int], step: int) -> Array:
        return np.stack([self._stored[index][image, step] for image in images])

    def close(self) -> None:
        self.discard()
        self._check()

    def discard(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
        self._disk.close()


class Npz:
    """NumPy's npz: each variable streams into a file of its own, and all are packed together at the end."""

    def __init__(self, path: Path, variables: Sequence[Variable], attributes: Mapping[str, str]) -> None:
        self._path, self._variables, self._attributes = path, variables, attributes
        self._folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
        self._files: list[BinaryIO] = []
        self._starts: list[int] = []

    def open(self) -> None:
        for index, variable in enumerate(self._variables):
            self._files.append((self._folder / f"{index}.npy").open("w+b"))
            header = {"descr": "<f4", "fortran_order": False, "shape": variable.shape}
            np.lib.format.write_array_header_1_0(self._files[-1], header)
            self._starts.append(self._files[-1].tell())

    def append(self, index: int, start: int, values: Array) -> None:
        assert self._files[index].tell() == self._at(index, start)
        self._files[index].write(np.ascontiguousarray(values, dtype="<f4").data)

    def _at(self, index: int, start: int) -> int:
        return self._starts[index] + start * prod(self._variables[index].shape[1:]) * FLOAT_BYTES

    def read(self, index: int, images: Sequence[int], step: int) -> Array:
        file, shape = self._files[index], self._variables[index].shape[2:]
        size = prod(shape) * FLOAT_BYTES
        values = []
        for image in images:
            file.seek(self._at(index, image) + step * size)
            values.append(np.frombuffer(file.read(size), "<f4").reshape(shape))
        return np.stack(values)

    def close(self) -> None:
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for index, variable in enumerate(self._variables):
                self._files[index].close()
                archive.write(self._folder / f"{index}.npy", f"{variable.group or variable.name}.npy")
                (self._folder / f"{index}.npy").unlink()
            for name, values in self._notes().items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, values, allow_pickle=False)
        self.discard()

    def _notes(self) -> dict[str, Array]:
        """The coordinates, those of areas under the area's name, and the attributes."""
        notes: dict[str, Array] = {name: np.asarray(value) for name, value in self._attributes.items()}
        for variable in self._variables:
            for name, (axis, values) in variable.coordinates.items():
                notes[name if axis == "image" else f"{variable.group or variable.name}_{name}"] = values
        return notes

    def discard(self) -> None:
        for file in self._files:
            with suppress(OSError):  # what is still in the buffer may not fit on the disk
                file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


SINKS: dict[str, type[Sink]] = {".nc": NetCDF, ".npz": Npz}
"""The sink for each suffix of a recording's file."""


def check_sink(path: Path, numbers: int) -> None:
    """Whether so many numbers can be recorded into this file, said before anything is computed.

    Raises:
        DataError: for an unknown suffix, a missing folder, or too small a disk.
        MissingPackageError: if the packages that write NetCDF are not installed.
    """
    if findings := [*_check_name(path)]:
        raise DataError(findings)
    if path.suffix == ".nc":
        require("record")
    needed = numbers * FLOAT_BYTES * (2 if path.suffix == ".npz" else 1)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(
            Diagnostic(
                "disk-full",
                str(path),
                f"the recording takes {needed / 1e9:.1f} GB",
                f"{free / 1e9:.1f} GB are free there",
                "Record fewer areas, steps or images, or name a folder on another disk.",
            )
        )


def _check_name(path: Path) -> list[Diagnostic]:
    findings = []
    if path.suffix not in SINKS:
        found = f"the suffix is `{path.suffix}`" if path.suffix else "the file name has no suffix"
        repair = f"Name the file {path.with_suffix('.nc').name}." if path.name else "Name a file, such as acts.nc."
        findings.append(Diagnostic("unknown-format", str(path), found, "recordings are .nc (NetCDF) or .npz", repair))
    if not path.parent.is_dir():
        found, repair = f"there is no folder {path.parent}", "Make it, or name another."
        findings.append(Diagnostic("unwritable", str(path), found, repair=repair))
    elif path.is_dir():
        findings.append(Diagnostic("unwritable", str(path), "this is a folder", repair="Name a file."))
    return findings
