"""YAML and JSON text to plain data, with the line of every part. Nothing in a file is executed.

The language is YAML 1.2 (so `no` and `off` are text), without tags and merge keys. Size, depth and the growth by
aliases are bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.files import MAX_TEXT
from cortexgraph.spec.origin import Path, path_text
from cortexgraph.wording import shortened

MAX_DEPTH = 50
MAX_VALUES = 100_000

STANDARD_TAG = "tag:yaml.org,2002:"
CORE: tuple[tuple[str, str, str], ...] = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
)
"""The core schema of YAML 1.2: type, pattern of its plain scalars, and the characters that they start with."""

NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""A character that YAML does not allow in a file."""


@dataclass
class Source:
    """Plain data, the line of each of its paths, and errors in the way it is written."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    findings: list[Diagnostic] = field(default_factory=list)


def read_json(text: str, file: str | None = None) -> Source:
    """Read JSON, which must be strict: no comments, no NaN. Raises SpecError as `read_yaml` does."""
    if not text.strip():
        return Source()
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = f"the JSON cannot be read here: {error.msg[:1].lower()}{error.msg[1:]}"
        place, repair = f"column {error.colno}", "Close every bracket and quote, and separate parts by single commas."
        raise SpecError(Diagnostic("syntax", place, problem, repair=repair, file=file, line=error.lineno)) from None
    except ValueError as error:  # from `_refuse_constant`, or a number of thousands of digits
        reason = "it has a number of thousands of digits" if "digits" in str(error) else str(error)
        raise SpecError(Diagnostic("syntax", "", f"the JSON cannot be read: {reason}", file=file)) from None
    except RecursionError:
        raise _too_deep(file) from None
    # For the lines. JSON is YAML but for tabs between the parts, control characters, and characters escaped in halves.
    halves = re.sub(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", r"\\ufffd", text.replace("\t", " "))
    try:
        source = read_yaml(NOT_TEXT.sub("?", halves), file)
    except SpecError as error:
        if error.diagnostics[0].code != "syntax":
            raise
        return Source(data)
    return Source(data, source.lines, source.findings)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"`{name}` is not a JSON number")


def read_yaml(text: str, file: str | None = None) -> Source:
    """Read one YAML document. Raises SpecError for a syntax error, or data that is too deep or too large."""
    import yaml

    loader: object = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the second where PyYAML was built without libyaml
    events = yaml.parse(text, Loader=loader)
    reader = _Reader(lambda: next(events), file)
    try:
        reader.document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, file, reader.open_brackets(), text) from None
    except (yaml.reader.ReaderError, UnicodeEncodeError):
        raise _unreadable_character(text, file) from None
    except (yaml.YAMLError, ValueError) as error:
        problem = f"the YAML cannot be read: {shortened(str(error), 160)}"
        raise SpecError(Diagnostic("syntax", "", problem, file=file)) from None
    return reader.source


class _Reader:
    """Reads libyaml's events to values. An alias reads the events of its anchor once more."""

    def __init__(self, parse: Callable[[], Any], file: str | None) -> None:
        self.parse, self.file = parse, file
        self.source = Source()
        self.events: list[Any] = []
        self.at = 0  # index of the next event
        self.anchors: dict[str, int] = {}  # index of the event that has the anchor
        self.targets: dict[int, int] = {}  # the same for each event that is an alias
        self.open: list[int] = []  # indices of the lists and mappings that are being read
        self.values = self.characters = 0

    def take(self) -> int:
        """The index of the next event."""
        if self.at == len(self.events):
            self.events.append(event := self.parse())
            anchor = getattr(event, "anchor", None)
            if _kind(event) == "Alias":
                self.targets[self.at] = self.target(event)
            elif anchor is not None:
                self.anchors[anchor] = self.at  # of several, the last one holds, as YAML says
        self.at += 1
        return self.at - 1

    def target(self, event: Any) -> int:
        if event.anchor not in self.anchors:
            name, place = shortened(event.anchor), f"column {event.start_mark.column + 1}"
            problem = f"the alias `*{name}` has no anchor `&{name}` before it"
            repair = f"Write `&{name}` before the value that is meant, or put text that starts with `*` in quotes."
            finding = Diagnostic("syntax", place, problem, repair=repair, file=self.file, line=_line(event))
            raise SpecError(finding)
        return self.anchors[event.anchor]

    def open_brackets(self) -> list[int]:
        """The lines of the brackets and braces that are open."""
        return [_line(self.events[index]) for index in self.open if self.events[index].flow_style]

    def document(self) -> None:
        self.take()  # the start of the stream
        if _kind(self.events[self.take()]) == "StreamEnd":
            return
        self.source.data = self.value(())
        self.take()  # the end of the document
        event = self.events[self.take()]
        if _kind(event) == "DocumentStart":
            problem, repair = "a second document starts here", "A file holds one spec: remove what follows this line."
            raise SpecError(Diagnostic("syntax", "", problem, repair=repair, file=self.file, line=_line(event)))

    def value(self, path: Path) -> object:
        index = self.take()
        if index in self.targets:
            back, self.at = self.at, self.targets[index]
            value = self.value(path)
            self.at = back
            return value
        event = self.events[index]
        line, tag = _line(event), _tag(event)
        self.source.lines.setdefault(path, line)
        self.values += 1
        if self.values > MAX_VALUES:
            raise self.grown(f"more than {MAX_VALUES:,} values", line)
        if len(path) > MAX_DEPTH:
            raise _too_deep(self.file, line)
        if tag not in {"map", "seq", "str", "int", "float", "bool", "null"}:
            written = shortened(tag if tag.startswith("!") else f"!!{tag}")
            self.find("tag", path, line, f"`{written}` is a YAML tag", "Remove it: specs do not support tags.")
        if _kind(event) == "Scalar":
            return _scalar(tag, self.text(event))
        if index in self.open:
            problem, repair = "an alias contains itself", "Write the value out."
            raise SpecError(Diagnostic("alias-loop", "", problem, repair=repair, file=self.file, line=line))
        self.open.append(index)
        value = self.sequence(path) if _kind(event) == "SequenceStart" else self.mapping(path)
        self.open.pop()
        return value

    def text(self, event: Any) -> str:
        self.characters += len(event.value)
        if self.characters > MAX_TEXT:
            raise self.grown(f"more than {MAX_TEXT:,} characters", _line(event))
        return str(event.value)

    def ends(self) -> bool:
        """Whether the list or mapping ends here; then its end is taken."""
        if _kind(self.events[self.take()]).endswith("End"):
            return True
        self.at -= 1
        return False

    def skip(self) -> None:
        """Take a value and all that is inside it."""
        depth, first = 0, True
        while depth or first:
            kind, first = _kind(self.events[self.take()]), False
            depth += kind.endswith("Start") - kind.endswith("End")

    def sequence(self, path: Path) -> list[object]:
        items: list[object] = []
        while not self.ends():
            items.append(self.value((*path, len(items))))
        return items

    def mapping(self, path: Path) -> dict[str, object]:
        values: dict[str, Any] = {}
        while not self.ends():
            key, line = self.key(path)
            if key is None:
                self.skip()
            elif key in values:
                place = (*path, key)
                problem = f"the key `{shortened(key)}` appears here and on line {self.source.lines[place]}"
                self.find("duplicate-key", place, line, problem, "Keep one of the two.")
                self.skip()
            else:
                self.source.lines[(*path, key)] = line
                values[key] = self.value((*path, key))
        return values

    def key(self, path: Path) -> tuple[str | None, int]:
        """A key and its line; None for a key that a spec cannot have."""
        index = self.take()
        event = self.events[self.targets.get(index, index)]
        line = _line(event)
        if _kind(event) != "Scalar":
            self.at = index
            self.skip()
            problem = f"a key is a {'list' if _kind(event) == 'SequenceStart' else 'mapping'}"
            self.find("key-not-text", path, line, problem, "Write a key as plain text.")
            return None, line
        key, tag = self.text(event), _tag(event)
        if key == "<<" and tag in ("str", "merge"):
            repair = "Write the keys out, or use `defaults` for what all areas or connections share."
            self.find("merge-key", path, line, "`<<` is a YAML merge key, which specs do not support", repair)
            return None, line
        kinds = {"int": "a number", "float": "a number", "bool": "a truth value", "null": "nothing"}
        if tag in kinds:
            short = shortened(key)
            problem, repair = f"the key `{short}` is {kinds[tag]}, not text", f'Put it in quotes: `"{short}"`.'
            self.find("key-not-text", (*path, key), line, problem, repair)
        return key, line

    def find(self, code: str, path: Path, line: int, found: str, repair: str) -> None:
        self.source.findings.append(Diagnostic(code, path_text(path), found, repair=repair, file=self.file, line=line))

    def grown(self, what: str, line: int) -> SpecError:
        return too_large(f"the spec has {what} up to this line, with aliases expanded", self.file, line)


