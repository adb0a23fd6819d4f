"""The bibliography of the shipped specs, in short: «Liang & Hu 2015»."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from cortexgraph.spec.zoo import PACKAGE

__all__ = ["citation", "short_citation"]


def citation(keys: tuple[str, ...]) -> str:
    """The sources of a spec, in short; a key that the bibliography has not stands for itself."""
    return "; ".join(_entries().get(key, key) for key in keys)


def short_citation(entry: str) -> str:
    """Authors' family names and year of a BibTeX entry.

    >>> short_citation("@article{liang, author = {Liang, Ming and Hu, Xiaolin}, year = {2015}}")
    'Liang & Hu 2015'
    """
    fields = dict(re.findall(r"(\w+) = \{((?:[^{}]|\{[^{}]*\})*)\}", entry))
    names = [name.split(",")[0].strip("{} ") for name in fields["author"].split(" and ")]
    authors = " & ".join(names) if len(names) < 3 else f"{names[0]} et al."
    return f"{authors} {fields['year']}"


@cache
def _entries() -> dict[str, str]:
    """Short citations by key, of `docs/references.bib`, which a wheel carries beside the specs."""
    places = (PACKAGE / "zoo" / "references.bib", PACKAGE.parent / "docs" / "references.bib")
    path: Path | None = next((place for place in places if place.is_file()), None)
    entries = path.read_text(encoding="utf-8").split("\n@") if path else []
    return {entry.split("{", 1)[1].split(",", 1)[0]: short_citation(entry) for entry in entries}
