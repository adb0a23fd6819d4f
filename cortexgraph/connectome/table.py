"""Tables of interareal connections: one projection a row."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Protocol, runtime_checkable

from cortexgraph import files
from cortexgraph.arguments import arguments_explained
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.files import read_text
from cortexgraph.spec.shorthand import ARROW
from cortexgraph.wording import quoted, shortened

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


@runtime_checkable
class DataFrame(Protocol):
    """A table of pandas."""

    def to_csv(self, *, index: bool) -> str: ...


Table = str | PathLike[str] | DataFrame


@arguments_explained
def read_connectome(path: Table) -> list[Projection]:
    """Read a table with the columns source, target, weight (or FLN), and if they are there SLN and distance (mm).

    Lines that start with `#` are comments. An empty number is one that was not measured.

    Args:
        path: a CSV file, or a DataFrame of pandas.

    Raises:
        SpecError: if the file cannot be read.
        DataError: with one finding for every bad row.
    """
    text = read_text(Path(path)) if isinstance(path, str | PathLike) else path.to_csv(index=False)
    lines = enumerate(text.splitlines(), 1)
    rows = [(number, _cells(line)) for number, line in lines if line.strip() and not line.startswith("#")]
    number, header = rows[0] if rows else (1, [])
    names = [name.lower() for name in header]
    places = {column: names.index(word) for column, words in COLUMNS.items() for word in words[::-1] if word in names}
    projections: dict[tuple[str, str], Projection] = {}
    findings: list[Diagnostic] = []
    if not rows:
        findings.append(_finding(1, "", "the table is empty", "it must begin with a line of column names"))
    elif missing := [f"`{'` or `'.join(COLUMNS[column])}`" for column in NEEDED if column not in places]:
        expected = f"a column {', '.join(missing)} is needed"
        other = next((sign for sign in ";\t|" if any(sign in name for name in names)), "")
        repair = f"Separate the columns by commas, not by `{shortened(other)}`." if other else ""
        findings.append(_finding(number, "", f"the columns are {quoted(names)}", expected, repair))
    elif len(rows) == 1:
        findings.append(_finding(number, "", "the table has no rows", "at least one projection is needed"))
    for number, cells in rows[1:] if not findings else ():
        row = _read_row(cells, places, number)
        if any(cells[len(header) :]):
            problem, expected = f"the row has {len(cells)} values", f"there are {len(header)} columns"
            findings.append(_finding(number, "row", problem, expected, "Quote a value that contains a comma."))
        if isinstance(row, list):
            findings += row
        elif (first := projections.setdefault((row.source, row.target), row)) is not row:
            problem = f"this projection stands here and on line {first.line}"
            findings.append(_finding(number, row.label, problem, "", "Keep one."))
    findings += _contradictions([*projections.values()])
    if findings:
        file = str(path) if isinstance(path, str | PathLike) else type(path).__name__
        raise DataError(replace(finding, file=file) for finding in findings)
    return list(projections.values())


def _contradictions(projections: Sequence[Projection]) -> Iterator[Diagnostic]:
    """A finding for each row that gives an area another level than a row above."""
    levels: dict[str, tuple[float, int]] = {}
    for row in projections:
        for name, level in ((row.source, row.source_level), (row.target, row.target_level)):
            if level is None:
                continue
            first, line = levels.setdefault(name, (level, row.line))
            if level != first:
                problem, expected = f"the level of {name} is {level:g}", f"it is {first:g} on line {line}"
                yield _finding(row.line, row.label, problem, expected, "Give an area one level.")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line]), [])]


def _read_row(cells: list[str], places: Mapping[str, int], line: int) -> Projection | list[Diagnostic]:
    """The projection of one line, or what is wrong with it."""
    if len(cells) <= max(places.values()):
        return [_finding(line, "row", f"the row has {len(cells)} values", f"{max(places.values()) + 1} are needed")]
    ends = {end: cells[places[end]] for end in ("source", "target")}
    findings = [
        _finding(
            line,
            end,
            f"`{shortened(name)}` cannot be the name of an area" if name else "the area is missing",
            "a name has at most 64 letters, digits, spaces and `_ . , : / + - ( ) * &`, and is not `image`",
        )
        for end, name in ends.items()
        if not NAME.fullmatch(name) or len(name) > 64 or name == "image"
    ]
    texts = {column: cells[place] for column, place in places.items() if column not in ends}
    for column, text in texts.items():
        if text and (problem := _number_problem(text, column)):
            findings.append(_finding(line, column, *problem))
    if findings:
        return findings
    numbers = {column: float(text) if text else None for column, text in texts.items()}
    return Projection(ends["source"], ends["target"], **numbers, line=line)


def _number_problem(text: str, column: str) -> tuple[str, str, str] | None:
    """What is wrong with a number, what is expected, and the repair."""
    low, high = RANGES.get(column, (-math.inf, math.inf))
    try:
        value = float(text)
    except ValueError:
        return f"`{shortened(text)}` is not a number", "", "Leave it empty if not measured."
    if low <= value <= high and not math.isinf(value):
        return None
    bound = f"it must lie between {low:g} and {high:g}" if high < math.inf else f"it must be at least {low:g}"
    is_percent = column == "sln" and 1 < value <= 100
    return f"the value is {value:g}", bound, "Divide percentages by 100." if is_percent else ""


def _finding(line: int, place: str, problem: str, expected: str, repair: str = "") -> Diagnostic:
    return Diagnostic("bad-row" if place else "bad-table", place, problem, expected, repair, line=line)


def csv_text(projections: Sequence[Projection]) -> str:
    """The projections as a table that `read_connectome` reads: the same again."""
    rows = ([getattr(projection, column) for column in COLUMNS] for projection in projections)
    return files.csv_text([[*COLUMNS], *rows])
