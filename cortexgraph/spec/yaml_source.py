"""YAML and JSON text to plain data, with the line of every part. Nothing in a file is executed.

The language is YAML 1.2 (so `no` and `off` are text), without tags and merge keys; size, depth and the growth
by aliases are bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.spec.origin import Path, path_text
from cortexgraph.spec.scalars import JSON_TYPES, MERGE, key_type, scalar_value
from cortexgraph.spec.yaml_nodes import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_TEXT,
    NOT_TEXT,
    YamlNode,
    compose,
    too_deep,
    too_large,
)
from cortexgraph.wording import shortened

__all__ = ["Source", "read_json", "read_yaml"]


@dataclass
class Source:
    """Plain data, the line of each of its paths, and what is wrong with the way it is written."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    findings: list[Diagnostic] = field(default_factory=list)


def read_yaml(text: str, file: str | None = None) -> Source:
    """Read one YAML document.

    Raises:
        SpecError: for a syntax error, or data that is too deep or too large.
    """
    node = compose(text, file)
    reader = _Reader(file)
    reader.source.data = reader.value(node, ()) if node is not None else None
    return reader.source


def read_json(text: str, file: str | None = None) -> Source:
    """Read JSON, which must be strict: no comments, no NaN.

    Raises:
        SpecError: for a syntax error, or data that is too deep or too large.
    """
    if not text.strip():
        return Source()
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        found = f"the JSON cannot be read here: {error.msg[:1].lower()}{error.msg[1:]}"
        place, repair = f"column {error.colno}", "Close every bracket and quote, and separate parts by single commas."
        raise SpecError(Diagnostic("syntax", place, found, repair=repair, file=file, line=error.lineno)) from None
    except ValueError as error:  # from `_refuse_constant`, or a number of thousands of digits
        reason = "it has a number of thousands of digits" if "digits" in str(error) else str(error)
        raise SpecError(Diagnostic("syntax", "", f"the JSON cannot be read: {reason}", file=file)) from None
    except RecursionError:
        raise too_deep(file) from None
    source = _lines_of_json(text, file)
    return Source(data, source.lines, source.findings)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"`{name}` is not a JSON number")


def _lines_of_json(text: str, file: str | None) -> Source:
    """JSON is YAML but for tabs between the parts, control characters, and characters escaped in halves."""
    halves = re.sub(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", r"\\ufffd", text.replace("\t", " "))
    try:
        return read_yaml(NOT_TEXT.sub("?", halves), file)
    except SpecError as error:
        if error.diagnostics[0].code != "syntax":
            raise
        return Source()  # then there are no lines to name


class _Reader:
    """Walks the nodes of a document, once for each place at which an alias puts them."""

    def __init__(self, file: str | None) -> None:
        self.file = file
        self.source = Source()
        self.nodes = self.characters = 0
        self.open: set[int] = set()  # the nodes that the walk is inside of

    def value(self, node: YamlNode, path: Path) -> Any:
        self.source.lines.setdefault(path, node.line)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise too_large(self.file, node.line)
        if len(path) > MAX_DEPTH:
            raise too_deep(self.file, node.line)
        if node.tag not in JSON_TYPES:
            tag = shortened(node.tag if node.tag.startswith("!") else f"!!{node.tag}")
            self.find("tag", path, node.line, f"`{tag}` is a YAML tag", "Remove it: a spec has none.")
        if node.kind == "scalar":
            return scalar_value(node.tag, self.text(node))
        with self.inside(node):
            if node.kind == "sequence":
                return [self.value(item, (*path, index)) for index, item in enumerate(node.items)]
            return self.mapping(node, path)

    def text(self, node: YamlNode) -> str:
        self.characters += len(node.text)
        if self.characters > MAX_TEXT:
            raise too_large(self.file, node.line, f"more than {MAX_TEXT:,} characters")
        return node.text

    @contextmanager
    def inside(self, node: YamlNode) -> Iterator[None]:
        if id(node) in self.open:
            raise SpecError(Diagnostic("alias-loop", "", "an alias contains itself", file=self.file, line=node.line))
        self.open.add(id(node))
        yield
        self.open.discard(id(node))

    def mapping(self, node: YamlNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in zip(node.items[::2], node.items[1::2], strict=True):
            key = self.key(key_node, path)
            if key is None:
                continue
            place = (*path, key)
            if key in values:
                found = f"the key `{shortened(key)}` stands here and on line {self.source.lines[place]}"
                self.find("duplicate-key", place, key_node.line, found, "Keep one of the two.")
                continue
            self.source.lines[place] = key_node.line
            values[key] = self.value(value_node, place)
        return values

    def key(self, node: YamlNode, path: Path) -> str | None:
        if node.kind != "scalar":
            found = f"a key is a {'list' if node.kind == 'sequence' else 'mapping'}"
            self.find("key-not-text", path, node.line, found, "Write a key as plain text.")
            return None
        key = self.text(node)
        if key == MERGE and node.tag in ("str", "merge"):
            repair = "Write the keys out, or use `defaults` for what all areas or connections share."
            self.find("merge-key", path, node.line, "`<<` is a YAML merge key, which specs do not support", repair)
            return None
        if kind := key_type(node.tag):
            short = shortened(key)
            found, repair = f"the key `{short}` is {kind}, not text", f'Put it in quotes: `"{short}"`.'
            self.find("key-not-text", (*path, key), node.line, found, repair)
        return key

    def find(self, code: str, path: Path, line: int, found: str, repair: str) -> None:
        self.source.findings.append(Diagnostic(code, path_text(path), found, repair=repair, file=self.file, line=line))
