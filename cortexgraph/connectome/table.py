"""Tables of interareal connections: one projection a row."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cortexgraph import files
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.spec.reading import read_text
from cortexgraph.spec.shorthand import ARROW
from cortexgraph.wording import quoted, shortened

__all__ = ["Projection", "csv_text", "read_connectome"]

COLUMNS = {
    "source": ("source", "from"),
    "target": ("target", "to"),
    "weight": ("weight", "fln", "flne", "strength"),
    "sln": ("sln",),
    "distance_mm": ("distance_mm", "distance"),
    "source_level": ("source_level",),
    "target_level": ("target_level",),
}
"""The columns that are read, and the words that may head them; others are left alone."""
NEEDED = ("source", "target", "weight")
RANGES = {"weight": (0.0, math.inf), "sln": (0.0, 1.0), "distance_mm": (0.0, 1000.0)}
NAME = re.compile(r"[^\W_]([\w .,:/+()*&-]*[\w.)+*])?")


@dataclass(frozen=True)
class Projection:
    """A measured projection.

    Attributes:
        source, target: areas.
        weight: measured strength, such as the fraction of labelled neurons that lie in the source (FLN); None where it
            is not known.
        sln: share of labelled neurons that lie in the supragranular layers of the source, in [0, 1].
        distance_mm: between the areas.
        source_level, target_level: in the hierarchy, where the table gives them.
        line: of the file.
    """

    source: str
    target: str
    weight: float | None = None
    sln: float | None = None
    distance_mm: float | None = None
    source_level: float | None = None
    target_level: float | None = None
    line: int = 0

    @property
    def label(self) -> str:
        return f"{self.source} {ARROW} {self.target}"


def read_connectome(path: str | Path) -> list[Projection]:
    """Read a CSV file with the columns source, target, weight (or FLN), and if they are there SLN and distance (mm).

    Lines that start with `#` are comments. An empty number is one that was not measured.

    Raises:
        SpecError: if the file cannot be read.
        DataError: with one finding for every bad row.
    """
    file = str(path)
    lines = read_text(Path(path)).splitlines()
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not kept:
        raise DataError(_finding(file, 1, "", "the table is empty", "it must begin with a line of column names"))
    columns = _columns(kept[0][1], file, kept[0][0])
    findings: list[Diagnostic] = []
    found: dict[tuple[str, str], Projection] = {}
    for number, line in kept[1:]:
        row = _row(line, columns, file, number, findings)
        if row is None:
            continue
        if (first := found.get((row.source, row.target))) is not None:
            findings.append(
                _finding(
                    file, number, row.label, f"this projection stands here and on line {first.line}", "", "Keep one."
                )
            )
        found.setdefault((row.source, row.target), row)
    if not found and not findings:
        findings.append(_finding(file, kept[0][0], "", "the table has no rows", "at least one projection is needed"))
    if findings:
        raise DataError(findings)
    return list(found.values())


def _columns(header: str, file: str, line: int) -> dict[str, int]:
    """The place of each column that is known."""
    names = [name.strip().lower() for name in _cells(header)]
    found = {column: names.index(word) for column, words in COLUMNS.items() for word in words[::-1] if word in names}
    if missing := [column for column in NEEDED if column not in found]:
        words = ", ".join(f"`{'` or `'.join(COLUMNS[column])}`" for column in missing)
        expected = f"a column {words} is needed"
        raise DataError(_finding(file, line, "", f"the columns are {quoted(names)}", expected))
    return found


def _cells(line: str) -> list[str]:
    return next(csv.reader([line]), [])


def _row(
    line: str, columns: Mapping[str, int], file: str, number: int, findings: list[Diagnostic]
) -> Projection | None:
    """The projection of one line; what is wrong with it is added to the findings."""
    cells = [cell.strip() for cell in _cells(line)]
    if len(cells) <= max(columns.values()):
        found = f"the row has {len(cells)} values"
        findings.append(_finding(file, number, "row", found, f"{max(columns.values()) + 1} are needed"))
        return None
    names = {end: cells[columns[end]] for end in ("source", "target")}
    wrong = [
        _finding(
            file,
            number,
            end,
            f"`{shortened(name)}` cannot be the name of an area" if name else "the area is missing",
            "a name has at most 64 letters, digits, spaces and `_ . , : / + - ( ) * &`, and is not `image`",
        )
        for end, name in names.items()
        if not NAME.fullmatch(name) or len(name) > 64 or name == "image"
    ]
    numbers: dict[str, float | None] = {}
    for column, place in columns.items():
        if column not in names:
            numbers[column] = _number(cells[place], column, file, number, wrong)
    findings += wrong
    return None if wrong else Projection(names["source"], names["target"], **numbers, line=number)


def _number(text: str, column: str, file: str, line: int, findings: list[Diagnostic]) -> float | None:
    if not text:
        return None
    low, high = RANGES.get(column, (-math.inf, math.inf))
    try:
        value = float(text)
    except ValueError:
        findings.append(
            _finding(file, line, column, f"`{shortened(text)}` is no number", "", "Leave it empty if not measured.")
        )
        return None
    if not low <= value <= high or math.isinf(value):
        bound = f"it must lie between {low:g} and {high:g}" if high < math.inf else f"it must be at least {low:g}"
        findings.append(_finding(file, line, column, f"the value is {value:g}", bound))
        return None
    return value


def _finding(file: str, line: int, place: str, found: str, expected: str, repair: str = "") -> Diagnostic:
    return Diagnostic("bad-row" if place else "bad-table", place, found, expected, repair, file=file, line=line)


def csv_text(projections: Sequence[Projection]) -> str:
    """The projections as a table that `read_connectome` reads: the same again."""
    rows = ([_text(getattr(projection, column)) for column in COLUMNS] for projection in projections)
    return files.csv_text([[*COLUMNS], *rows])


def _text(value: str | float | None) -> str:
    return "" if value is None else value if isinstance(value, str) else repr(value)
