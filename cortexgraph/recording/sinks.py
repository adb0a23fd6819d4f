"""Files that recordings are streamed into: NetCDF, and NumPy's npz. Neither holds more than a batch in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.extras import require
from cortexgraph.files import unwritable
from cortexgraph.graph.names import Namespace
from cortexgraph.wording import count_text

TABLES = (".csv", ".json")
"""Files that hold the measures of a protocol in place of states."""
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


class _Disk:
    """A file for HDF5, which crashes the process when a write fails: HDF5 is told that each write succeeded.

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
        """Start the file."""
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
            text = {"dtype": h5py.string_dtype()} if values.dtype.kind == "U" else {}
            if name not in group.variables:
                group.create_variable(name, (axis,), data=values.astype(object) if text else values, **text)
        inner = max(1, prod(variable.shape[2:]) * FLOAT_BYTES)
        chunks = (max(1, min(variable.shape[0], CHUNK_BYTES // inner)), 1, *variable.shape[2:])
        stored = group.create_variable(variable.name, tuple(variable.dimensions), dtype="float32", chunks=chunks)
        stored.attrs.update(variable.attributes)
        if "area" in variable.attributes:
            group.attrs["area"] = variable.attributes["area"]
        return stored

    def append(self, index: int, start: int, values: Array) -> None:
        """Write the values of the images from `start` on into a variable."""
        self._stored[index][start : start + len(values)] = values
        self._check()

    def read(self, index: int, images: Sequence[int], step: int) -> Array:
        """The values [image, …] of some images (rising) at one place along the second axis."""
        return np.stack([self._stored[index][image, step] for image in images])

    def close(self) -> None:
        """Write what is not yet written."""
        self.discard()
        self._check()

    def discard(self) -> None:
        """Close without finishing."""
        if hasattr(self, "_file"):
            self._file.close()
        self._disk.close()


class Npz:
    """NumPy's npz: each variable streams into its own file, and all are packed together at the end."""

    def __init__(self, path: Path, variables: Sequence[Variable], attributes: Mapping[str, str]) -> None:
        self._path, self._variables, self._attributes = path, variables, attributes
        self._folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
        self._files: list[BinaryIO] = []

    def open(self) -> None:
        """Start the file."""
        for index, variable in enumerate(self._variables):
            self._files.append((self._folder / f"{index}.npy").open("wb"))
            header = {"descr": "<f4", "fortran_order": False, "shape": variable.shape}
            np.lib.format.write_array_header_1_0(self._files[-1], header)

    def append(self, index: int, start: int, values: Array) -> None:
        """Write the values of the next images into a variable."""
        self._files[index].write(np.ascontiguousarray(values, dtype="<f4").data)

    def read(self, index: int, images: Sequence[int], step: int) -> Array:
        """The values [image, …] of some images at one place along the second axis."""
        self._files[index].flush()
        stored: Array = np.load(self._folder / f"{index}.npy", mmap_mode="r")
        return np.array(stored[images, step])

    def close(self) -> None:
        """Write what is not yet written: the variables, then coordinates (an area's under its name) and attributes."""
        notes: list[tuple[str, Array]] = [(name, np.asarray(value)) for name, value in self._attributes.items()]
        members = Namespace(frozenset(variable.group or variable.name for variable in self._variables))
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for index, variable in enumerate(self._variables):
                name = variable.group or variable.name
                self._files[index].close()
                archive.write(self._folder / f"{index}.npy", f"{name}.npy")
                (self._folder / f"{index}.npy").unlink()
                for key, (axis, values) in variable.coordinates.items():
                    notes.append((key if axis == "image" else f"{name}_{key}", values))
            for name, values in dict(notes).items():
                with archive.open(f"{members.claim(name)}.npy", "w", force_zip64=True) as member:  # an area goes first
                    np.lib.format.write_array(member, values, allow_pickle=False)
        self.discard()

    def discard(self) -> None:
        """Close without finishing."""
        for file in self._files:
            with suppress(OSError):  # what is still in the buffer may not fit on the disk
                file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


Sink = NetCDF | Npz


@contextmanager
def opened_sink(path: Path, variables: Sequence[Variable], attributes: Mapping[str, str]) -> Iterator[Sink]:
    """A sink that, whatever goes wrong, leaves nothing half-written."""
    sink = (NetCDF if path.suffix == ".nc" else Npz)(path, variables, attributes)
    try:
        sink.open()
        yield sink
    except BaseException:
        sink.discard()
        raise


def measures_path(path: Path) -> Path:
    """The table of measures of a recording under a protocol, which may be the recording itself."""
    return path if path.suffix in TABLES else path.with_name(f"{path.stem}-measures.csv")


def check_sink(path: Path, size: int, *, tables: bool = False) -> None:
    """Check before any computation that this many bytes can be recorded into a file, with its table if any.

    Raises DataError for an unknown suffix, a file that cannot be written or too small a disk, MissingPackageError where
    the packages that write NetCDF are not installed.
    """
    findings = unwritable(path) or (unwritable(measures_path(path)) if tables else [])
    if path.suffix not in {".nc", ".npz", *(TABLES if tables else ())}:
        suffix = f"the suffix is `{path.suffix}`" if path.suffix else "the file name has no suffix"
        repair = f"Name the file {path.with_suffix('.nc').name}." if path.name else "Name a file, such as acts.nc."
        expected = "recordings are .nc (NetCDF) or .npz" + ", tables of measures .csv or .json" * tables
        if path.suffix in TABLES:
            repair += " Tables are written with --protocol."
        findings.append(Diagnostic("unknown-format", str(path), suffix, expected, repair))
    if findings:
        raise DataError(findings)
    if path.suffix == ".nc" or tables:
        require("record")
    needed, free = size * (2 if path.suffix == ".npz" else 1), shutil.disk_usage(path.parent).free
    if needed > free:
        takes, expected = f"the recording takes {count_text(needed)}B", f"{count_text(free)}B are free there"
        repair = "Record fewer areas, steps or images, or name a folder on another disk."
        raise DataError(Diagnostic("disk-full", str(path), takes, expected, repair))
