"""The texts of findings about the language: what is wrong with a value, what may stand there, and the repair."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from cortexgraph.spec.fields import INVISIBLE
from cortexgraph.spec.origin import Path
from cortexgraph.spec.shorthand import WORDS
from cortexgraph.wording import SYNONYMS, flow, quoted, shortened, similar, synonym

TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "float_parsing": "a number",
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
NAME_RULE = "a name starts with a letter or digit and consists of letters, digits, spaces and `_ . , : / + - ( ) * &`"
TRAINING = "It belongs to training: give it to `cortexgraph train`."
ON_CONVOLUTION = "Padding keeps the size by default; to set it, write a transform: `[{conv: {kernel: 3, padding: 1}}]`."
HINTS = {
    "connections": {
        "padding pad": ON_CONVOLUTION,
        "depthwise separable": "Write it as the transform: `transform: [{depthwise: 3}, {conv: 1}]`.",
        "in_channels out_channels": "Remove it: the `channels` of the areas at its ends decide it.",
        "pool pooling": "Pool in the transform: `transform: [{max_pool: 2}]`, or write `resize: pool`.",
        "bidirectional feedback": "Write a connection for each direction: `V1 -> V2` and `V2 -> V1`.",
        "inhibitory excitatory": "Write `sign: inhibitory` or `sign: excitatory`.",
        "activation norm dropout": "It belongs in an entry of `areas`, or in the `transform` of this connection.",
    },
    "areas": {
        "padding pad": ON_CONVOLUTION,
        "in_channels input_channels": "Remove it: the connections into an area decide the channels of its input.",
        "recurrent recurrence lateral": "Write a connection from the area to itself, such as `V1 -> V1`.",
        "inhibitory excitatory": "Write `sign: inhibitory` or `sign: excitatory`.",
        "dropout pool pooling": "Write all operations as the area's `body`: `[{norm: batch}, relu, {dropout: 0.5}]`.",
    },
    "time": {"tau tau_ms": "Set it on an area's cell, such as `cell: {leaky: {tau_ms: 20}}`."},
    "": {"seed epochs batch_size lr optimizer dataset data loss": TRAINING},
}
"""What to write for keys of other tools that the language has no word for, by the part of the spec."""
WORDS_FOR = {
    "role": {
        "inhibit inhibitory inhibition subtract suppress": "Write `sign: inhibitory` to subtract, or `role: modulate` "
        "with `gate: divisive` to divide.",
        "excite excitatory excitation": "Leave `role` out, and write `sign: excitatory` for weights of 0 or more.",
    }
}
"""What to write for words of other fields that are not choices of a key, by the key."""
DURATION = r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|msec|milliseconds?|s)"
CONNECTION_FORM = "a chain such as `V1 -> V2`, or a mapping with `from` and `to`"


class Message(NamedTuple):
    """The text of a finding, without its place: see `Diagnostic`."""

    code: str
    found: str
    expected: str = ""
    repair: str = ""


def shown(value: object) -> str:
    """A value as the user would write it, on one short line, and its type where that is not plain to see."""
    if isinstance(value, str):
        return f"the text `{shortened(value)}`" if value else "an empty text"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    if not isinstance(value, Mapping | list | tuple):
        return f"`{shortened(repr(value))}`"
    kind = "mapping" if isinstance(value, Mapping) else "list"
    if not value:
        return f"an empty {kind}"
    start = dict(islice(value.items(), 40)) if isinstance(value, Mapping) else value[:40]
    try:
        text = shortened(flow(start, default=repr))
    except (TypeError, ValueError, RecursionError):
        text = "…"
    return f"the {kind} `{text}`"


def message_for(detail: ErrorDetails, path: Path, root: type[BaseModel], keys: Sequence[str] = ()) -> Message:
    """What a validation error of a root model says; the path leads to the value, or to the missing or unknown key.

    `keys` are all that stand in the part that holds the value.
    """
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return _missing(path, root)
    if kind == "extra_forbidden":
        return _unknown_key(path, root, keys)
    if kind == "refusal":
        return Message(context["code"], shortened(context["found"], 200), repair=shortened(context["repair"], 200))
    if kind == "taken-name":
        return Message("bad-name", f"an area is called `{value}`", f"`{value}` is the input", "Rename the area.")
    if kind == "invisible":
        problem = f"the name {value!a} contains the invisible character {context['code']}"
        repair = f"Type it again: `{shortened(INVISIBLE.sub('', value))}`."
        return Message("bad-name", problem, "a name consists of visible characters", repair)
    if kind == "string_pattern_mismatch" or (kind.startswith("string_too") and path[-1:] != ("description",)):
        return _bad_name(str(value))
    if kind in ("literal_error", "either"):
        return _not_a_choice(value, path, root, context)
    if kind in TYPES:
        return _wrong_type(value, TYPES[kind], path, root)
    repair = _example("Write", path, root)
    if kind in RANGES:
        empty = kind == "too_short" and not value
        expected = "at least one entry is needed" if empty else f"it must {rule(detail)}"
        return Message("out-of-range", f"the value is {shown(value)}", expected, repair)
    return Message("invalid", shortened(detail["msg"], 200).rstrip("."), repair=repair)


def rule(detail: ErrorDetails) -> str:
    """What a value of one type or range must do, after «it must»: «be at least 1»."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in TYPES:
        return f"be {TYPES[kind]}"
    numbers = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
    text = RANGES[kind].format(**numbers) if kind in RANGES else shortened(detail["msg"], 200)
    return text.removeprefix("Input should ")


