"""From pydantic's errors to findings: one `Diagnostic` for each, at the place that the user wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cortexgraph.errors import MOST_FINDINGS, Diagnostic, unsaid
from cortexgraph.spec.messages import meant_key, message_for, model_at
from cortexgraph.spec.origin import Origin, Path
from cortexgraph.spec.shorthand import ARROW, expand_connections
from cortexgraph.wording import shortened

SURROGATE = re.compile("[\ud800-\udfff]")


def findings_of(error: ValidationError, data: object, origin: Origin, model: type[BaseModel]) -> list[Diagnostic]:
    """Every finding of a failed validation of data, before the expansion of shorthand, in the order of the file."""
    details = details_of(error, model, origin)
    connections = expand_connections(_part(data, origin.renamed.get(("connections",), "connections")))
    findings = [_finding(detail, data, connections, origin, model) for detail in details[:MOST_FINDINGS]]
    if len(details) > MOST_FINDINGS:
        findings.append(unsaid(f"{len(details) - MOST_FINDINGS:,} more findings", findings[-1]))
    return sorted(findings, key=lambda finding: finding.line or 0)


def details_of(error: ValidationError, model: type[BaseModel], origin: Origin) -> list[ErrorDetails]:
    """The errors, except those that follow from others.

    These are keys that are missing under their name, where an unknown key beside them means them; parts of a value
    whose key was guessed; and lists that pydantic finds too short because it counts only their entries without errors.
    """
    details = error.errors(include_url=False)
    guessed = [path for path in origin.renamed if model_at(model, path) is None]
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"][:MOST_FINDINGS]
    meant = {(*path[:-1], meant_key(path, model)) for path in unknown}
    return [
        detail
        for detail in details
        if not (detail["type"] == "missing" and detail["loc"] in meant)
        and not any(detail["loc"][: len(path)] == path for path in guessed)
        and not (detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"])
    ]


def without_surrogates(data: object, origin: Origin) -> tuple[object, list[Diagnostic]]:
    """The data with `\ufffd` for each half of a character, which UTF-8 cannot write, and a finding for each text."""
    findings: list[Diagnostic] = []

    def whole(value: object, path: Path) -> Any:
        if isinstance(value, str):
            text = SURROGATE.sub("\ufffd", value)
            if text != value and len(findings) < MOST_FINDINGS:
                problem = f"the text `{shortened(value)}` contains half a character (a lone surrogate)"
                expected, repair = "it must be text of whole characters", "Type the text again."
                findings.append(origin.diagnostic("not-text", path, problem, expected, repair))
            return text
        if isinstance(value, dict):
            return {whole(key, (*path, key)): whole(part, (*path, key)) for key, part in value.items()}
        if isinstance(value, list):
            return [whole(part, (*path, index)) for index, part in enumerate(value)]
        return value

    return whole(data, ()), findings


def _finding(
    detail: ErrorDetails, data: object, connections: object, origin: Origin, model: type[BaseModel]
) -> Diagnostic:
    path: Path = detail["loc"]
    if path[-1:] == ("[key]",) and detail["type"] != "extra_forbidden":
        path = path[:-1]  # pydantic's mark for «the key itself is wrong», not a part of the user's data
    message = message_for(detail, path, model, _keys_beside(path, data, origin))
    if detail["type"] == "missing":
        path = path[:-1]
    path = _as_written(path, data, origin)
    label = _connection_label(path, connections)
    return origin.diagnostic(message.code, path, message.found, message.expected, message.repair, label=label)


def _keys_beside(path: Path, data: object, origin: Origin) -> list[str]:
    """The keys of the part that the path leads into; none for an override, which the user has just written."""
    part = data if origin.override(path) is None else None
    for key in origin.written(path)[:-1]:
        part = _part(part, key)
    return [str(key) for key in part] if isinstance(part, Mapping) else []


def _as_written(path: Path, data: object, origin: Origin) -> Path:
    """The path, cut where the user wrote a shorthand: `V1 -> V2` has no part `to`."""
    value, written = data, origin.written(path)
    for depth, part in enumerate(written):
        if isinstance(value, str):
            return path[: len(path) - (len(written) - depth)]
        value = _part(value, part)
    return path


def _part(value: object, part: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _connection_label(path: Path, connections: object) -> str:
    """`V4 -> V2` for a path inside the connection between them."""
    if path[:1] != ("connections",) or len(path) < 2:
        return ""
    connection = _part(connections, path[1])
    ends = [
        _part(connection, "from") or _part(connection, "source"),
        _part(connection, "to") or _part(connection, "target"),
    ]
    plain = all(isinstance(end, str) and end.isprintable() and len(end) <= 64 for end in ends)
    return f" {ARROW} ".join(ends) if plain else ""
