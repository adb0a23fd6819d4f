"""The specs that are shipped: `cortexgraph train ventral` works anywhere."""

from __future__ import annotations

from pathlib import Path

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.wording import similar

__all__ = ["zoo", "zoo_path"]

PACKAGE = Path(__file__).resolve().parents[1]


def zoo() -> dict[str, Path]:
    """The file of each shipped spec, by name, in alphabetical order.

    They lie in `cortexgraph/zoo/` of an installed wheel, and in `specs/` of a checkout.
    """
    folder = PACKAGE / "zoo"
    if not folder.is_dir():
        folder = PACKAGE.parent / "specs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def zoo_path(name: str) -> Path:
    """The file of a shipped spec.

    Raises:
        SpecError: if there is none of that name.
    """
    shipped = zoo()
    if name in shipped:
        return shipped[name]
    guess = similar(name, list(shipped))
    listing = f"`cortexgraph zoo` lists {len(shipped)}"
    repair = f"Did you mean `{guess}`?" if guess else ""
    raise SpecError(Diagnostic("no-such-spec", "", f"no zoo spec is called `{name}`", listing, repair))
