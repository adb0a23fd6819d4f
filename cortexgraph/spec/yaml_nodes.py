"""The nodes of one YAML document, from libyaml's events: in one pass, which stops at what is too deep or too large."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.spec.scalars import STANDARD_TAG, scalar_type
from cortexgraph.wording import shortened

__all__ = ["MAX_DEPTH", "MAX_NODES", "MAX_TEXT", "NOT_TEXT", "YamlNode", "compose", "too_deep", "too_large"]

MAX_DEPTH = 50
MAX_NODES = 100_000
MAX_TEXT = 1_000_000
"""Characters of all texts, with the aliases put in, and bytes of a file."""

NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""A character that YAML does not let stand in a file."""


@dataclass(eq=False, slots=True)
class YamlNode:
    """A part of a document; an alias is the very node that its anchor names.

    Attributes:
        kind: scalar, sequence or mapping.
        tag: its type, such as `int`, without the prefix of the standard tags.
        line: from 1.
        text: of a scalar.
        items: of a sequence; of a mapping its keys and values by turns.
    """

    kind: str
    tag: str
    line: int
    text: str = ""
    items: list[YamlNode] = field(default_factory=list)


def compose(text: str, file: str | None) -> YamlNode | None:
    """The root of the document, or None if there is none.

    Raises:
        SpecError: for a syntax error, or data that is too deep or too large.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the second where PyYAML was built without libyaml
    composer = _Composer(yaml.parse(text, Loader=loader), file)
    try:
        return composer.document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, file, composer.brackets) from None
    except (yaml.reader.ReaderError, UnicodeEncodeError):
        raise _unreadable_sign(text, file) from None
    except (yaml.YAMLError, ValueError) as error:
        found = f"the YAML cannot be read: {shortened(str(error), 160)}"
        raise SpecError(Diagnostic("syntax", "", found, file=file)) from None


class _Composer:
    """Reads events to nodes."""

    def __init__(self, events: Iterator[Any], file: str | None) -> None:
        self.events, self.file = events, file
        self.anchors: dict[str, YamlNode] = {}
        self.composed = 0
        self.brackets: list[int] = []  # lines of those that are open

    def document(self) -> YamlNode | None:
        root = None
        for event in self.events:
            if event.__class__.__name__ != "DocumentStartEvent":
                continue
            line = event.start_mark.line + 1
            if root is not None:
                found, repair = "a second document starts here", "A file holds one spec: remove what follows this line."
                raise SpecError(Diagnostic("syntax", "", found, repair=repair, file=self.file, line=line))
            root = self.node(next(self.events), 1)
        return root

    def node(self, event: Any, depth: int) -> YamlNode:
        kind, line = event.__class__.__name__, event.start_mark.line + 1
        self.composed += 1
        if depth > MAX_DEPTH + 1:
            raise too_deep(self.file, line)
        if self.composed > 2 * MAX_NODES:  # keys are nodes as well
            raise too_large(self.file, line)
        if kind == "AliasEvent":
            return self.alias(event.anchor, event.start_mark)
        node = _node_of(event, kind, line)
        if event.anchor is not None:
            self.anchors[event.anchor] = node  # of several, the last one holds, as YAML says
        if node.kind != "scalar":
            self.fill(node, depth, in_brackets=event.flow_style)
        return node

    def fill(self, node: YamlNode, depth: int, *, in_brackets: bool) -> None:
        if in_brackets:
            self.brackets.append(node.line)
        end = "SequenceEndEvent" if node.kind == "sequence" else "MappingEndEvent"
        while (inner := next(self.events)).__class__.__name__ != end:
            node.items.append(self.node(inner, depth + 1))
        if in_brackets:
            self.brackets.pop()

    def alias(self, name: str, mark: Any) -> YamlNode:
        if name not in self.anchors:
            short = shortened(name)
            found = f"the alias `*{short}` has no anchor `&{short}` before it"
            repair = f"Write `&{short}` before the value that is meant, or put text that starts with `*` in quotes."
            place = f"column {mark.column + 1}"
            raise SpecError(Diagnostic("syntax", place, found, repair=repair, file=self.file, line=mark.line + 1))
        return self.anchors[name]


def _node_of(event: Any, kind: str, line: int) -> YamlNode:
    tag = None if event.tag in (None, "!") else str(event.tag).removeprefix(STANDARD_TAG)
    if kind == "SequenceStartEvent":
        return YamlNode("sequence", tag or "seq", line)
    if kind == "MappingStartEvent":
        return YamlNode("mapping", tag or "map", line)
    plain = event.tag is None and event.implicit[0]
    return YamlNode("scalar", tag or (scalar_type(event.value) if plain else "str"), line, event.value)


# ---- what cannot be read -----------------------------------------------------


def too_large(file: str | None, line: int | None, what: str = f"more than {MAX_NODES:,} values") -> SpecError:
    """What a spec has too much of by a line."""
    found = f"the spec has {what} by here, with its aliases put in"
    return SpecError(Diagnostic("too-large", "", found, "no spec needs that", file=file, line=line))


def too_deep(file: str | None, line: int | None = None) -> SpecError:
    """Nesting beyond what a spec needs."""
    found = f"lists and mappings are nested more than {MAX_DEPTH} deep"
    return SpecError(Diagnostic("too-deep", "", found, "no spec needs that", file=file, line=line))


def _unreadable_sign(text: str, file: str | None) -> SpecError:
    """The place in libyaml's error counts bytes: the sign is looked for here."""
    bad = NOT_TEXT.search(text)
    at = bad.start() if bad else 0
    found, line = f"the control character {text[at]!a} stands here", text.count("\n", 0, at) + 1
    repair = "Save the file as UTF-8." if text[at] == "\0" else "Remove it, or write it as an escape in double quotes."
    return SpecError(Diagnostic("syntax", "", found, "a spec is plain text", repair, file=file, line=line))


def _syntax_error(error: Any, file: str | None, brackets: list[int]) -> SpecError:
    mark = error.problem_mark or error.context_mark
    if "nesting depth" in (error.problem or ""):  # libyaml looks ahead
        return too_deep(file, mark.line + 1)
    opened = error.context_mark.line + 1 if error.context_mark else None
    problem = " ".join((error.problem or str(error)).split())
    found = f"the YAML cannot be read here: {shortened(problem, 160)}"
    place, line = (f"column {mark.column + 1}", mark.line + 1) if mark else ("", None)
    repair = _syntax_repair(problem, error.context or "", opened, brackets)
    return SpecError(Diagnostic("syntax", place, found, repair=repair, file=file, line=line))


def _syntax_repair(problem: str, context: str, opened: int | None, brackets: list[int]) -> str:
    if "cannot start any token" in problem:
        return "Indent with spaces, not with tabs, and put text that starts with a sign such as `@` or `%` in quotes."
    if "quoted scalar" in context and "end of stream" in problem:
        return f"A quote is opened on line {opened}: close it."
    if "quoted scalar" in context:
        return "Write a backslash in double quotes as two, or use single quotes."
    if brackets:
        return f"A bracket is opened on line {brackets[-1]}: close it, and put a comma between its parts."
    if "mapping values are not allowed" in problem:
        return "Put text that contains `: ` in quotes, and compare the indentation with the line before."
    return "Compare the indentation and the brackets of this line with the line before."
