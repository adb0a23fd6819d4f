"""Did you mean …?"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["listed", "suggest"]


def listed(names: Iterable[str]) -> str:
    """Names in a sentence."""
    return ", ".join(f"`{name}`" for name in names)


def suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    """A repair that names the nearest known name, or `otherwise`."""
    names = list(known)
    folded = {candidate.casefold(): candidate for candidate in names}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f"Did you mean `{folded[near[0]]}`?" if near else otherwise
