"""Shorthand of the language, expanded before validation.

`V1 -> V2 -> V4` is a chain of connections, a list may stand where a connection may, and a word may stand for
a norm (`batch`) or a resizing (`nearest`). What cannot be expanded is left as it is, so that validation
reports it at its own place together with all other findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from pydantic_core import PydanticCustomError

__all__ = [
    "ARROW",
    "chain_names",
    "connection_paths",
    "expand_connections",
    "expand_norm",
    "expand_operation",
    "expand_readouts",
    "expand_resize",
    "expand_tie",
    "expanded_connections",
    "refuse_entry",
]

ARROW = "->"
MAX_NESTING = 8
"""How deep lists of connections may be nested."""


def chain_names(text: str) -> list[str] | None:
    """The areas of a chain, or None when the text is not a chain of two or more.

    >>> chain_names("V1 -> V2 -> V4")
    ['V1', 'V2', 'V4']
    >>> chain_names("V1 -> ") is None
    True
    """
    names = [name.strip() for name in text.split(ARROW)]
    plain = all(name and not name.endswith("-") and not {*"<>"} & {*name} for name in names)  # no other arrows
    return names if len(names) > 1 and plain else None


def expand_connections(raw: Any) -> Any:
    """The flat list of connections: chains become mappings, nested lists are opened.

    >>> expand_connections(["A -> B -> C", {"from": "C", "to": "A"}])
    [{'from': 'A', 'to': 'B'}, {'from': 'B', 'to': 'C'}, {'from': 'C', 'to': 'A'}]
    """
    return [item for _, item in expanded_connections(raw)] if isinstance(raw, list | tuple) else raw


def connection_paths(raw: Any) -> tuple[tuple[int, ...], ...]:
    """For each connection after expansion, the indices of the entry that it was written in.

    >>> connection_paths(["A -> B -> C", ["C -> A", "C -> C"]])
    ((0,), (0,), (1, 0), (1, 1))
    """
    return tuple(path for path, _ in expanded_connections(raw)) if isinstance(raw, list | tuple) else ()


def expanded_connections(
    entries: list[Any] | tuple[Any, ...], above: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Each connection with the indices of the entry in which it is written."""
    for index, entry in enumerate(entries):
        path = (*above, index)
        if isinstance(entry, list | tuple) and entry and len(path) < MAX_NESTING:
            yield from expanded_connections(entry, path)
        elif isinstance(entry, str) and (names := chain_names(entry)):
            yield from ((path, {"from": a, "to": b}) for a, b in pairwise(names))
        else:
            yield path, entry


def refuse_entry(entry: Any) -> Any:
    """Say what is wrong with an entry that could not be expanded to connections.

    Raises:
        PydanticCustomError: `bad-chain`, with the repair in its context.
    """
    if isinstance(entry, str):
        raise _bad_chain(f"`{entry}` is not a chain of areas", _chain_repair(entry))
    if isinstance(entry, list | tuple):
        if not entry:
            raise _bad_chain("this list of connections is empty", "Remove it, or put connections into it.")
        raise _bad_chain(f"lists of connections are nested more than {MAX_NESTING} deep", "Use fewer brackets.")
    return entry


def _bad_chain(found: str, repair: str) -> PydanticCustomError:
    return PydanticCustomError("bad-chain", "bad chain", {"found": found, "repair": repair})


def _chain_repair(text: str) -> str:
    if both := re.fullmatch(r"\s*([^<>]+?)\s*(?:<-+>|<=+>|↔|⇄)\s*([^<>]+?)\s*", text):
        return f"Write each direction: `{both[1]} {ARROW} {both[2]}` and `{both[2]} {ARROW} {both[1]}`."
    if back := re.fullmatch(r"\s*([^<>]+?)\s*(?:<-+|<=+|←)\s*([^<>]+?)\s*", text):
        return f"Write it from its source on: `{back[2]} {ARROW} {back[1]}`."
    arrows = re.sub(r"\s*(-+>|=+>|→|--+|>)\s*", f" {ARROW} ", text)
    if arrows != text and chain_names(arrows):
        return f"The arrow is `{ARROW}`: write `{arrows}`."
    if ARROW not in text:
        start = text.strip() or "V1"
        return f"Write at least two areas, `{start} {ARROW} V2`, or a mapping with `from` and `to`."
    return f"Write an area on both sides of every `{ARROW}`, as in `V1 {ARROW} V2`."


def expand_norm(raw: Any) -> Any:
    """`batch` stands for `{kind: batch}`."""
    return {"kind": raw} if isinstance(raw, str) else raw


def expand_resize(raw: Any) -> Any:
    """`nearest` stands for `{mode: nearest}`."""
    return {"mode": raw} if isinstance(raw, str) else raw


def expand_tie(raw: Any) -> Any:
    """`V1 -> V2` stands for `{connection: V1 -> V2}`."""
    return {"connection": raw} if isinstance(raw, str) else raw


def expand_readouts(raw: Any) -> Any:
    """One readout stands for a list of one.

    Raises:
        PydanticCustomError: for an empty list.
    """
    if isinstance(raw, list | tuple) and not raw:
        raise PydanticCustomError("too_short", "too short", {"min_length": 1})
    return raw if isinstance(raw, list | tuple) else [raw]


def expand_operation(raw: Any) -> Any:
    """`relu` stands for `{relu: null}`; an entry names one operation or cell and its options.

    Raises:
        PydanticCustomError: `bad-operation`, when the entry is neither.
    """
    if isinstance(raw, str):
        return {"name": raw}
    if isinstance(raw, Mapping) and len(raw) == 1:
        ((name, options),) = raw.items()
        return {"name": name, "options": options}
    if isinstance(raw, Mapping) and raw and all(isinstance(name, str) for name in raw):
        first = next(iter(raw))
        found = f"this entry names {len(raw)} operations: {', '.join(raw)}"
        raise PydanticCustomError(
            "bad-operation",
            "bad operation",
            {"found": found, "repair": f"Put each in an entry of its own: `- {first}: …`."},
        )
    return raw
