"""The command line: exit code 0, 1 for a finding in the user's input, 2 for wrong usage."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any, NoReturn

from cortexgraph.errors import CortexGraphError, CortexGraphWarning, DataError, Diagnostic, UsageError, in_commands
from cortexgraph.extras import explained
from cortexgraph.wording import shortened, similar

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
        with in_commands():
            _run()
    except CortexGraphError as error:
        from cortexgraph.training.processes import wait_for_first_process

        wait_for_first_process()
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        _end(130)


def _end(code: object) -> NoReturn:
    """End with an exit code; of Ctrl-C something is said, as the terminal may show nothing but a prompt."""
    if code == 130:
        print("Interrupted: nothing was written that is not whole.", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _run() -> None:
    usage_error: Any = ()
    try:
        from typer import BadParameter

        from cortexgraph.cli.app import app

        usage_error = BadParameter.__bases__[0]
        _end(app(prog_name="cortexgraph", standalone_mode=False))  # typer would draw a box around wrong usage
    except usage_error as error:
        if type(error).__name__ != "NoArgsIsHelpError":
            raise UsageError(_usage_finding(error)) from None
        print(error.format_message(), file=sys.stderr)  # of a command without arguments, its help
        sys.exit(2)
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


WORDS = {"a valid number": "a number", "a valid integer": "a whole number", "greater than or equal to": "at least"}
"""What we say for words of the parser of the command line."""


def _usage_finding(error: Any) -> Diagnostic:
    """What the parser of the command line says is wrong."""
    text = str(error.format_message())
    message = str(error.message or text)
    command = error.ctx.command_path if error.ctx else "cortexgraph"
    parameter = getattr(error, "param", None)
    hint = str(getattr(error, "param_hint", None) or "").replace("'", "")
    place = hint or (parameter and (parameter.metavar if text.startswith("Missing arg") else parameter.opts[0]))
    found, _, guess = message.rstrip(".?").partition(" Did you mean ")
    found, expected = found[:1].lower() + found[1:].rstrip("."), ""
    if found.startswith("missing argument"):
        found = "this argument is missing"
    guess = guess or similar(getattr(error, "option_name", ""), getattr(error, "possibilities", None) or ()) or ""
    if match := re.fullmatch("input should (be .*?)(, unable .*)?", found):
        rule = reduce(lambda rule, words: rule.replace(*words), WORDS.items(), match[1])
        (problem, *_) = error.__context__.errors() if hasattr(error.__context__, "errors") else [{"input": "?"}]
        found, expected = f"`{shortened(str(problem['input']))}` was given", f"it must {rule}"
    repair = f"Did you mean {guess}?" if guess else f"See `{command} --help`."
    return Diagnostic("usage", place or command, found, expected, repair)


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
