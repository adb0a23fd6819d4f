"""What cortexgraph says when something is wrong: one `Diagnostic` per finding, raised together.

A finding names the place, what was found against what was expected, and the repair::

    specs/ventral.yaml:14: connections[3] V4 -> V2: stride 2 maps 8 to 4, but V2 is 16.
      A feedback connection goes up in size: use `resize`, or give V2 size 4.    [shape-mismatch]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from cortexgraph.wording import python_words

Severity = Literal["error", "warning"]

MOST_FINDINGS = 200
"""How many findings of one kind are worth reading at once."""


@dataclass(frozen=True)
class Diagnostic:
    """One finding.

    Attributes:
        code: stable name of the rule, such as ``shape-mismatch``.
        place: where in the user's input, such as ``connections[3] V4 -> V2``.
        found: what stands there, as the start of a sentence without a full stop.
        expected: what should stand there; the sentence continues «…, but <expected>.».
        repair: a whole sentence that says what to do.
        severity: ``error`` stops the work, ``warning`` does not.
        file, line: the user's file and the line in it (from 1), where there is one.
    """

    code: str
    place: str
    found: str
    expected: str = ""
    repair: str = ""
    severity: Severity = "error"
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place, found, expected, repair = self.place, self.found, self.expected, self.repair
        if not _commands:
            place = place if place.startswith("--set") else python_words(place).strip("`")
            found, expected, repair = map(in_words_of_caller, (found, expected, repair))
        file, place, found, expected, repair = map(_plain, (self.file or "", place, found, expected, repair))
        where = [part for part in (file, str(self.line) if file and self.line else None) if part]
        head = ": ".join([":".join(where)] * bool(where) + [place] * bool(place))
        sentence = f"{found}, but {expected}." if expected else f"{found}."
        kind = "warning: " if self.severity == "warning" else ""
        first = f"{head}: {kind}{sentence}" if head else f"{kind}{sentence}"
        tag = f"[{self.code}]"
        return f"{first}\n  {repair}    {tag}" if repair else f"{first}    {tag}"


_commands: list[object] = []
"""Has an entry for each command that runs; a list, because threads of a command speak as it does."""


@contextmanager
def in_commands() -> Iterator[None]:
    """Findings name options, such as `--out`, where they otherwise name arguments of Python functions."""
    _commands.append(None)
    try:
        yield
    finally:
        _commands.pop()


def in_words_of_caller(text: str) -> str:
    """A text about options of commands, or, outside of commands, about the arguments of functions."""
    return text if _commands else python_words(text)


MOST_SIGNS = 10_000
"""Of one part of a finding that is printed."""


class Findings(list[Diagnostic]):
    """Findings, which print as the command line prints them.

    Examples:
        >>> print(Findings([Diagnostic("silent-readout", "readout.at", "IT never responds")]))
        readout.at: IT never responds.    [silent-readout]
        >>> print(Findings())
        no findings
    """

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no findings"

    __repr__ = __str__


def _plain(text: str) -> str:
    """The text without what could change a terminal (control characters, turns of direction), cut if it is absurd."""
    text = text if len(text) <= MOST_SIGNS else f"{text[:MOST_SIGNS]}…"
    return text if text.isprintable() else "".join(s if s.isprintable() else repr(s)[1:-1] for s in text)


def unsaid(what: str, like: Diagnostic) -> Diagnostic:
    """Says that there are more findings than are worth reading at once, after the last one that is said."""
    found = f"there are {what} like those above"
    return replace(like, code="more-findings", place="", found=found, expected="", repair="Fix these first.")


class CortexGraphWarning(UserWarning):
    """Something works, but probably not as the user expects."""


class CortexGraphError(Exception):
    """Base of all errors that the user's input can cause; `diagnostics` holds every finding.

    May be made from findings, or from a message alone.
    """

    code = "error"

    def __init__(self, findings: Iterable[Diagnostic] | Diagnostic | str) -> None:
        if isinstance(findings, str):
            findings = Diagnostic(code=self.code, place="", found=findings.rstrip("."))
        if isinstance(findings, Diagnostic):
            findings = (findings,)
        self.diagnostics: tuple[Diagnostic, ...] = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.diagnostics))

    def __reduce__(self) -> tuple[type[CortexGraphError], tuple[tuple[Diagnostic, ...]]]:
        return type(self), (self.diagnostics,)


class UsageError(CortexGraphError):
    """The command line has an unknown option, or lacks a value."""

    code = "usage"


class SpecError(CortexGraphError):
    """The spec cannot be read, or breaks the language."""

    code = "spec"


class GraphError(CortexGraphError):
    """The spec is well formed, but its areas and connections do not make a network."""

    code = "graph"


class CompileError(CortexGraphError):
    """The network cannot do what was asked of it: a silent readout, an unknown area to record, …"""

    code = "compile"


class DataError(CortexGraphError):
    """A data set, run folder or weights file is missing or not as expected."""

    code = "data"
