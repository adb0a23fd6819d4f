"""Writing specs, as a person would, and their JSON Schema."""

from __future__ import annotations

import json
import re
from itertools import groupby
from pathlib import Path
from typing import Any

from cortexgraph.arguments import arguments_explained
from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.files import write_text
from cortexgraph.spec.loading import SpecLike, resolve
from cortexgraph.spec.model import NetworkSpec
from cortexgraph.spec.reading import CORE, STANDARD_TAG
from cortexgraph.spec.shorthand import ARROW, WORDS, chain_names

BLOCKS = ("defaults", "areas", "connections")
"""The parts whose entries stand on separate lines."""


@arguments_explained
def save(spec: SpecLike, path: str | Path) -> None:
    """Write a spec, or that of a path or zoo name, to a `.yaml`, `.yml` or `.json` file.

    `load` gives an equal spec back. The file appears whole or not at all.

    Raises:
        SpecError: if the file has another suffix.
        DataError: if the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".yaml", ".yml", ".json"):
        problem = f"the file's suffix is `{suffix}`" if suffix else "the file has no suffix"
        expected, repair = "a spec is YAML or JSON", "Call it `.yaml` or `.json`."
        raise SpecError(Diagnostic("suffix", "", problem, expected, repair, file=str(path)))
    as_json = suffix == ".json"
    text = json.dumps(_compact(resolve(spec)), indent=2, ensure_ascii=False) + "\n" if as_json else dumps(spec)
    write_text(path, text)


@arguments_explained
def dumps(spec: SpecLike) -> str:
    """The spec as YAML: what was set in it, in shorthand where there is one."""
    return _yaml(_compact(resolve(spec)))


def json_schema() -> dict[str, Any]:
    """The JSON Schema of spec files, shorthand included: editors complete and validate with it."""
    schema = NetworkSpec.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


# ---- shorthand ---------------------------------------------------------------


def _compact(spec: NetworkSpec) -> dict[str, object]:
    """What was set in the spec, with norms, resizings and chains in shorthand."""
    data = spec.data()
    data["areas"] = {name: _led_by(("channels", "size"), area) for name, area in data["areas"].items()}
    data["connections"] = [_led_by(("from", "to"), connection) for connection in data["connections"]]
    for part in [*data["areas"].values(), *data.get("defaults", {}).values(), *data["connections"]]:
        for key, default in (("norm", "batch"), ("resize", "nearest"), ("tie", "")):
            value = part.get(key)
            if isinstance(value, dict) and value.keys() <= {WORDS[key]}:
                part[key] = value.get(WORDS[key], default)
        if isinstance(level := part.get("level"), float) and level.is_integer() and abs(level) < 1e15:
            part["level"] = int(level)
    return {"cortexgraph": spec.version} | data | {"connections": _loops_together(_chained(data["connections"]))}


def _led_by(first: tuple[str, ...], part: dict[str, object]) -> dict[str, object]:
    """The part with these keys in front."""
    return {key: part[key] for key in first if key in part} | part


def _chained(connections: list[dict[str, Any]]) -> list[dict[str, object] | str]:
    """Neighbouring connections that only have ends as chains, which pass each area once."""
    entries: list[dict[str, object] | list[str]] = []
    for connection in connections:
        last = entries[-1] if entries else None
        if connection.keys() != {"from", "to"}:
            entries.append(connection)
        elif isinstance(last, list) and last[-1] == connection["from"] and connection["to"] not in last:
            last.append(connection["to"])
        else:
            entries.append([connection["from"], connection["to"]])
    return [f" {ARROW} ".join(entry) if isinstance(entry, list) else entry for entry in entries]


def _loops_together(entries: list[dict[str, object] | str]) -> list[object]:
    """Neighbouring connections of areas to themselves as one list: `[V1 -> V1, V2 -> V2]`."""
    grouped: list[object] = []
    for is_loop, group in groupby(entries, key=_is_loop):
        run = list(group)
        grouped += [run] if is_loop and len(run) > 1 else run
    return grouped


def _is_loop(entry: dict[str, object] | str) -> bool:
    return isinstance(entry, str) and len(set(chain_names(entry) or ())) == 1


# ---- YAML --------------------------------------------------------------------


def _yaml(data: dict[str, object]) -> str:
    """The data as YAML that versions 1.1 and 1.2 read alike: blocks for the parts with many entries."""
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """Puts the dashes of a list below its key, and quotes what YAML 1.2 would not read as text."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    def node(value: object, key: str = "", *, flow: bool = True) -> object:
        """The node of a value on one line, or of a mapping or list of such lines."""
        if isinstance(value, dict):
            parts = [
                (node(name), node(part, name, flow=bool(key) or name not in BLOCKS)) for name, part in value.items()
            ]
            return yaml.MappingNode(f"{STANDARD_TAG}map", parts, flow_style=flow)
        if isinstance(value, list):
            return yaml.SequenceNode(f"{STANDARD_TAG}seq", [node(part, key) for part in value], flow_style=flow)
        if isinstance(value, str):
            style = None if value.isprintable() else '"'  # line breaks of all scripts, controls
            return yaml.ScalarNode(f"{STANDARD_TAG}str", value, style=style)
        kind = {bool: "bool", int: "int", float: "float", type(None): "null"}[type(value)]
        return yaml.ScalarNode(STANDARD_TAG + kind, "null" if value is None else repr(value).lower())

    for kind, pattern, first in CORE:
        Dumper.add_implicit_resolver(STANDARD_TAG + kind, re.compile(rf"(?:{pattern})\Z"), list(first))
    width = 1_000_000  # a folded text is harder to read than a long line
    text: str = yaml.serialize(node(data, flow=False), Dumper=Dumper, allow_unicode=True, width=width)
    return text
