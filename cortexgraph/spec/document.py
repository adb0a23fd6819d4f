"""Documents: what every file of cortexgraph contains, with all findings about it at once.

Validation stops at data that does not fit. Each wrong part is then repaired, left out or replaced, and the rest is
validated and checked once more, so that no finding hides another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, ValidationInfo, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import ErrorDetails

from cortexgraph.errors import MOST_FINDINGS, Diagnostic, SpecError
from cortexgraph.spec.base import Model
from cortexgraph.spec.fields import IMAGE, Name
from cortexgraph.spec.findings import details_of, findings_of, without_surrogates
from cortexgraph.spec.messages import field_of, meant_key, model_at
from cortexgraph.spec.origin import Origin, Path
from cortexgraph.spec.shorthand import expand_connections
from cortexgraph.wording import similar

FURTHER: list[Callable[[Document, list[Path]], Iterable[Diagnostic]]] = []
"""Later checks: called with the valid rest of a document, and the paths of the parts that were left out."""

ROUNDS = 4
"""How often a document is validated to see what its wrong parts hide."""


class Document(Model):
    """Base of networks and experiments, each of which is written in its own file.

    Raises:
        SpecError: with every finding, when the data does not fit.
    """

    version: Literal[1] = Field(
        default=1,
        validation_alias="cortexgraph",
        serialization_alias="cortexgraph",
        description="Version of the language.",
        examples=[1],
    )
    name: Name = Field(description="Its name, shown in drawings, tables and runs.", examples=["ventral"])
    description: Annotated[str, Field(max_length=10_000)] = Field(
        default="", description="What it is, in a sentence.", examples=["A four-area ventral stream."]
    )
    references: Annotated[tuple[Annotated[str, Field(max_length=1000)], ...], Field(max_length=1000)] = Field(
        default=(), description="BibTeX keys of the sources.", examples=[["liao2016bridging"]]
    )

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @model_validator(mode="wrap")
    @classmethod
    def _as_spec_error(cls, data: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if isinstance(data, Document):
            return handler(data)
        origin = info.context if isinstance(info.context, Origin) else cls.origin_in_python(data)
        data, findings = without_surrogates(data, origin)
        rest, lost, renamed = data, list[Path](), dict[Path, str]()
        document = None
        for _ in range(ROUNDS):
            try:
                document = handler(rest)
                document._origin = origin
                break
            except ValidationError as error:
                known = {finding.place for finding in findings}
                findings += [each for each in findings_of(error, data, origin, cls) if each.place not in known]
                details = details_of(error, cls, origin)
                if not isinstance(rest, Mapping) or len(details) > MOST_FINDINGS:
                    break
                rest = _expanded(rest)
                missing_last = sorted(details, key=lambda detail: detail["type"] == "missing")  # or under another name
                lost += [path for path in (_repaired(rest, detail, cls, renamed) for detail in missing_last) if path]
                origin = _with_renamed(origin, renamed, cls.origin_in_python(rest))
        if document is not None and not findings:
            return document
        if document is not None:
            unknown = {finding.place for finding in findings if finding.code == "unknown-key"}
            further = (finding for look in FURTHER for finding in look(document, lost))
            findings += [finding for finding in further if finding.place not in unknown]
        raise SpecError(findings) from None

    @classmethod
    def origin_in_python(cls, data: object) -> Origin:
        """The origin of data that was written in Python, not read from a file."""
        return Origin()

    @property
    def origin(self) -> Origin:
        """Where each part was written."""
        return self._origin


# ---- the valid rest of invalid data ----------------------------------


def _expanded(data: Mapping[str, object]) -> dict[str, object]:
    """A copy whose connections and readouts are lists of single entries."""
    copy: dict[str, object] = _copied(data)
    if "connections" in copy:
        copy["connections"] = expand_connections(copy["connections"])
    if isinstance(copy.get("readout"), dict):
        copy["readout"] = [copy["readout"]]
    return copy


def _copied(value: object) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list | tuple) else value


def _with_renamed(origin: Origin, renamed: Mapping[Path, str], of_rest: Origin) -> Origin:
    """The origin with the keys that were renamed; connections and readouts are counted where they now stand."""
    new = renamed.keys() - origin.renamed.keys()
    connections = of_rest.connections if ("connections",) in new else origin.connections
    one_readout = of_rest.one_readout if ("readout",) in new else origin.one_readout
    return replace(origin, renamed=dict(renamed), connections=connections, one_readout=one_readout)


def _repaired(
    data: dict[str, object], detail: ErrorDetails, root: type[BaseModel], renamed: dict[Path, str]
) -> Path | None:
    """Repair one part as its finding suggests, or else leave it out or replace it.

    Returns:
        The path of what was left out or replaced; keys with a new name are added to `renamed`.
    """
    context = detail.get("ctx", {})
    where = (*detail["loc"], context["key"]) if context.get("key") else detail["loc"]
    if not where:
        return None
    parent, path = _wrong_part(data, where)
    key = path[-1]
    model = model_at(root, path[:-1])
    field = field_of(model, key)
    if detail["type"] == "extra_forbidden" and isinstance(parent, dict):
        value, meant = parent.pop(key, None), meant_key(path, root)
        if meant and meant not in parent:
            parent[meant], renamed[(*path[:-1], meant)] = value, str(key)
        return None if meant else path
    if detail["type"] == "missing" and key in parent:
        return None
    choices = context.get("choices") or re.findall(r"'([^']*)'", context.get("expected", ""))
    value = parent.get(key) if isinstance(parent, dict) else None
    if isinstance(value, str) and (meant := similar(value, choices)):
        parent[key] = meant
    elif where[-1] == "[key]":  # a name that cannot be one
        new = f"area {len(renamed)}"
        parent[new], renamed[(*path[:-1], new)] = parent.pop(key, None), str(key)
        return where
    elif field is not None and not field.is_required():
        parent.pop(key, None)
    else:
        parent[key] = _instead(path, data.get("areas"))
    return path


def _wrong_part(data: dict[str, object], path: Path) -> tuple[Any, Path]:
    """The innermost key, or entry of connections or readouts, that the path leads into; and what contains it."""
    parent: Any = data
    depth = 0
    for part in path[:-1]:
        inner = parent.get(part) if isinstance(parent, dict) else parent[part]
        entries = isinstance(inner, list) and path[: depth + 1] in (("connections",), ("readout",))
        if path[depth + 1] == "[key]" or not (isinstance(inner, dict) or entries):
            break
        parent, depth = inner, depth + 1
    return parent, path[: depth + 1]


def _instead(path: Path, areas: object) -> object:
    """What stands for a part that is wrong or missing, and has no default."""
    area = next(iter(areas), "V1") if isinstance(areas, dict) else "V1"
    connection = {"from": IMAGE, "to": area}
    readout = {"from": area, "classes": 2}
    match path:
        case ("connections", _, "from"):
            return IMAGE
        case ("connections", int()):
            return connection
        case ("readout", int()):
            return readout
        case ("inputs", _):
            return {"size": 8}
        case ("areas", _):
            return {"channels": 1}
        case ("grid", _):  # of a protocol
            return [0]
    parts = {"areas": {area: {"channels": 1}}, "connections": [connection], "readout": [readout]}
    parts |= {"input": {"size": 8}, "time": {"steps": 1}, "events": [{}]}
    return {**parts, "from": area, "to": area, "channels": 1, "classes": 2, "steps": 1, "size": 8, "name": "x"}.get(
        str(path[-1])
    )
