"""Plain YAML 1.2 scalars to Python values."""

from __future__ import annotations

import re

__all__ = ["CORE", "JSON_TYPES", "MERGE", "STANDARD_TAG", "key_type", "scalar_type", "scalar_value"]

STANDARD_TAG = "tag:yaml.org,2002:"
JSON_TYPES = frozenset({"map", "seq", "str", "int", "float", "bool", "null"})
"""The tags of what JSON can say too."""

MERGE = "<<"

CORE: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("null", re.compile(r"~|null|Null|NULL|"), "~nN"),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), "-+0123456789"),
    (
        "float",
        re.compile(
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        ),
        "-+.0123456789",
    ),
)
"""The core schema of YAML 1.2: type, pattern of its plain scalars, and the signs that they start with."""

Scalar = str | int | float | bool | None


def scalar_type(text: str) -> str:
    """The type of a plain scalar: `no`, `off`, `1_000`, dates and `1:30` are text.

    >>> [scalar_type(text) for text in ("12", "1e3", "no", "")]
    ['int', 'float', 'str', 'null']
    """
    return next((kind for kind, pattern, _ in CORE if pattern.fullmatch(text)), "str")


def scalar_value(kind: str, text: str) -> Scalar:
    """The value of a scalar; text where it is of no other type, or of an unreadable one."""
    try:
        if kind == "int":
            return _whole_number(text)
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:  # more digits than Python reads, or `!!int abc`
        return text
    if kind == "bool":
        return text.lower() == "true"
    return None if kind == "null" else text


def _whole_number(text: str) -> int:
    decimal = text.lstrip("+-").isdigit()  # `010` is ten
    return int(text, 10 if decimal else 0)


def key_type(kind: str) -> str | None:
    """What a key is, in words, where it is not text."""
    kinds = {"int": "a number", "float": "a number", "bool": "a truth value", "null": "nothing"}
    return kinds.get(kind)
