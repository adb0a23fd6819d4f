"""Writes docs/language.md from the models of a spec and the registry of operations and cells.

Run it after you change the language: python docs/make_language.py. A test fails if the page is out of date.
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
    AreaDefaults,
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
from cortexgraph.spec.messages import written_key

TARGET = Path(__file__).parent / "language.md"

INTRODUCTION = """\
# The language

A spec is YAML or JSON. This page lists every key with its meaning, default and an example. The page
[semantics.md](semantics.md) defines what a spec *means*, step by step. Sizes are in pixels of the state. Delays are
in steps unless the key ends in `_ms`. All counts are whole numbers. An unknown key is an error. `cortexgraph schema`
writes the same information as JSON Schema, for completion in editors. `cortexgraph new` writes a commented starter
spec.

`docs/make_language.py` generates this page from the models.
"""

PARTS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("The spec", NetworkSpec, ""),
    (
        "`input`, and an entry of `inputs`",
        InputSpec,
        "A spec has one input, `input`, which connections read as `image`, or several by name: "
        "`inputs: {left: {size: 32}, gaze: {channels: 2, size: 1}}`. A network of several inputs is called with a "
        "mapping of their names to tensors; each is an image or a video. Training on data sets, protocols, prediction "
        "and attribution take one input.",
    ),
    (
        "An area: an entry of `areas`",
        AreaSpec,
        ", ".join(f"`{key}`" for key in AreaDefaults.model_fields) + " can also be set in `defaults.area`.",
    ),
    (
        "`norm`",
        NormSpec,
        "A word is short for its kind: `norm: batch`. Registered kinds: " + ", ".join(f"`{n}`" for n in NORMS),
    ),
    (
        "A connection: an entry of `connections`",
        ConnectionSpec,
        "`V1 -> V2 -> V4` declares two connections with default options. An entry can also be a list of entries. "
        + ", ".join(f"`{key}`" for key in ConnectionDefaults.model_fields)
        + " can also be set in `defaults.connection`.",
    ),
    ("`resize`", ResizeSpec, "A word is short for its mode: `resize: bilinear`."),
    ("`tie`", TieSpec, "Text is short for the connection: `tie: V1 -> V2`."),
    (
        "A span of steps",
        Span,
        "`input.present` and a connection's `active` are `always`, `first`, a list of steps, or a span; "
        "`active` may also be `never`.",
    ),
    (
        "`readout`",
        ReadoutSpec,
        "One readout or a list of readouts. The network returns the logits of several readouts by name.",
    ),
    ("`time`", TimeSpec, ""),
)

CHAINS = """\
## Operations

A `transform` and a `body` are chains: lists of operations. Each operation is a word (`relu`), a word with its main
option (`{conv: 3}`), or a word with several options (`{conv: {kernel: 3, stride: 2}}`). The state dict key of a
learned parameter starts with the area's name or the connection's `name` (by default the names of its two ends),
followed by the operation's word: `V1_to_V2.conv.weight`. A second operation with the same word is `conv_2`.
Characters other than letters, digits and `_` become `_`. A per-step parameter has the index of its set in the key:
`V1.norm.0.weight`. Version 0.1 named every connection after its ends and used `conv` for a `conv_transpose`; its
state dicts load under the new names. Convolutions of a transform take {keys} from
`defaults.connection`, unless they set these options themselves.
"""

CELL_TEXT = """\
## Cells

A cell computes an area's new state from x, the result of its body, and the old state h, which is 0 if the area was
silent. Every tensor that a cell carries over has the shape of the state. Cells are written like operations:
`cell: {leaky: {decay: 0.5}}`.
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
    for title in ("\n\nAttributes:", "\n\nRaises:", "\n\nFields:"):
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
