"""`--set path=value`: changes to a spec's data before it is validated."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from cortexgraph.errors import CortexGraphWarning, Diagnostic, SpecError
from cortexgraph.spec.messages import shown
from cortexgraph.spec.origin import Path, path_text
from cortexgraph.spec.reading import read_yaml
from cortexgraph.spec.shorthand import ARROW, WORDS, chain_names, expanded_connections
from cortexgraph.wording import quoted, shortened, similar, suggest

PART = re.compile(
    r"""
    (?:^|\.) (?P<word>[^.\[\]=]+)
    | \[\s* (?: '(?P<single>[^']*)' | "(?P<double>[^"]*)" | (?P<bare>[^\]]+?) ) \s*\]
    """,
    re.VERBOSE,
)
MOST_DIGITS = 9
"""Of an index."""
EXAMPLE = "Write `path=value`, such as `time.steps=4`, `areas['TH/TF'].size=8` or `connections[2].kernel=1`."


@dataclass(frozen=True)
class Override:
    """A value to set at a path of the data; `text` is how the user wrote it, such as `--set time.steps=4`."""

    path: Path
    value: Any
    text: str

    def error(self, found: str, expected: str = "", repair: str = "") -> SpecError:
        """What is wrong with this override."""
        return SpecError(Diagnostic("bad-override", shortened(self.text, 66), found, expected, repair))


def parse_overrides(overrides: Mapping[str, object] | Iterable[str | Override]) -> list[Override]:
    """Overrides from `path=value` texts, from a mapping of paths to Python values, or ready ones.

    Raises SpecError with every text that is not an override.
    """
    texts = [overrides] if isinstance(overrides, str) else overrides
    parsed: list[Override] = []
    findings: list[Diagnostic] = []
    for item in texts.items() if isinstance(texts, Mapping) else texts:
        try:
            parsed.append(_parsed(item))
        except SpecError as error:
            findings.extend(error.diagnostics)
    if findings:
        raise SpecError(findings)
    return parsed


def _parsed(item: str | Override | tuple[str, object]) -> Override:
    if isinstance(item, Override):
        return item
    if isinstance(item, tuple):
        text, value = item
        path, end = _path(text)
        override = Override(path, value, f"--set {text}={value}")
        if not path or end != len(text):
            raise override.error(f"`{shortened(text)}` is not a path", repair=EXAMPLE)
        return override
    path, end = _path(item)
    if path and ":" in str(path[0]):
        repair = f"Write `{shortened(item.replace(':', '.', 1))}`."
        raise Override((), None, f"--set {item}").error(f"`{shortened(str(path[0]))}` is not a path", repair=repair)
    if not path or item[end : end + 1] != "=":
        raise Override((), None, f"--set {item}").error("this is not `path=value`", repair=EXAMPLE)
    return written_override(path, item[end + 1 :], f"--set {item}")


def written_override(path: Path, value: str, text: str) -> Override:
    """An override whose value is written in YAML. Raises SpecError if it cannot be read."""
    override = Override(path, None, text)
    try:
        source = read_yaml(value)
    except SpecError as error:
        finding = error.diagnostics[0]
        problem = finding.found.removeprefix("the YAML cannot be read here: ")
        repair = finding.repair.replace(" on line 1", "") if "opened" in finding.repair else "Put text in quotes."
        raise override.error(f"the value cannot be read: {problem}", repair=repair) from None
    if source.findings:
        raise override.error(source.findings[0].found, repair=source.findings[0].repair)
    return replace(override, value=source.data)


def _path(text: str) -> tuple[Path, int]:
    """The path that the text starts with, and where it ends."""
    parts: list[str | int] = []
    end = 0
    while match := PART.match(text, end):
        end = match.end()
        bare = match["bare"]
        if bare is not None:
            parts.append(int(bare) if bare.isascii() and bare.isdigit() and len(bare) < 10 else bare)
        else:
            parts.append((match["word"] or match["single"] or match["double"] or "").strip())
    return tuple(parts), end


def apply_overrides(data: dict[str, object], overrides: list[Override]) -> dict[Path, str]:
    """Set each override in the data; returns what set each path, such as `--set time.steps=4`.

    Raises SpecError with every override that leads nowhere; the others are set.
    """
    settings: dict[Path, str] = {}
    findings: list[Diagnostic] = []
    for override in overrides:
        try:
            start, end = _set(data, override)
        except SpecError as error:
            findings.extend(error.diagnostics)
            continue
        for stale in [path for path in settings if path[: len(end)] == end]:
            del settings[stale]
        settings |= {end[:depth]: override.text for depth in range(start, len(end) + 1)}
    if findings:
        raise SpecError(findings)
    return settings


def _set(data: dict[str, object], override: Override) -> tuple[int, Path]:
    """Set one value; returns its path, and the depth from which on the path is new."""
    parts, entries, areas = override.path, data.get("connections"), data.get("areas")
    if parts[0] not in data and isinstance(areas, dict) and parts[0] in areas:
        found = f"the spec has no key `{parts[0]}`, but an area of this name"
        raise override.error(found, repair=f"Write `areas.{override.text.removeprefix('--set ')}`.")
    if parts[0] == "connections" and len(parts) > 2 and isinstance(entries, list) and not str(parts[1]).isdecimal():
        parts = ("connections", *_connection(entries, str(parts[1]), override), *parts[2:])
    elif parts[0] == "connections" and isinstance(entries, list) and [*map(type, parts[1:3])] in ([int], [int, str]):
        _warn_of_other_count(entries, int(parts[1]), override)
    node: Any = data
    path: Path = ()
    new_from = len(parts)
    for part in parts[:-1]:
        key = _key(node, part, path, override)
        if isinstance(node, dict) and node.get(key) is None:
            if path == ("areas",):
                raise _no_such_area(str(key), node, override)
            node[key] = {}
            new_from = min(new_from, len(path) + 1)
        node[key] = _opened(node[key], key, path)
        node, path = node[key], (*path, key)
    key = _key(node, parts[-1], path, override)
    node[key] = deepcopy(override.value)
    return new_from, (*path, key)


def _warn_of_other_count(entries: list[Any], index: int, override: Override) -> None:
    """Say which connection an index means, where chains and lists before it make the connections more than the entries.

    Overrides count the entries of the file; `spec.connections` counts single connections.
    """
    expanded = [(path[0], item) for path, item in expanded_connections(entries) if isinstance(item, Mapping)]
    labels = [f"{item.get('from')} {ARROW} {item.get('to')}" for _, item in expanded]
    position = next((n for n, (entry, _) in enumerate(expanded) if entry == index), index)
    if position > index:
        warnings.warn(
            f"{shortened(override.text, 66)}: `connections[{index}]` is entry {index} of the list, {labels[position]}; "
            f"`spec.connections[{index}]` is {labels[index]}. Name connections by their ends, such as "
            f"`connections[{labels[position]}]`",
            CortexGraphWarning,
            stacklevel=2,
        )


def _connection(entries: list[Any], word: str, override: Override) -> Path:
    """Where the connection with this name, or these ends as in `V4 -> V2`, is written; its chain becomes mappings."""
    expanded = [(path, item) for path, item in expanded_connections(entries) if isinstance(item, Mapping)]
    labels = [f"{item.get('from')} {ARROW} {item.get('to')}" for _, item in expanded]
    label = f" {ARROW} ".join(chain_names(word) or [word])
    places = [n for n, (_, item) in enumerate(expanded) if label == labels[n] or word == item.get("name")]
    if not places:
        problem = f"no connection is called `{shortened(word)}`, and `{shortened(word)}` is not an index"
        raise override.error(
            problem, repair=suggest(label, labels, "Name one by its ends, as in `connections[A -> B]`.")
        )
    if len(places) > 1:
        repair = "Name it by its `name`, or by its index as in `connections[2]`."
        raise override.error(f"{len(places)} connections are called `{shortened(word)}`", repair=repair)
    path, _ = expanded[places[0]]
    *above, last = path
    for index in above:
        entries = entries[index]
    if not isinstance(entries[last], str):
        return path
    chain = [(n, item) for n, (other, item) in enumerate(expanded) if other == path]
    entries[last] = [dict(item) for _, item in chain]
    return (*path, [n for n, _ in chain].index(places[0]))


def _key(node: object, part: str | int, path: Path, override: Override) -> str | int:
    """The key or index that a part of the path means in this node."""
    if isinstance(node, dict):
        return str(part)
    where = f"`{path_text(path)}`"
    if not isinstance(node, list):
        repair = ""
        if path[:1] == ("connections",) and isinstance(node, str) and "->" in node:
            ends = " -> ".join(name.strip() for name in node.split("->")[:2])
            repair = f"Name a connection of the chain by its ends, as in `connections[{shortened(ends)}].{part}`."
        raise override.error(f"{where} is {shown(node)}", f"it must be a mapping to have `{part}`", repair)
    if not str(part).isdecimal() or len(str(part)) > MOST_DIGITS:
        raise override.error(
            f"{where} is a list", f"`{shortened(str(part))}` is not an index", f"Write {where[:-1]}[0]`, and so on."
        )
    if int(part) >= len(node):
        last = f"the last one is {where[:-1]}[{len(node) - 1}]`" if node else "it is empty"
        raise override.error(f"{where} has no entry {part}: {last}")
    return int(part)


def _opened(value: object, key: str | int, path: Path) -> object:
    """A word or a chain of one connection as the mapping that it stands for."""
    if not isinstance(value, str):
        return value
    if key in WORDS:
        return {WORDS[str(key)]: value}
    names = chain_names(value)
    if path[:1] == ("connections",) and names and len(names) == 2:
        return {"from": names[0], "to": names[1]}
    return value


def _no_such_area(name: str, areas: Mapping[str, object], override: Override) -> SpecError:
    guess = similar(name, list(areas))
    new = f"To add an area, write `areas['{shortened(name)}']={{channels: 32}}`."
    problem = f"no area is called `{shortened(name)}`; the areas are {quoted(areas) or 'none'}"
    return override.error(problem, repair=f"Did you mean `{guess}`?" if guess else new)
