"""Writing files whole or not at all."""

from __future__ import annotations

import codecs
import csv
import errno
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from glob import escape
from pathlib import Path

from cortexgraph.errors import DataError, Diagnostic, SpecError
from cortexgraph.wording import listed, quoted

MAX_TEXT = 1_000_000
"""Bytes of a text file, and characters of all texts in it with aliases expanded."""
MAX_CSV = 100_000_000
"""Bytes of a table."""


@contextmanager
def replacing(path: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary file in the same folder, renamed to `path` when the block ends well and removed otherwise.

    Until then a file of that name stays as it was: at no time is it missing or half written.

    Args:
        path: the file to write; where it is a link, the file that it leads to is replaced. A device or pipe, such as
            `/dev/null` or `/dev/stdout`, is written to and stays what it is.
        durable: for the files of a run: the file replaces a device or pipe too, once its bytes are on the disk.

    Raises:
        DataError: if the folder is missing or cannot be written.
    """
    path = Path(path)
    suffix = path.suffix  # of the name that was given: a link may lead to a file of another one
    try:
        special = not durable and path.exists() and not path.is_dir() and not (path.is_file() and _ordinary(path))
        path = path if special else path.resolve()  # a link stays, and its file is replaced
        folder = None if special else path.parent
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=suffix, dir=folder)
        os.close(handle)
    except (OSError, ValueError, RuntimeError) as error:  # of a loop of links Python says RuntimeError
        raise _unwritable(path, error) from None
    temporary = Path(name)
    try:
        yield temporary
        if special:
            with temporary.open("rb") as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
            return
        if durable:
            with temporary.open("rb") as source:
                os.fsync(source.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder, renamed to `path` when the block ends well and removed otherwise.

    Raises DataError if it cannot be written, or `path` exists and is not an empty folder.
    """
    path = Path(path)
    check_new_folder(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_prefix(path), dir=path.parent) as temporary:
            whole = Path(temporary) / path.name
            whole.mkdir()
            try:
                yield whole
            except DataError as error:  # of a file in it
                places = ((finding, finding.place.replace(str(whole), str(path))) for finding in error.diagnostics)
                raise DataError(replace(finding, place=place) for finding, place in places) from None
            whole.replace(path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None


def check_new_folder(path: Path) -> None:
    """Check that a folder can be new: nothing is there, or an empty folder.

    Raises:
        DataError: if something is there, or the path cannot be looked at.
    """
    try:
        free = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None
    if not free:
        repair = "Remove it, or name another folder."
        raise DataError(Diagnostic("exists", str(path), "this exists already", "a new folder is needed", repair))


def _ordinary(path: Path) -> bool:
    """Whether a file is not a device: `/dev/stdout` looks like a file where it is redirected into one."""
    return path.absolute().parts[1:2] not in {("dev",), ("proc",)}


def unwritable(*paths: Path | None, folder: bool = False) -> list[Diagnostic]:
    """A finding for each path at which no file can be written, or no folder made: for a look before long work."""
    findings: list[Diagnostic] = []
    for path in filter(None, paths):
        try:
            above = next(p for p in (path, *path.absolute().parents) if p.exists()) if folder else path.parent
            if not above.is_dir():
                found, repair = f"the folder {above} does not exist", "Create it, or name another."
                if above.exists():
                    found, repair = f"{above} is a file, not a folder", "Name a folder elsewhere."
                findings.append(Diagnostic("unwritable", str(path), found, repair=repair))
            elif not folder and path.is_dir():
                findings.append(Diagnostic("unwritable", str(path), "this is a folder", repair="Name a file."))
            elif folder or not path.exists():
                tempfile.TemporaryFile(dir=above).close()
        except (OSError, ValueError, RuntimeError) as error:
            findings += _unwritable(path, error).diagnostics
    return findings


def leftovers(path: str | Path) -> list[Path]:
    """What a `replacing` of this path left beside it when its process was killed, or is writing now."""
    path = Path(path)
    random = "[a-z0-9_]" * 8  # what `tempfile` puts between prefix and suffix
    return list(path.parent.glob(escape(_prefix(path)) + random + escape(path.suffix)))


@contextmanager
def locked(path: Path, found: str, *, wait_s: float = 0) -> Iterator[None]:
    """Hold a lock of the operating system on a file, which is made with its folder where it is missing.

    The lock goes with the process that holds it, however that ends. The file stays, and its existence says nothing:
    were it removed, a process that waits for it would lock another file than the one after it.

    Args:
        path: the file.
        found: the finding where another process holds the lock.
        wait_s: seconds to wait for it.

    Raises:
        DataError: if another process holds the lock, or the file cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=wait_s).acquire()
    except Timeout:
        repair = "Wait until it has ended, or name another folder with --out."
        raise DataError(Diagnostic("in-use", str(path.parent), found, repair=repair)) from None
    except OSError as error:
        raise _unwritable(path.parent, error) from None
    with lock:
        yield


def _prefix(path: Path) -> str:
    return f".{path.name[:40]}."


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(path: Path, error: Exception) -> DataError:
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    repair = "Make room, or name a folder elsewhere." if full else "Name a folder that exists and may be written."
    return DataError(Diagnostic("unwritable", str(path), f"it cannot be written: {reason}", repair=repair))


def read_text(path: Path, most_bytes: int = MAX_TEXT) -> str:
    """The text of a file in UTF-8, of at most 1 MB or as many bytes. Raises SpecError if it cannot be read."""
    file = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(most_bytes + 1)
    except OSError as error:
        raise SpecError(Diagnostic("unreadable", "", f"the file cannot be read: {error.strerror}", file=file)) from None
    if len(raw) > most_bytes:
        found, expected = f"the file is larger than {most_bytes // 1_000_000} MB", "no file of this kind needs that"
        raise SpecError(Diagnostic("too-large", "", found, expected, file=file))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        encoding = "UTF-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "not UTF-8"
        repair = "Save it as UTF-8, or name another file."
        finding = Diagnostic("encoding", "", f"the file is {encoding} text", repair=repair, file=file, line=line)
        raise SpecError(finding) from None


def csv_rows(
    path: Path, needed: Sequence[str], code: str
) -> tuple[list[str], list[tuple[Mapping[str, str | None], int]]]:
    """The columns of a CSV file, which the first row names, and each row with its line.

    Raises DataError if it cannot be read, or with this code if it lacks a needed column.
    """
    try:
        lines = read_text(path, MAX_CSV).splitlines()
    except SpecError as error:
        raise DataError(error.diagnostics) from None
    reader = csv.DictReader(lines)
    try:
        columns, rows = [*(reader.fieldnames or [])], [(row, reader.line_num) for row in reader]
    except csv.Error as error:
        found = f"the file cannot be read as CSV: {error}"
        raise DataError(Diagnostic("unreadable", "", found, file=str(path), line=reader.line_num + 1)) from None
    if missing := [name for name in needed if name not in columns]:
        found = f"there is no column {quoted(missing)}"
        expected = f"its columns are {quoted(columns)}" if columns else "the file is empty"
        repair = (
            f"Name the column{'s' * (len(needed) > 1)} {listed([f'`{name}`' for name in needed])} in the first row."
        )
        raise DataError(Diagnostic(code, "", found, expected, repair, file=str(path), line=1))
    return columns, rows  # type: ignore[return-value]


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV; text that a spreadsheet would execute as a formula gets an apostrophe before it.

    >>> csv_text([["name", "mean"], ["=1+1", 0.5], ["-2", -2]])
    "name,mean\\n'=1+1,0.5\\n-2,-2\\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def csv_table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows by the names of their columns as CSV, the names first; floats read back as the same numbers."""
    columns = [*rows[0]] if rows else []
    return csv_text([columns, *([row[column] for column in columns] for row in rows)])


def _cell(value: object) -> object:
    if not isinstance(value, str) or not value.lstrip().startswith(("=", "+", "-", "@")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def write_bytes(path: str | Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file whole or not at all; `durable` as for `replacing`."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str, *, durable: bool = False) -> None:
    """Write a text file in UTF-8 whole or not at all; `durable` as for `replacing`."""
    write_bytes(path, text.encode(), durable=durable)
