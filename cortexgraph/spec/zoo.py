"""The specs that ship with cortexgraph, and the bibliography of their sources."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.wording import similar

PACKAGE = Path(__file__).resolve().parents[1]


def zoo() -> dict[str, Path]:
    """The file of each shipped spec, by name, in alphabetical order.

    They lie in `cortexgraph/zoo/` of an installed wheel, and in `specs/` of a checkout.
    """
    folder = PACKAGE / "zoo"
    if not folder.is_dir():
        folder = PACKAGE.parent / "specs"
    specs = [path for path in sorted(folder.glob("*.yaml")) if not path.name.endswith(".keys.yaml")]  # no key maps
    return {path.stem: path for path in specs}


def zoo_path(name: str) -> Path:
    """The file of a shipped spec. Raises SpecError if no zoo spec has this name."""
    shipped = zoo()
    if name in shipped:
        return shipped[name]
    guess = similar(name, list(shipped))
    listing = f"`cortexgraph zoo` lists {len(shipped)}"
    repair = f"Did you mean `{guess}`?" if guess else ""
    raise SpecError(Diagnostic("no-such-spec", "", f"no zoo spec is called `{name}`", listing, repair))


def citation(keys: tuple[str, ...]) -> str:
    """The sources of a spec in short, «Liang & Hu 2015»; a key that is not in the bibliography stands for itself."""
    return "; ".join(short_citation(bibliography()[key]) if key in bibliography() else key for key in keys)


def short_citation(entry: str) -> str:
    """Authors' family names and year of a BibTeX entry.

    >>> short_citation("@article{liang, author = {Liang, Ming and Hu, Xiaolin}, year = {2015}}")
    'Liang & Hu 2015'
    """
    fields = dict(re.findall(r"(\w+) = \{((?:[^{}]|\{[^{}]*\})*)\}", entry))
    names = [name.split(",")[0].strip("{} ") for name in fields["author"].split(" and ")]
    authors = " & ".join(names) if len(names) < 3 else f"{names[0]} et al."
    return f"{authors} {fields['year']}"


def beside_zoo(path: str) -> str:
    """The text of a file of the checkout, which a wheel carries beside the specs; empty if it is not there."""
    places = (PACKAGE / "zoo" / Path(path).name, PACKAGE.parent / path)
    return next((place.read_text(encoding="utf-8") for place in places if place.is_file()), "")


@cache
def bibliography() -> dict[str, str]:
    """The BibTeX entries of `docs/references.bib`, by key."""
    entries = [f"@{entry.strip()}" for entry in f"\n{beside_zoo('docs/references.bib')}".split("\n@")[1:]]
    return {entry.split("{", 1)[1].split(",", 1)[0]: entry for entry in entries}
