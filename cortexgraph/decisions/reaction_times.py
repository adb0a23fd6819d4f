"""Human reaction times from a CSV file, and how they go together with a network's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.files import csv_rows

LEAST = 3
"""Images that a correlation needs."""

MOST_SAID = 20


@dataclass(frozen=True)
class Correlation:
    """Spearman's and Pearson's correlation of some images' reaction times with a number of the network, with p-values.

    They are NaN where one of the two is the same for all images.
    """

    measure: str
    images: int
    spearman: float
    spearman_p: float
    pearson: float
    pearson_p: float


def read_reaction_times(path: str | Path, files: Sequence[str]) -> npt.NDArray[np.float64]:
    """The mean reaction time of each file, NaN where there is none.

    Args:
        path: a CSV file with the columns `file` and `rt`; several rows of one file, such as of several observers, are
            averaged.
        files: of the images, relative to their source; a row may also give the last part alone where it is unique.

    Raises:
        DataError: if the file cannot be read, or with every row that does not match.
    """
    path = Path(path)
    if not any(files):
        repair = "Give a folder of images with --data."
        raise DataError(Diagnostic("no-files", "data", "these images have no file names", repair=repair))
    _, rows = csv_rows(path, ["file", "rt"], "bad-reaction-times")
    return _matched(rows, path, files)


def _matched(
    rows: Sequence[tuple[Mapping[str, str | None], int]], path: Path, files: Sequence[str]
) -> npt.NDArray[np.float64]:
    """The mean of the rows of each file."""
    places, lasts = {file: n for n, file in enumerate(files)}, defaultdict(list)
    for n, file in enumerate(files):
        lasts[Path(file).name].append(n)
    times: dict[int, list[float]] = defaultdict(list)
    findings: list[Diagnostic] = []

    def find(line: int, found: str, expected: str) -> None:
        findings.append(Diagnostic("bad-reaction-times", "", found, expected, file=str(path), line=line))

    for row, line in rows:
        file, text = row["file"] or "", row["rt"] or ""
        named = [places[file]] if file in places else lasts.get(file, [])
        try:
            time = float(text)
        except ValueError:
            time = float("nan")
        if not (isfinite(time) and time > 0):
            find(line, f"`rt` is `{text}`", "a reaction time is a number above 0")
        if len(named) != 1:
            find(
                line,
                f"`{file}` is {'the name of several images' if named else 'none of the images'}",
                f"the images are files such as `{files[0]}`",
            )
        elif isfinite(time):
            times[named[0]].append(time)
    if not findings and len(times) < LEAST:
        find(1, f"{len(times)} images have a reaction time", f"a correlation needs {LEAST}")
    if findings:
        more = [Diagnostic("more-findings", str(path), f"there are {len(findings) - MOST_SAID} more such rows")]
        raise DataError([*findings[:MOST_SAID], *more] if len(findings) > MOST_SAID else findings)
    return np.array([np.mean(times[n]) if n in times else np.nan for n in range(len(files))])


def correlate(measure: str, values: npt.NDArray[np.float64], times: npt.NDArray[np.float64]) -> Correlation:
    """The correlations over the images that have a reaction time."""
    from scipy.stats import pearsonr, spearmanr

    known = np.isfinite(times) & np.isfinite(values)
    x, y = values[known], times[known]
    if len(x) < LEAST or not np.ptp(x) or not np.ptp(y):
        return Correlation(measure, len(x), *[float("nan")] * 4)
    rank, line = spearmanr(x, y), pearsonr(x, y)
    numbers = (rank.statistic, rank.pvalue, line.statistic, line.pvalue)
    return Correlation(measure, len(x), *map(float, numbers))
