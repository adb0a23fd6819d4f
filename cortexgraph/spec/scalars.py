"""Plain YAML 1.2 scalars to Python values."""

from __future__ import annotations

from typing import Any

__all__ = ["JSON_TYPES", "STANDARD_TAG", "key_type", "scalar_value"]

STANDARD_TAG = "tag:yaml.org,2002:"
JSON_TYPES = frozenset({"map", "seq", "str", "int", "float", "bool", "null", "timestamp", "value"})
"""The tags of what JSON can say too; dates and `=` are read as text."""

Scalar = str | int | float | bool | None


def scalar_value(node: Any) -> Scalar:
    """The value of a scalar node; text where it is of no other type, or of an unreadable one."""
    text = str(node.value)
    kind = str(node.tag).removeprefix(STANDARD_TAG)
    try:
        if kind == "int":
            return _whole_number(text.replace("_", ""))
        if kind == "float":
            return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:  # more digits than Python reads, or `!!int abc`
        return text
    if kind == "bool":
        return text.lower() in ("true", "yes", "on")
    return None if kind == "null" else text


def _whole_number(text: str) -> int:
    decimal = text.lstrip("+-").isdigit()  # `010` is ten
    return int(text, 10 if decimal else 0)


def key_type(node: Any) -> str | None:
    """What a key is, in words, where it is not text."""
    kinds = {"int": "a number", "float": "a number", "bool": "a truth value", "null": "nothing"}
    return kinds.get(str(node.tag).removeprefix(STANDARD_TAG))
