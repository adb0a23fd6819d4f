"""The JSON Schema accepts what the language accepts, and refuses plain mistakes, says a small validator of our own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cortexgraph.ops.registry import json_schema
from cortexgraph.spec import starter, zoo
from cortexgraph.spec.reading import read_yaml

SPECIMENS = Path(__file__).parents[1] / "specs"
SCHEMA = json_schema()
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
KNOWN = {
    "$ref",
    "$defs",
    "$schema",
    "anyOf",
    "oneOf",
    "const",
    "enum",
    "type",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
}
KNOWN |= {
    "required",
    "properties",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "items",
}
KNOWN |= {
    "prefixItems",
    "minItems",
    "maxItems",
    "title",
    "description",
    "default",
    "examples",
    "exclusiveMinimum",
    "exclusiveMaximum",
}


def accepts(schema: dict[str, Any], value: Any) -> bool:
    assert schema.keys() <= KNOWN, f"the validator of this test does not know {schema.keys() - KNOWN}"
    if "$ref" in schema:
        return accepts(SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]], value)
    if "anyOf" in schema:
        return any(accepts(branch, value) for branch in schema["anyOf"])
    if ("const" in schema and value != schema["const"]) or value not in schema.get("enum", [value]):
        return False
    if "type" in schema and (
        not isinstance(value, TYPES[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean")
    ):
        return False
    if isinstance(value, dict):
        return accepts_object(schema, value)
    if isinstance(value, list):
        return accepts_array(schema, value)
    if isinstance(value, str):
        fits = re.search(schema.get("pattern", ""), value)
        return bool(fits) and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    if not isinstance(value, int | float):
        return True
    within = schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return within and schema.get("exclusiveMinimum", value - 1) < value < schema.get("exclusiveMaximum", value + 1)


def accepts_object(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    if not set(schema.get("required", ())) <= value.keys() or len(value) < schema.get("minProperties", 0):
        return False
    if len(value) > schema.get("maxProperties", len(value)):
        return False
    if "oneOf" in schema and sum(accepts(branch, value) for branch in schema["oneOf"]) != 1:
        return False
    for key, part in value.items():
        patterns = [inner for pattern, inner in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
        known = [schema["properties"][key]] if key in schema.get("properties", {}) else patterns
        if not known and schema.get("additionalProperties") is False:
            return False
        if not all(accepts(inner, part) for inner in known):
            return False
    return True


def accepts_array(schema: dict[str, Any], value: list[Any]) -> bool:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return False
    inner = [*schema.get("prefixItems", []), *[schema.get("items", {})] * len(value)]
    return all(accepts(item, part) for item, part in zip(inner, value, strict=False))


def data_of(path: Path) -> Any:
    return read_yaml(path.read_text(encoding="utf-8")).data


@pytest.mark.parametrize("path", [*sorted((SPECIMENS / "valid").glob("*.yaml")), *zoo().values()], ids=lambda p: p.stem)
def test_valid_specs_are_accepted(path: Path):
    assert accepts(SCHEMA, data_of(path))


def test_starter_is_accepted():
    assert accepts(SCHEMA, read_yaml(starter("new")).data)


@pytest.mark.parametrize(
    "name",
    [
        "unknown_key",
        "missing_key",
        "missing_part",
        "text_for_number",
        "zero_channels",
        "unknown_order",
        "unknown_resize",
        "unknown_kind",
        "chain_of_one",
        "language_version",
        "quote_in_name",
        "connection_is_a_number",
    ],
)
def test_mistakes_are_refused(name: str):
    if name == "quote_in_name":  # an area of no legal name: refused as a connection's end
        assert not accepts(SCHEMA["$defs"]["ConnectionSpec"], {"from": 'V"1', "to": "V1"})
    else:
        assert not accepts(SCHEMA, data_of(SPECIMENS / "invalid" / "language" / f"{name}.yaml"))


def test_every_key_is_described_for_editors():
    parts = [SCHEMA, *SCHEMA["$defs"].values()]
    fields = [field for part in parts for field in part.get("properties", {}).values() if "anyOf" not in part]
    assert len(fields) > 30
    assert all(field.get("description") for field in fields)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_names_of_all_scripts_pass_in_editors():
    pattern = SCHEMA["$defs"]["ConnectionSpec"]["properties"]["from"]["pattern"]
    assert all(re.search(pattern, name) for name in ("V1", "TH/TF", "視覚野", "V1 (L2/3)", "Ü"))
    assert "\\w" not in pattern