def _kind(event: object) -> str:
    return type(event).__name__.removesuffix("Event")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _tag(event: Any) -> str:
    """The type of a value, such as `int`, or its tag."""
    if event.tag not in (None, "!"):
        return str(event.tag).removeprefix(STANDARD_TAG)
    if _kind(event) != "Scalar":
        return "seq" if _kind(event) == "SequenceStart" else "map"
    plain = event.tag is None and event.implicit[0]
    return next((kind for kind, pattern, _ in CORE if plain and re.fullmatch(pattern, event.value)), "str")


def _scalar(kind: str, text: str) -> str | int | float | bool | None:
    """The value of a scalar; its text where the type is another one, or does not fit."""
    try:
        if kind == "int":
            return int(text, 10 if text.lstrip("+-").isdigit() else 0)  # `010` is ten
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:  # more digits than Python reads, or `!!int abc`
        return text
    if kind == "bool":
        return text.lower() == "true"
    return None if kind == "null" else text


# ---- what cannot be read -----------------------------------------------------


def too_large(found: str, file: str | None, line: int | None = None) -> SpecError:
    """A text, or what it expands to, is larger than a spec can be."""
    return SpecError(Diagnostic("too-large", "", found, "no spec needs that", file=file, line=line))


def _too_deep(file: str | None, line: int | None = None) -> SpecError:
    problem = f"lists and mappings are nested more than {MAX_DEPTH} deep"
    return SpecError(Diagnostic("too-deep", "", problem, "no spec needs that", file=file, line=line))


