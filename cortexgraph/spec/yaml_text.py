"""Plain data to YAML text: blocks for the parts with many entries, one line for each entry."""

from __future__ import annotations

import re
from typing import Any

from cortexgraph.spec.scalars import CORE, STANDARD_TAG

__all__ = ["yaml_text"]


def yaml_text(data: dict[str, Any], blocks: tuple[str, ...]) -> str:
    """The data as YAML that versions 1.1 and 1.2 read alike.

    Args:
        data: of plain values.
        blocks: keys whose entries stand on lines of their own.
    """
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """Puts the dashes of a list below its key, and quotes what YAML 1.2 would not read as text."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    for kind, pattern, first in CORE:
        Dumper.add_implicit_resolver(STANDARD_TAG + kind, re.compile(rf"(?:{pattern.pattern})\Z"), list(first))
    root = _mapping({key: _block(value) if key in blocks and value else _line(value) for key, value in data.items()})
    width = 1_000_000  # a folded text is harder to read than a long line
    text: str = yaml.serialize(root, Dumper=Dumper, allow_unicode=True, width=width)
    return text


def _block(value: Any) -> Any:
    if isinstance(value, dict):
        return _mapping({key: _line(entry) for key, entry in value.items()})
    return _sequence([_line(entry) for entry in value])


def _line(value: Any) -> Any:
    """A node on one line."""
    if isinstance(value, dict):
        return _mapping({key: _line(part) for key, part in value.items()}, flow=True)
    if isinstance(value, list):
        return _sequence([_line(part) for part in value], flow=True)
    return _scalar(value)


def _mapping(parts: dict[str, Any], *, flow: bool = False) -> Any:
    from yaml import MappingNode

    return MappingNode(STANDARD_TAG + "map", [(_scalar(key), part) for key, part in parts.items()], flow_style=flow)


def _sequence(parts: list[Any], *, flow: bool = False) -> Any:
    from yaml import SequenceNode

    return SequenceNode(STANDARD_TAG + "seq", parts, flow_style=flow)


def _scalar(value: str | float | None) -> Any:
    from yaml import ScalarNode

    if isinstance(value, str):
        style = None if value.isprintable() else '"'  # line breaks of all scripts, controls
        return ScalarNode(STANDARD_TAG + "str", value, style=style)
    kind = {bool: "bool", int: "int", float: "float", type(None): "null"}[type(value)]
    return ScalarNode(STANDARD_TAG + kind, "null" if value is None else repr(value).lower())
