"""Writing files whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from cortexgraph.errors import DataError, Diagnostic

__all__ = ["csv_table", "csv_text", "remove_leftovers", "replacing", "write_bytes", "write_text"]


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file in the same folder, renamed to `path` when the block ends well and removed otherwise.

    A device or pipe, such as `/dev/null` or `/dev/stdout`, is written to and stays what it is.

    Raises:
        DataError: if the folder is missing or cannot be written.
    """
    path = Path(path)
    try:
        special = path.exists() and not path.is_dir() and not (path.is_file() and _ordinary(path))
        path = path if special else path.resolve()  # a link stays, and its file is replaced
        folder = None if special else path.parent
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=path.suffix, dir=folder)
        os.close(handle)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None
    temporary = Path(name)
    try:
        yield temporary
        if special:
            with temporary.open("rb") as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
            return
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _ordinary(path: Path) -> bool:
    """Whether a file is no device: `/dev/stdout` looks like a file where it is redirected into one."""
    return path.absolute().parts[1:2] not in {("dev",), ("proc",)}


def remove_leftovers(path: str | Path) -> None:
    """Remove what a `replacing` of this path left beside it when its process was killed.

    For paths that nothing else writes at the time.
    """
    path = Path(path)
    random = "[a-z0-9_]" * 8  # what `tempfile` puts between prefix and suffix
    for left in path.parent.glob(escape(_prefix(path)) + random + escape(path.suffix)):
        left.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    return f".{path.name[:40]}."


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(path: Path, error: OSError | ValueError) -> DataError:
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    return DataError(
        Diagnostic(
            "unwritable",
            str(path),
            f"it cannot be written: {reason}",
            repair="Name a folder that exists and may be written.",
        )
    )


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


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8 whole or not at all."""
    write_bytes(path, text.encode())
