"""Writes docs/language.md from the models of a spec and the registry of operations and cells.

Run it after a change of the language: python docs/make_language.py. A test says when it was forgotten.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cortexgraph.ops import CELLS, NORMS, OPERATIONS, Kind
from cortexgraph.spec import (
    AreaSpec,
    ConnectionDefaults,
    ConnectionSpec,
    InputSpec,
    NetworkSpec,
    NormSpec,
    ReadoutSpec,
    ResizeSpec,
    Span,
    TieSpec,
    TimeSpec,
)
from cortexgraph.spec.connection import SHORTHAND
from cortexgraph.spec.lookup import written_key

TARGET = Path(__file__).parent / "language.md"

INTRODUCTION = """\
# The language

A spec is YAML or JSON. This page lists every key with its meaning, default and an example; what a spec *means*, step by
step, is on the page [semantics.md](semantics.md). Sizes are in pixels of the state, delays in steps unless the key
ends in `_ms`, all counts are whole numbers. An unknown key is an error. `cortexgraph schema` writes the same as JSON
Schema, for completion in editors; `cortexgraph new` writes a commented spec to start from.

This page is generated from the models by `docs/make_language.py`.
"""

PARTS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("The spec", NetworkSpec, ""),
    ("`input`", InputSpec, ""),
    ("An area: an entry of `areas`", AreaSpec, "`norm`, `activation` and `cell` may stand under `defaults.area` too."),
    (
        "`norm`",
        NormSpec,
        "A word stands for its kind: `norm: batch`. Registered kinds: " + ", ".join(f"`{n}`" for n in NORMS),
    ),
    (
        "A connection: an entry of `connections`",
        ConnectionSpec,
        "`V1 -> V2 -> V4` stands for two connections with nothing but ends, and a list may stand where an entry may. "
        + ", ".join(f"`{key}`" for key in ConnectionDefaults.model_fields)
        + " may stand under `defaults.connection` too.",
    ),
    ("`resize`", ResizeSpec, "A word stands for its mode: `resize: bilinear`."),
    ("`tie`", TieSpec, "Text stands for the connection: `tie: V1 -> V2`."),
    (
        "A span of steps",
        Span,
        "`input.present` and a connection's `active` are `always`, `first`, a list of steps, or such a span; "
        "`active` may also be `never`.",
    ),
    ("`readout`", ReadoutSpec, "One readout, or a list of several, which are then returned by name."),
    ("`time`", TimeSpec, ""),
)

CHAINS = """\
## Operations

A `transform` and a `body` are chains: lists of operations, each a word (`relu`), a word with its main option
(`{conv: 3}`), or a word with its options (`{conv: {kernel: 3, stride: 2}}`). What is learned stands in the state dict
under the area's name, or the connection's `name` (its ends, where it has none), and the operation's word:
`V1_to_V2.conv.weight`; a second operation of that word is `conv_2`. Characters other than letters, digits and `_`
become `_`. What is per step has the number of the update between: `V1.norm.0.weight`. State dicts of version 0.1, which
called every connection by its ends, and a `conv_transpose` by the word `conv`, load under the new names. Convolutions
of a transform take what they do not set of {keys} from `defaults.connection`.
"""

CELL_TEXT = """\
## Cells

A cell makes an area's new state from x, the result of its body, and the old state h, which is 0 where the area was
silent. Every carried tensor has the shape of the state. Written as operations are: `cell: {leaky: {decay: 0.5}}`.
"""


def page() -> str:
    """The text of docs/language.md."""
    sections = [INTRODUCTION]
    for heading, model, note in PARTS:
        sections.append("\n".join([f"## {heading}", "", *_paragraph(model.__doc__), *_note(note), *_fields(model), ""]))
    keys = ", ".join(f"`{key}`" for key in SHORTHAND if key in ConnectionDefaults.model_fields)
    sections += [
        CHAINS.replace("{keys}", keys),
        *(_kind(OPERATIONS[word]) for word in OPERATIONS if not OPERATIONS[word].fixed),
    ]
    words = ", ".join(f"`{word}`" for word in OPERATIONS if OPERATIONS[word].fixed)
    sections.append(f"### Activations\n\nEach is an operation without options: {words}.\n")
    sections += [CELL_TEXT, *(_kind(CELLS[word]) for word in CELLS)]
    return "\n".join(sections)


def _paragraph(docstring: str | None) -> Iterator[str]:
    """The docstring up to its first section."""
    text = inspect.cleandoc(docstring or "")
    for title in ("\n\nAttributes:", "\n\nRaises:"):
        text = text.split(title)[0]
    yield from text.splitlines()
    yield ""


def _note(note: str) -> list[str]:
    return [note, ""] if note else []


def _fields(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | meaning | example |"
    yield "|---|---|---|---|"
    own = {name: name not in model.__annotations__ for name in model.model_fields}
    for name in sorted(own, key=lambda name: (not model.model_fields[name].is_required(), own[name])):
        field = model.model_fields[name]
        key = written_key(name, field)
        default = "required" if field.is_required() else _default(field.default)
        (example,) = field.examples or [None]
        yield f"| `{key}` | {default} | {field.description} | `{key}: {flow(example)}` |"


def _default(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, BaseModel):
        return ""
    return f"`{flow(value)}`" if value not in ("", ()) else ""


def flow(value: Any) -> str:
    """A value as one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w ./>-]*", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def example_of(kind: Kind[Any]) -> Any:
    """An entry of a chain, or a cell, that uses the kind."""
    if kind.main is None:
        return kind.name
    option = kind.options.model_fields[kind.main]
    value = option.examples[0] if option.examples else _plain(option.default)
    return {kind.name: {kind.main: value}}


def _plain(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _kind(kind: Kind[Any]) -> str:
    lines = [f"### `{kind.name}`", "", *_paragraph(kind.make_from.__doc__)]
    lines += [f"`{kind.make_from.equation}`", "", f"Example: `{flow(example_of(kind))}`", ""]
    if kind.options.model_fields:
        lines += ["| option | default | meaning |", "|---|---|---|"]
        for name, field in kind.options.model_fields.items():
            default = "required" if field.is_required() else _default(_plain(field.default))
            main = " (main option)" if name == kind.main else ""
            lines.append(f"| `{name}` | {default} | {field.description}{main} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
