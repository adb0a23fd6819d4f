"""The JSON Schema of spec files, with every registered operation and cell and their options."""

from __future__ import annotations

from pydantic.json_schema import JsonSchemaValue

from cortexgraph.ops.base import Component
from cortexgraph.ops.registry import CELLS, OPERATIONS, Registry
from cortexgraph.spec import json_schema as schema_of_specs

__all__ = ["json_schema"]


def json_schema() -> JsonSchemaValue:
    """The JSON Schema of spec files, shorthand included: editors complete and validate with it.

    It names the operations and cells that are registered when it is made.
    """
    schema = schema_of_specs()
    definitions: dict[str, JsonSchemaValue] = schema["$defs"]
    definitions["Operation"] = _entry(OPERATIONS, definitions)
    definitions["Cell"] = _entry(CELLS, definitions)
    return {key: _referring(value) for key, value in schema.items()}


def _entry(registry: Registry[Component], definitions: dict[str, JsonSchemaValue]) -> JsonSchemaValue:
    """A word, or a mapping of one word to its options."""
    branches: list[JsonSchemaValue] = [{"enum": [*registry], "type": "string"}]
    for name in registry:
        kind = registry[name]
        options = kind.options.model_json_schema(by_alias=True)
        definitions.update(options.pop("$defs", {}))
        values: list[JsonSchemaValue] = [options, {"type": "null"}]
        if kind.main is not None:
            values.append(options["properties"][kind.main])
        entry = {"type": "object", "properties": {name: {"anyOf": values}}}
        branches.append(entry | {"required": [name], "additionalProperties": False})
    return {"anyOf": branches}


def _referring(part: object) -> object:
    """The schema with references in place of what only says `Operation` or `Cell`."""
    if isinstance(part, dict):
        if part.get("title") in ("Operation", "Cell") and part.keys() <= {"title", "description"}:
            return {"$ref": f"#/$defs/{part['title']}"}
        return {key: _referring(value) for key, value in part.items()}
    return [_referring(value) for value in part] if isinstance(part, list) else part
