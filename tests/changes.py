"""Data as files hold it, with other values somewhere."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

TWO_AREAS: dict[str, Any] = {
    "name": "v",
    "input": {"size": 16},
    "areas": {"V1": {"channels": 4, "size": 16}, "V2": {"channels": 4, "size": 8}},
    "connections": [{"from": "image", "to": "V1"}, {"from": "V1", "to": "V2"}],
    "readout": {"from": "V2", "classes": 2},
    "time": {"steps": 4},
}
"""A spec."""


def changed(data: dict[str, Any], changes: Mapping[tuple[str | int, ...], Any]) -> dict[str, Any]:
    """A copy with these values at their paths; None removes what is there."""
    data = copy.deepcopy(data)
    for path, value in changes.items():
        part: Any = data
        for key in path[:-1]:
            part = part[key]
        if value is None:
            del part[path[-1]]
        else:
            part[path[-1]] = value
    return data
