"""The command line: exit code 0, 1 for a finding in the user's input, 2 for wrong usage."""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from cortexgraph.errors import CortexGraphError, CortexGraphWarning, DataError, Diagnostic
from cortexgraph.extras import explained
from cortexgraph.wording import shortened

__all__ = ["main"]


def main() -> None:
    """Entry point of `cortexgraph`."""
    if sys.stdout is None or type(sys.stdout) is io.TextIOWrapper:  # not what a test or a notebook put there
        sys.stdout = StandardOutput(sys.stdout)
    of_python = warnings.formatwarning
    warnings.formatwarning = lambda message, category, *place: (
        f"warning: {message}.\n" if category is CortexGraphWarning else of_python(message, category, *place)
    )
    try:
        _run()
    except CortexGraphError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _run() -> None:
    from cortexgraph.cli.app import app

    try:
        app(prog_name="cortexgraph")
    except ModuleNotFoundError as error:
        raise explained(error) from None
    except UnicodeEncodeError:
        from cortexgraph.cli.options import check_text

        check_text()
        raise
    except OSError as error:
        if error.filename is None:
            raise
        finding = Diagnostic(
            "unreadable", shortened(str(error.filename)), str(error.strerror), repair="Give another path."
        )
        raise DataError(finding) from None
    finally:
        sys.stdout.flush()  # the last chance to report a full disk


class StandardOutput(io.TextIOWrapper):
    """Standard output, with `?` for what its encoding does not have.

    Where the reader has gone, as in `cortexgraph show … | head`, the program ends with exit code 0; where nothing can
    be written, with a finding.
    """

    def __init__(self, stream: io.TextIOWrapper | None) -> None:
        target, encoding = (os.devnull, "utf-8") if stream is None else (stream.fileno(), stream.encoding)
        buffer = open(target, "wb", closefd=stream is None)  # noqa: SIM115  (a descriptor; open until the end)
        lines = stream is not None and stream.line_buffering
        super().__init__(buffer, encoding=encoding, errors="replace", line_buffering=lines)

    def write(self, text: str) -> int:
        with self._checked():
            return super().write(text)

    def flush(self) -> None:
        with self._checked():
            super().flush()

    @contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # for what is still in the buffer
            if error.errno == errno.EPIPE:
                sys.exit(0)
            raise DataError(Diagnostic("unwritable", "standard output", str(error.strerror))) from None
