"""What is wrong with a value, in plain words: the text of findings about the language."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from cortexgraph.spec.fields import INVISIBLE
from cortexgraph.spec.lookup import field_of, homes_of, keys_of, meant_key, model_at, required_keys
from cortexgraph.spec.origin import Path
from cortexgraph.wording import quoted, shortened, similar

__all__ = ["Words", "shown", "words_for"]

TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number",
    "bool_type": "true or false",
    "float_type": "a number",
    "string_type": "text",
    "string_unicode": "text of whole characters",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
RANGES = {
    "greater_than_equal": "be at least {ge}",
    "greater_than": "be greater than {gt}",
    "less_than": "be less than {lt}",
    "less_than_equal": "be at most {le}",
    "finite_number": "be a finite number",
    "too_short": "have at least {min_length} entries",
    "too_long": "have at most {max_length} entries",
    "string_too_long": "have at most {max_length} characters",
}
NAME_RULE = "a name starts with a letter or digit, and goes on with these, spaces and `_ . , : / + - ( ) * &`"
HINTS = {
    "padding": "Padding keeps the size by default; to set it, write `transform: [{conv: {kernel: 3, padding: 1}}]`.",
    "pool": "Pool in the transform: `transform: [{max_pool: 2}]`, or write `resize: pool`.",
}
"""What to write for keys of other tools that the language has no word for."""
CONNECTION_FORM = "a chain such as `V1 -> V2`, or a mapping with `from` and `to`"


@dataclass(frozen=True)
class Words:
    """The text of a finding, without its place: see `Diagnostic`."""

    code: str
    found: str
    expected: str = ""
    repair: str = ""


def shown(value: Any) -> str:
    """A value as the user would write it, on one short line, and its type where that is not plain to see."""
    if isinstance(value, str):
        return f"the text `{shortened(value)}`" if value else "an empty text"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    if isinstance(value, Mapping):
        return f"the mapping `{_flow(value)}`" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"the list `{_flow(value)}`" if value else "an empty list"
    return f"`{shortened(repr(value))}`"


def _flow(value: Any) -> str:
    if len(value) > 40:
        value = dict(islice(value.items(), 40)) if isinstance(value, Mapping) else value[:40]
    try:
        return shortened(json.dumps(value, ensure_ascii=False, default=repr).replace('"', ""))
    except (TypeError, ValueError, RecursionError):
        return "…"


def words_for(detail: ErrorDetails, path: Path, root: type[BaseModel]) -> Words:
    """What a validation error says; `path` leads to the value, or to the key that is missing or unknown."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    meaning = _meaning("Correct", path, root)
    if kind == "missing":
        return _missing(path, root)
    if kind == "extra_forbidden":
        return _unknown_key(path, root)
    if kind in ("bad-chain", "bad-operation", "conflict"):
        return Words(kind, _one_line(context["found"]), repair=_one_line(context["repair"]))
    if kind == "taken-name":
        found, expected = f"an area is called `{value}`", f"`{value}` is the input"
        return Words("bad-name", found, expected, "Give the area another name.")
    if kind == "invisible":
        found, name = (
            f"the name {value!a} has the invisible character {context['code']} in it",
            INVISIBLE.sub("", value),
        )
        return Words("bad-name", found, "a name shows what it is made of", f"Type it anew: `{shortened(name)}`.")
    if kind == "string_pattern_mismatch" or (kind.startswith("string_too") and _is_name(path)):
        return _bad_name(value)
    if kind in ("literal_error", "either"):
        return _not_a_choice(value, path, root, context)
    if kind in TYPES:
        return _wrong_type(value, TYPES[kind], path, root)
    if kind in RANGES:
        empty = kind == "too_short" and not value
        rule = "at least one entry is needed" if empty else f"it must {RANGES[kind].format(**context)}"
        return Words("out-of-range", f"the value is {shown(value)}", rule, meaning)
    return Words("invalid", _one_line(detail["msg"]).rstrip("."), repair=meaning)


def _one_line(text: str) -> str:
    return shortened(text, 200)


def _is_name(path: Path) -> bool:
    return path[-1:] != ("description",)