def _example(verb: str, path: Path, root: type[BaseModel]) -> str:
    """«Write, for example, `classes: 10`: number of classes.», if only the meaning of the field is known."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    field = field_of(model_at(root, path[:-1]), path[-1]) if path else None
    if field is None:
        return ""
    key = path[-2] if len(path) > 1 and WORDS.get(str(path[-2])) == path[-1] else path[-1]
    text = (field.description or "").rstrip(".")
    if text.split(" ", 1)[0].istitle():
        text = text[:1].lower() + text[1:]
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    example = field.examples[0] if field.examples else default
    start = f"Correct `{key}`" if example is None else f"{verb}, for example, `{key}: {flow(example, str)}`"
    return f"{start}: {text}." if text else f"{start}."


def _missing(path: Path, root: type[BaseModel]) -> Message:
    if isinstance(path[-1], int):
        repair = _example("Write", path, root)
        return Message("out-of-range", "the list is too short", "it must have two entries", repair)
    return Message("missing-key", f"the key `{path[-1]}` is missing", repair=_example("Add", path, root))


def _unknown_key(path: Path, root: type[BaseModel], keys: Sequence[str]) -> Message:
    key, model = str(path[-1]), model_at(root, path[:-1])
    if hint := _hint(path):
        repair = hint
    elif guess := meant_key(path, root):
        before = keys[: keys.index(key)] if key in keys else ()
        taken = next((k for k in keys if k == guess or (k in before and meant_key((*path[:-1], k), root) == guess)), "")
        repair = f"Remove it, or `{taken}`: both mean `{guess}`." if taken else f"Did you mean `{guess}`?"
    else:
        repair = next(_homes_of(path, root), "Remove it.")
    repair = _spaced(key, model) or repair
    problem, expected = f"the key `{shortened(key)}` is unknown", f"the keys here are {quoted(_keys_of(model))}"
    return Message("unknown-key", problem, expected, repair)


def _spaced(text: str, model: type[BaseModel] | None) -> str:
    """The repair of `size:8`, which YAML reads as one word."""
    before, colon, after = text.partition(":")
    return f"Put a space after the colon: `{before}: {shortened(after)}`." if colon and field_of(model, before) else ""


def _not_a_choice(value: object, path: Path, root: type[BaseModel], context: Mapping[str, Any]) -> Message:
    choices = list(context.get("choices") or re.findall(r"'([^']*)'", context["expected"]))
    expected = context["expected"] if "choices" in context or not choices else quoted(choices, "or")
    if path == ("cortexgraph",):
        repair = "Write `cortexgraph: 1`, or update cortexgraph if the spec is made for a later one."
        problem = f"the language version is {shown(value)}"
        return Message("language-version", problem, "this program reads version 1", repair)
    if not (isinstance(value, str) and choices):
        return _wrong_type(value, expected, path, root)
    guess = similar(value, choices)
    hints = WORDS_FOR.get(str(path[-1]) if path else "", {})
    hint = next((hint for words, hint in hints.items() if value.lower() in words.split()), None)
    names = [name.strip("[] ") for name in re.split(r"->|[,;>]", value)]
    if path == ("time", "order") and len(names) > 1:
        hint = f"Write a list: `[{', '.join(names)}]`."
    repair = hint or (f"Did you mean `{guess}`?" if guess else _example("Write", path, root))
    return Message("unknown-value", f"the value is {shown(value)}", f"it must be {expected}", repair)


def _bad_name(name: str) -> Message:
    if not name.strip():
        return Message("bad-name", "the name is empty", repair="Give it a name, such as `V1`.")
    if len(name) > 64:
        problem = f"the name `{shortened(name, 30)}` has {len(name)} characters"
        return Message("bad-name", problem, "a name has at most 64", "Shorten it.")
    if colon := re.match(r"([^:{\[]+):([{\[].*)", name):
        problem = f"`{shortened(name)}` cannot be a name"
        return Message("bad-name", problem, NAME_RULE, f"Put a space after the colon: `{colon[1]}: {colon[2]}`.")
    plain = unicodedata.normalize("NFKC", name)
    cleaned = re.sub(r"^[\W_]+|[^\w.)+*]+$", "", re.sub(r"[^\w .,:/+()*&-]+", "", plain))
    return Message("bad-name", f"`{shortened(name)}` cannot be a name", NAME_RULE, f"Rename it to `{cleaned or 'V1'}`.")


def _wrong_type(value: object, expected: str, path: Path, root: type[BaseModel]) -> Message:
    if expected == "a mapping":
        expected = _form_of_part(path, root)
    found = "the value is missing" if value is None else f"the value is {shown(value)}"
    return Message("wrong-type", found, f"it must be {expected}", _type_repair(value, expected, path, root))


def _form_of_part(path: Path, root: type[BaseModel]) -> str:
    model = model_at(root, path)
    if path[:1] == ("connections",) and len(path) == 2:
        return CONNECTION_FORM
    if path == ("inputs",):
        return "a mapping of names to inputs, such as `left: {size: 32}`"
    if path == ("areas",):
        return "a mapping of names to areas, such as `V1: {channels: 32}`"
    if model is None:
        return "a mapping"
    needed = _required_keys(model)
    return f"a mapping with {quoted(needed)}" if needed else f"a mapping with some of {quoted(_keys_of(model))}"


def _type_repair(value: object, expected: str, path: Path, root: type[BaseModel]) -> str:
    if isinstance(value, str) and (repair := _spaced(value, model_at(root, path))):
        return repair
    if isinstance(value, str) and "number" in expected and (match := re.fullmatch(DURATION, value.strip())):
        model, key = model_at(root, path[:-1]), str(path[-1]).removesuffix("_ms")
        number = f"{float(match[1]) * (1000 if match[2] == 's' else 1):g}"
        return f"Write `{key}_ms: {number}`, in ms." if field_of(model, f"{key}_ms") else ""
    if isinstance(value, str) and "number" in expected and re.fullmatch(r"[-+]?\d{1,15}", value.strip()):
        return f"Remove the quotes: `{value.strip()}`."
    if isinstance(value, float) and "whole number" in expected and value.is_integer() and abs(value) < 1e15:
        return f"Write `{int(value)}`, without a decimal point."
    if expected == "text" and isinstance(value, bool | int | float):
        return f'Put it in quotes: `"{str(value).lower()}"`.'
    if expected == "a list" and isinstance(value, str):
        word = synonym(value, SYNONYMS) if path and path[-1] in ("transform", "body") else None
        return f"Put it in brackets: `[{word or shortened(value)}]`."
    if "list of steps" in expected and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return f"Put it in brackets: `[{value}]`."
    if expected == "true or false":
        return "Write `true` or `false`, without quotes."
    if expected == CONNECTION_FORM:
        return ""
    if expected == "a mapping with `channels`":
        if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, int) for part in value):
            return f"Write `{{channels: {value[0]}, size: {value[1]}}}`."
        return f"Write `{{channels: {value}}}`." if isinstance(value, int) else "Write, for example, `{channels: 32}`."
    return _example("Write", path, root)


# ---- keys and models ---------------------------------------------------------


def written_key(name: str, field: FieldInfo) -> str:
    """The key of a field in a file: `from` for `source`."""
    return str(field.validation_alias or name)


def _required_keys(model: type[BaseModel]) -> list[str]:
    return [written_key(name, field) for name, field in model.model_fields.items() if field.is_required()]


def _keys_of(model: type[BaseModel] | None) -> list[str]:
    """The keys of a part of a spec, as users write them, with the required ones in front."""
    fields = model.model_fields if model else {}
    return [written_key(name, field) for name, field in sorted(fields.items(), key=lambda f: not f[1].is_required())]


def field_of(model: type[BaseModel] | None, key: str | int) -> FieldInfo | None:
    """The field of that key, by alias or by name."""
    fields = model.model_fields if model else {}
    return next((field for name, field in fields.items() if key in (name, written_key(name, field))), None)


def _hint(path: Path) -> str | None:
    """What to write for a key of other tools at this path that the language has no word for."""
    key, hints = str(path[-1]).lower(), HINTS.get(str(path[0]) if len(path) > 1 else "", {})
    return next((hint for words, hint in hints.items() if key in words.split()), None)


def meant_key(path: Path, root: type[BaseModel]) -> str | None:
    """The key that the unknown one at the end of the path probably stands for."""
    key, model = str(path[-1]), model_at(root, path[:-1])
    if _hint(path):
        return None
    field = field_of(model, key) or field_of(model, key.partition(":")[0])  # `size:3` lacks a space
    return written_key(key.partition(":")[0], field) if field else similar(key, _keys_of(model))


def model_at(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model of the part that the path leads to, or of what it contains; None at a plain value."""
    model: type[BaseModel] | None = root
    in_container = False
    for part in path:
        if in_container:  # the name of an area, or the index of a connection
            in_container = False
            continue
        field = field_of(model, part)
        if field is None:
            return None
        model, in_container = _model_in(field.annotation), get_origin(field.annotation) in (dict, tuple)
    return model


def _homes_of(path: Path, root: type[BaseModel]) -> Iterator[str]:
    """Where a key that is unknown at its place belongs, as a repair."""
    parts = [(name, field, _model_in(field.annotation)) for name, field in reversed(root.model_fields.items())]
    key, defaults = str(path[-1]), model_at(root, ("defaults",))
    if path[:-1] == ("defaults",) and defaults is not None:
        fields = defaults.model_fields.items()
        parts = [(f"defaults.{name}", field, _model_in(field.annotation)) for name, field in fields]
    for exact in (True, False):
        for name, field, inner in parts:
            keys = _keys_of(inner)
            if meant := synonym(key, keys) if not exact else key if key in keys else None:
                entry = "an entry of " * (get_origin(field.annotation) in (dict, tuple))
                known_as = f", where it is called `{meant}`" if meant != key else ": move it there"
                yield f"It belongs in {entry}`{written_key(name, field)}`{known_as}."


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
