"""What is left of data that does not fit the language: its other findings should not wait for a second look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from cortexgraph.errors import MOST_FINDINGS
from cortexgraph.spec.fields import IMAGE
from cortexgraph.spec.lookup import field_of, meant_key, model_at
from cortexgraph.spec.origin import Path
from cortexgraph.spec.shorthand import expand_connections
from cortexgraph.wording import similar

__all__ = ["salvaged"]

INSTEAD = {"channels": 1, "classes": 2, "steps": 1, "size": 8, "name": "network"}
"""What stands for a key that is missing or wrong, and has no default."""


def salvaged(data: Any, details: list[ErrorDetails], root: type[BaseModel]) -> tuple[dict[str, Any], list[Path]] | None:
    """The data with each wrong part repaired as its finding suggests, or else left out or replaced.

    Returns:
        The data and the paths of the parts that were left out or replaced; None if nothing can be salvaged.
    """
    if not isinstance(data, Mapping) or len(details) > MOST_FINDINGS:
        return None
    copy = {key: _copied(value) for key, value in data.items()}
    copy["connections"] = expand_connections(copy.get("connections"))
    if isinstance(copy.get("readout"), dict):
        copy["readout"] = [copy["readout"]]
    lost: list[Path] = []
    for detail in sorted(details, key=lambda detail: detail["type"] == "missing"):
        repaired = _repaired(copy, detail, root)
        if repaired is None:
            return None
        lost += [] if repaired else [detail["loc"]]
    return copy, lost


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list | tuple) else value


def _repaired(data: dict[str, Any], detail: ErrorDetails, root: type[BaseModel]) -> bool | None:
    """Whether the part was repaired as its finding suggests, not left out or replaced; None if it cannot be."""
    path, parent = detail["loc"], data
    for part in path[:-1]:
        try:
            parent = parent[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return None
    if path[:1] == ("connections",) and len(path) == 2 and data.get("areas"):
        data["connections"][path[1]] = {"from": IMAGE, "to": next(iter(data["areas"]))}
        return False
    if not path or not isinstance(parent, dict):
        return None
    key, model = str(path[-1]), model_at(root, path[:-1])
    field = field_of(model, key)
    if detail["type"] == "extra_forbidden":
        value, meant = parent.pop(key, None), meant_key(key, model)
        if meant:
            parent.setdefault(meant, value)
        return meant is not None
    if detail["type"] == "missing" and key in parent:
        return True  # under another name
    expected = detail.get("ctx", {}).get("expected", "")
    choices = detail.get("ctx", {}).get("choices") or re.findall(r"'([^']*)'", expected)
    if isinstance(parent.get(key), str) and (meant := similar(parent[key], choices)):
        parent[key] = meant
        return False
    if field is not None and not field.is_required():
        parent.pop(key, None)
        return False
    parent[key] = INSTEAD.get(key)
    return False if key in INSTEAD else None
