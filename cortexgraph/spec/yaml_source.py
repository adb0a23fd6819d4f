"""YAML and JSON text to plain data, with the line of every part. Nothing in a file is executed.

The language is YAML 1.2 (so `no` and `off` are text), without tags and merge keys; size, depth and the growth
by aliases are bounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.spec.origin import Path, path_text
from cortexgraph.spec.scalars import JSON_TYPES, STANDARD_TAG, key_type, scalar_value
from cortexgraph.wording import shortened

__all__ = ["Source", "read_json", "read_yaml"]

MAX_DEPTH = 50
MAX_NODES = 100_000


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
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        node = _bounded_yaml(file).compose(text)
    except MarkedYAMLError as error:
        raise _syntax_error(error, file) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found = f"the control character {text[error.position]!a} stands here"
        raise SpecError(Diagnostic("syntax", "", found, "a spec is plain text", file=file, line=line)) from None
    except (YAMLError, ValueError) as error:
        found = f"the YAML cannot be read: {shortened(str(error), 160)}"
        raise SpecError(Diagnostic("syntax", "", found, file=file)) from None
    reader = _Reader(file)
    reader.source.data = reader.value(node, ()) if node is not None else None
    return reader.source


def _bounded_yaml(file: str | None) -> Any:
    """A safe YAML 1.2 reader, which stops early at what is too deep or too large."""
    from ruamel.yaml import YAML
    from ruamel.yaml.composer import Composer

    class BoundedComposer(Composer):
        composed = within = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.warn_double_anchors = False  # the last one holds, as YAML says

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.within += 1
            self.composed += 1
            if self.within > MAX_DEPTH + 1:
                raise _too_deep(file, self.parser.peek_event().start_mark.line + 1)
            if self.composed > 2 * MAX_NODES:  # keys are nodes as well
                raise _too_large(file, self.parser.peek_event().start_mark.line + 1)
            node = super().compose_node(parent, index)
            self.within -= 1
            return node

    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = BoundedComposer
    return yaml


def read_json(text: str, file: str | None = None) -> Source:
    """Read JSON, which must be strict: no comments, no NaN.

    Raises:
        SpecError: for a syntax error, or data that is too deep or too large.
    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        found = f"the JSON cannot be read: {error.msg}"
        raise SpecError(Diagnostic("syntax", f"column {error.colno}", found, file=file, line=error.lineno)) from None
    except ValueError as error:  # from `_refuse_constant`, or a number of thousands of digits
        found = f"the JSON cannot be read: {str(error).split(':')[0]}"
        raise SpecError(Diagnostic("syntax", "", found, file=file)) from None
    except RecursionError:
        raise _too_deep(file) from None
    try:  # JSON is YAML, but for tabs between the parts
        source = read_yaml(text.replace("\t", " "), file)
    except SpecError as error:
        if error.diagnostics[0].code != "syntax":
            raise
        source = Source()  # then there are no lines to name
    return Source(data, source.lines, source.findings)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"`{name}` is not a JSON number")


def _too_large(file: str | None, line: int) -> SpecError:
    found = f"the spec has more than {MAX_NODES} values by here, with its aliases put in"
    return SpecError(Diagnostic("too-large", "", found, "no spec needs that", file=file, line=line))


def _too_deep(file: str | None, line: int | None = None) -> SpecError:
    found = f"lists and mappings are nested more than {MAX_DEPTH} deep"
    return SpecError(Diagnostic("too-deep", "", found, "no spec needs that", file=file, line=line))


def _syntax_error(error: Any, file: str | None) -> SpecError:
    mark = error.problem_mark or error.context_mark
    opened = error.context_mark.line + 1 if error.context_mark else None
    problem = " ".join((error.problem or str(error)).split()).removeprefix("but ")
    found = f"the YAML cannot be read here: {shortened(problem, 160)}"
    place, line = (f"column {mark.column + 1}", mark.line + 1) if mark else ("", None)
    repair = _syntax_repair(problem, error.context or "", opened)
    return SpecError(Diagnostic("syntax", place, found, repair=repair, file=file, line=line))


def _syntax_repair(problem: str, context: str, opened: int | None) -> str:
    if "\\t" in problem:
        return "Indent with spaces, not with tabs."
    if "mapping values are not allowed" in problem:
        return "Put text that contains `: ` in quotes, and compare the indentation with the line before."
    if "flow" in context and opened:
        return f"A bracket is opened on line {opened}: close it, and put a comma between its parts."
    if "quoted scalar" in context and opened:
        return f"A quote is opened on line {opened}: close it."
    if "single document" in context or "another document" in problem:
        return "A file holds one spec: remove the line `---` and what follows it."
    if "undefined alias" in problem:
        return "Define the anchor with `&` before it is used with `*`, or put the text in quotes."
    return "Compare the indentation and the brackets of this line with the line before."


class _Reader:
    """Walks the nodes of a document, once for each place at which an alias puts them."""

    def __init__(self, file: str | None) -> None:
        self.file = file
        self.source = Source()
        self.nodes = 0
        self.open: set[int] = set()  # the nodes that the walk is inside of

    def value(self, node: Any, path: Path) -> Any:
        line = node.start_mark.line + 1
        self.source.lines.setdefault(path, line)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _too_large(self.file, line)
        if len(path) > MAX_DEPTH:
            raise _too_deep(self.file, line)
        if str(node.tag).removeprefix(STANDARD_TAG) not in JSON_TYPES:
            tag = shortened(str(node.tag).replace(STANDARD_TAG, "!!"))
            self.find("tag", path, line, f"`{tag}` is a YAML tag", "Remove it: a spec has none.")
        if isinstance(node.value, str):
            return scalar_value(node)
        with self.inside(node, line):
            if node.id == "sequence":
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            return self.mapping(node, path)

    @contextmanager
    def inside(self, node: Any, line: int) -> Iterator[None]:
        if id(node) in self.open:
            raise SpecError(Diagnostic("alias-loop", "", "an alias contains itself", file=self.file, line=line))
        self.open.add(id(node))
        yield
        self.open.discard(id(node))

    def mapping(self, node: Any, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self.key(key_node, path, line)
            if key is None:
                continue
            place = (*path, key)
            if key in values:
                found = f"the key `{shortened(key)}` stands here and on line {self.source.lines[place]}"
                self.find("duplicate-key", place, line, found, "Keep one of the two.")
                continue
            self.source.lines[place] = line
            values[key] = self.value(value_node, place)
        return values

    def key(self, node: Any, path: Path, line: int) -> str | None:
        if not isinstance(node.value, str):
            self.find("key-not-text", path, line, "a key is a list or a mapping", "Write a key as plain text.")
            return None
        if node.tag == f"{STANDARD_TAG}merge":
            repair = "Write the keys out, or use `defaults` for what all areas or connections share."
            self.find("merge-key", path, line, "`<<` is a YAML merge key, which a spec has not", repair)
            return None
        if kind := key_type(node):
            found, repair = (
                f"the key `{node.value}` is {kind}, not text",
                f'Put it in quotes: `"{node.value}"`.',
            )
            self.find("key-not-text", (*path, str(node.value)), line, found, repair)
        return str(node.value)

    def find(self, code: str, path: Path, line: int, found: str, repair: str) -> None:
        self.source.findings.append(Diagnostic(code, path_text(path), found, repair=repair, file=self.file, line=line))
