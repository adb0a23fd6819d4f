"""Writing files whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.wording import listed, quoted


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


def _ordinary(path: Path) -> bool:
    """Whether a file is not a device: `/dev/stdout` looks like a file where it is redirected into one."""
    return path.absolute().parts[1:2] not in {("dev",), ("proc",)}


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


def csv_rows(
    path: Path, needed: Sequence[str], code: str
) -> tuple[list[str], list[tuple[Mapping[str, str | None], int]]]:
    """The columns of a CSV file, and each row with its line.

    Args:
        path: the file; the first row names the columns.
        needed: columns that it must have.
        code: of the finding where it lacks one.

    Raises:
        DataError: if it cannot be read, or lacks a column.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(Diagnostic("unreadable", str(path), f"the file cannot be read: {reason}")) from None
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