def _unreadable_character(text: str, file: str | None) -> SpecError:
    """The place in libyaml's error counts bytes: the character is looked up here."""
    match = NOT_TEXT.search(text)
    at = match.start() if match else 0
    problem, line = f"the control character {text[at]!a} stands here", text.count("\n", 0, at) + 1
    repair = "Save the file as UTF-8." if text[at] == "\0" else "Remove it, or write it as an escape in double quotes."
    return SpecError(Diagnostic("syntax", "", problem, "a spec is plain text", repair, file=file, line=line))


def _syntax_error(error: Any, file: str | None, brackets: list[int], text: str) -> SpecError:
    mark = error.problem_mark or error.context_mark
    if "nesting depth" in (error.problem or ""):  # libyaml looks ahead
        return _too_deep(file, mark.line + 1)
    opened = error.context_mark.line + 1 if error.context_mark else None
    problem = " ".join((error.problem or str(error)).split())
    place, line = (f"column {mark.column + 1}", mark.line + 1) if mark else ("", None)
    repair = _syntax_repair(problem, error.context or "", opened, brackets)
    for number, written in [*enumerate(text.split("\n"), 1)][max(0, mark.line - 1) : mark.line + 1] if mark else ():
        if tight := re.search(r"([\w-]+):([{\[])", written) or re.fullmatch(r"\s*([\w-]+):([\w.]+)\s*", written):
            repair = f"Put a space after the colon: `{tight[1]}: {tight[2]}`."
            place, line = f"column {tight.start(2) + 1}", number
    found = f"the YAML cannot be read here: {shortened(problem, 160)}"
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