def _meaning(verb: str, path: Path, root: type[BaseModel]) -> str:
    """«Correct `classes`: number of classes.», where nothing more is known than what the field is."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    field = field_of(model_at(root, path[:-1]), path[-1]) if path else None
    if field is None:
        return ""
    text = (field.description or "").rstrip(".")
    start = text.split(" ", 1)[0]
    text = text if not start.istitle() else text[:1].lower() + text[1:]
    return f"{verb} `{path[-1]}`: {text}." if text else f"{verb} `{path[-1]}`."


def _missing(path: Path, root: type[BaseModel]) -> Words:
    if isinstance(path[-1], int):
        return Words(
            "out-of-range", "the list is too short", "it must have two entries", _meaning("Correct", path, root)
        )
    return Words("missing-key", f"the key `{path[-1]}` is missing", repair=_meaning("Add", path, root))


def _unknown_key(path: Path, root: type[BaseModel]) -> Words:
    key, model = str(path[-1]), model_at(root, path[:-1])
    keys = keys_of(model) if model else []
    found = f"the key `{shortened(key)}` is unknown"
    expected = f"the keys here are {quoted(keys)}"
    if guess := meant_key(key, model):
        return Words("unknown-key", found, expected, f"Did you mean `{guess}`?")
    if key in HINTS and path[:1] == ("connections",):
        return Words("unknown-key", found, expected, HINTS[key])
    home = next(homes_of(key, root), None)
    return Words("unknown-key", found, expected, f"It belongs in {home}: move it there." if home else "Remove it.")


def _not_a_choice(value: Any, path: Path, root: type[BaseModel], context: Mapping[str, Any]) -> Words:
    choices = list(context.get("choices") or re.findall(r"'([^']*)'", context["expected"]))
    expected = f"it must be {quoted(choices, 'or') if choices else context['expected']}"
    if "choices" in context:
        expected = f"it must be {context['expected']}"
    if path == ("cortexgraph",):
        repair = "Write `cortexgraph: 1`, or update cortexgraph if the spec is made for a later one."
        return Words(
            "language-version",
            f"the language version is {shown(value)}",
            "this program reads version 1",
            repair,
        )
    if not (isinstance(value, str) and choices):
        return _wrong_type(value, expected.removeprefix("it must be "), path, root)
    guess = similar(value, choices)
    repair = f"Did you mean `{guess}`?" if guess else _meaning("Correct", path, root)
    return Words("unknown-value", f"the value is {shown(value)}", expected, repair)


def _bad_name(value: Any) -> Words:
    name = str(value)
    if not name.strip():
        return Words("bad-name", "the name is empty", repair="Give it a name, such as `V1`.")
    if len(name) > 64:
        found = f"the name `{shortened(name, 30)}` has {len(name)} characters"
        return Words("bad-name", found, "64 are the most", "Shorten it.")
    plain = unicodedata.normalize("NFKC", name)
    cleaned = re.sub(r"^[\W_]+|[^\w.)+*]+$", "", re.sub(r"[^\w .,:/+()*&-]+", "", plain))
    repair = f"Rename it, for instance to `{cleaned}`." if cleaned else "Rename it, for instance to `V1`."
    return Words("bad-name", f"`{shortened(name)}` cannot be a name", NAME_RULE, repair)


def _wrong_type(value: Any, expected: str, path: Path, root: type[BaseModel]) -> Words:
    found = "there is no value here" if value is None else f"the value is {shown(value)}"
    if expected == "a mapping":
        expected = _form_of_part(path, root)
    return Words("wrong-type", found, f"it must be {expected}", _type_repair(value, expected, path, root))


def _form_of_part(path: Path, root: type[BaseModel]) -> str:
    model = model_at(root, path)
    if path[:1] == ("connections",) and len(path) == 2:
        return CONNECTION_FORM
    if path == ("areas",):
        return "a mapping of names to areas, such as `V1: {channels: 32}`"
    if model is None:
        return "a mapping"
    needed = required_keys(model)
    return f"a mapping with {quoted(needed)}" if needed else f"a mapping with some of {quoted(keys_of(model))}"


def _type_repair(value: Any, expected: str, path: Path, root: type[BaseModel]) -> str:
    if isinstance(value, str) and "number" in expected and re.fullmatch(r"[-+]?\d{1,15}", value.strip()):
        return f"Remove the quotes: `{value.strip()}`."
    if isinstance(value, float) and "whole number" in expected and value.is_integer() and abs(value) < 1e15:
        return f"Write `{int(value)}`, without a decimal point."
    if expected == "text" and isinstance(value, bool | int | float):
        return f'Put it in quotes: `"{str(value).lower()}"`.'
    if expected == "a list" and isinstance(value, str):
        return f"Put it in brackets: `[{shortened(value)}]`."
    if expected == "true or false":
        return "Write `true` or `false`, without quotes."
    if expected == CONNECTION_FORM:
        return ""
    if expected == "a mapping with `channels`":
        return f"Write `{{channels: {value}}}`." if isinstance(value, int) else ""
    return _meaning("Correct", path, root)
