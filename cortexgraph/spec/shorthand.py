"""Shorthand of the language, expanded before validation.

`V1 -> V2 -> V4` is a chain of connections, a list may stand where a connection may, and a word may stand for
a norm (`batch`) or a resizing (`nearest`). What cannot be expanded is left as it is, so that validation
reports it at its own place together with all other findings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from pydantic_core import PydanticCustomError

ARROW = "->"
MAX_NESTING = 8
"""How deep lists of connections may be nested."""

WORDS = {"norm": "kind", "resize": "mode", "tie": "connection"}
"""Keys whose value may be a word, and the key of the mapping that the word stands for: `batch`, `{kind: batch}`."""


def expand_word(key: str) -> Callable[[object], object]:
    """The function that expands the word of such a key.

    >>> expand_word("norm")("batch")
    {'kind': 'batch'}
    """
    return lambda raw: {WORDS[key]: raw} if isinstance(raw, str) else raw


def chain_names(text: str) -> list[str] | None:
    """The areas of a chain, or None when the text is not a chain of two or more.

    >>> chain_names("V1 -> V2 -> V4")
    ['V1', 'V2', 'V4']
    >>> chain_names("V1 -> ") is None
    True
    """
    names = [name.strip() for name in text.split(ARROW)]
    plain = all(
        name and not name.endswith("-") and not name.startswith(("(", "[", "{")) and not {*"<>"} & {*name}
        for name in names
    )  # no other arrows, and no brackets around names or the chain
    return names if len(names) > 1 and plain else None


def expand_connections(raw: object) -> object:
    """The flat list of connections: chains become mappings, nested lists are opened.

    >>> expand_connections(["A -> B -> C", {"from": "C", "to": "A"}])
    [{'from': 'A', 'to': 'B'}, {'from': 'B', 'to': 'C'}, {'from': 'C', 'to': 'A'}]
    """
    return [item for _, item in expanded_connections(raw)] if isinstance(raw, list | tuple) else raw


def connection_paths(raw: object) -> tuple[tuple[int, ...], ...]:
    """For each connection after expansion, the indices of the entry that it was written in.

    >>> connection_paths(["A -> B -> C", ["C -> A", "C -> C"]])
    ((0,), (0,), (1, 0), (1, 1))
    """
    return tuple(path for path, _ in expanded_connections(raw)) if isinstance(raw, list | tuple) else ()


def expanded_connections(
    entries: list[object] | tuple[object, ...], above: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[int, ...], object]]:
    """Each connection with the indices of the entry in which it is written."""
    for index, entry in enumerate(entries):
        path = (*above, index)
        if isinstance(entry, list | tuple) and entry and len(path) < MAX_NESTING:
            yield from expanded_connections(entry, path)
        elif isinstance(entry, str) and (names := chain_names(entry)):
            yield from ((path, {"from": a, "to": b}) for a, b in pairwise(names))
        else:
            yield path, entry


def refusal(found: str, repair: str, code: str = "conflict", key: str = "") -> PydanticCustomError:
    """What is wrong with a part of a spec, how to repair it, and the key that a repair may leave out."""
    return PydanticCustomError("refusal", "refusal", {"code": code, "found": found, "repair": repair, "key": key})


def refuse_entry(entry: object) -> object:
    """Say, as a PydanticCustomError with its repair, what is wrong with an entry that could not become connections."""
    if isinstance(entry, str):
        raise refusal(f"`{entry}` is not a chain of areas", _chain_repair(entry), "bad-chain")
    if isinstance(entry, list | tuple) and entry:
        problem = f"lists of connections are nested more than {MAX_NESTING} deep"
        raise refusal(problem, "Use fewer brackets.", "bad-chain")
    if isinstance(entry, list | tuple):
        raise refusal("this list of connections is empty", "Remove it, or put connections into it.", "bad-chain")
    return entry


def _without_brackets(text: str) -> str:
    """The chain without brackets around it or around its names; a name may end with one: `V1 (L2/3)`."""
    around = r"^\s*[(\[{]\s*(.*?)\s*[)\]}]\s*$"
    return re.sub(around, r"\1", f" {ARROW} ".join(re.sub(around, r"\1", name.strip()) for name in text.split(ARROW)))


def _chain_repair(text: str) -> str:
    bare = _without_brackets(text) if re.search(r"(^|->)\s*[(\[{]", text) else text
    if chain_names(bare) and not chain_names(text):
        return f"Remove the brackets: write `{bare}`."
    text = bare
    if both := re.fullmatch(r"\s*([^<>]+?)\s*(?:<-+>|<=+>|↔|⇄)\s*([^<>]+?)\s*", text):
        return f"Write each direction: `{both[1]} {ARROW} {both[2]}` and `{both[2]} {ARROW} {both[1]}`."
    if back := re.fullmatch(r"\s*([^<>]+?)\s*(?:<-+|<=+|←)\s*([^<>]+?)\s*", text):
        return f"Write it from its source on: `{back[2]} {ARROW} {back[1]}`."
    others = r"\s*(?:[-=~]+>|→|--+|>)\s*" + r"|\s+[-~]\s+|,\s+" * (ARROW not in text)
    arrows = re.sub(others, f" {ARROW} ", text)
    if arrows != text and chain_names(arrows):
        return f"The arrow is `{ARROW}`: write `{arrows}`."
    if ARROW not in text:
        start = text.strip() or "V1"
        chain = f"{start} {ARROW} {'V1' if start == 'V2' else 'V2'}"
        return f"Write at least two areas, such as `{chain}`, or a mapping with `from` and `to`."
    return f"Write an area on both sides of every `{ARROW}`, as in `V1 {ARROW} V2`."


def expand_readouts(raw: object) -> object:
    """One readout stands for a list of one. Raises PydanticCustomError for an empty list."""
    if isinstance(raw, list | tuple) and not raw:
        raise PydanticCustomError("too_short", "too short", {"min_length": 1})
    return raw if isinstance(raw, list | tuple) else [raw]


def expand_operation(raw: object) -> object:
    """`relu` stands for `{relu: null}`; an entry names one operation or cell and its options.

    Raises PydanticCustomError `bad-operation` when the entry is neither.
    """
    if isinstance(raw, str):
        return {"name": raw}
    if isinstance(raw, Mapping) and len(raw) == 1:
        ((name, options),) = raw.items()
        return {"name": name, "options": options}
    if isinstance(raw, Mapping) and raw and all(isinstance(name, str) for name in raw):
        problem = f"this entry names {len(raw)} operations: {', '.join(raw)}"
        raise refusal(problem, f"Put each in a separate entry: `- {next(iter(raw))}: …`.", "bad-operation")
    return raw
