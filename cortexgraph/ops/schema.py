"""The JSON Schema of spec files, with every registered operation and cell and their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cortexgraph.ops.cells import CELLS
from cortexgraph.ops.make import OPERATIONS
from cortexgraph.ops.registry import Kind, Registry
from cortexgraph.spec import json_schema as schema_of_specs

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of spec files, shorthand included: editors complete and validate with it.

    It names the operations and cells that are registered when it is made.
    """
    schema = schema_of_specs()
    definitions: dict[str, Any] = schema["$defs"]
    for title, registry in (("Operation", OPERATIONS), ("Cell", CELLS)):
        definitions[title] = _entry(registry, definitions)
    referred: dict[str, Any] = _referring(schema)
    return referred


def _entry(registry: Registry[Kind[Any]], definitions: dict[str, Any]) -> dict[str, Any]:
    """A word, or a mapping of one word to its options."""
    branches: list[dict[str, Any]] = [{"enum": [*registry], "type": "string"}]
    for name in registry:
        kind = registry[name]
        options = kind.options.model_json_schema(by_alias=True)
        definitions.update(options.pop("$defs", {}))
        values: list[dict[str, Any]] = [options, {"type": "null"}]
        if kind.main is not None:
            values.append(options["properties"][kind.main])
        entry = {"type": "object", "properties": {name: {"anyOf": values}}}
        branches.append(entry | {"required": [name], "additionalProperties": False})
    return {"anyOf": branches}


def _referring(part: Any) -> Any:
    """The schema with references in place of what only says `Operation` or `Cell`."""
    if isinstance(part, Mapping):
        if part.get("title") in ("Operation", "Cell") and part.keys() <= {"title", "description"}:
            return {"$ref": f"#/$defs/{part['title']}"}
        return {key: _referring(value) for key, value in part.items()}
    return [_referring(value) for value in part] if isinstance(part, list) else part
