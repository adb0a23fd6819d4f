"""Writing specs, as a person would, and their JSON Schema."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.files import write_text
from cortexgraph.spec.loading import SpecLike, resolve
from cortexgraph.spec.model import NetworkSpec
from cortexgraph.spec.shorthand import ARROW, chain_names
from cortexgraph.spec.yaml_text import yaml_text

__all__ = ["dumps", "json_schema", "save"]

BLOCKS = ("defaults", "areas", "connections")
"""The parts whose entries stand on lines of their own."""


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
        found = f"the file's suffix is `{suffix}`" if suffix else "the file has no suffix"
        expected, repair = "a spec is YAML or JSON", "Call it `.yaml` or `.json`."
        raise SpecError(Diagnostic("suffix", "", found, expected, repair, file=str(path)))
    text = _json(resolve(spec)) if suffix == ".json" else dumps(spec)
    write_text(path, text)


def dumps(spec: SpecLike) -> str:
    """The spec as YAML: what was set in it, in shorthand where there is one."""
    return yaml_text(_compact(resolve(spec)), BLOCKS)


def _json(spec: NetworkSpec) -> str:
    return json.dumps(_compact(spec), indent=2, ensure_ascii=False) + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of spec files, shorthand included: editors complete and validate with it."""
    schema = NetworkSpec.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def _compact(spec: NetworkSpec) -> dict[str, Any]:
    """What was set in the spec, with norms, resizings and chains in shorthand."""
    data = spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    data["areas"] = {name: _led_by(("channels", "size"), area) for name, area in data["areas"].items()}
    data["connections"] = [_led_by(("from", "to"), connection) for connection in data["connections"]]
    for part in [*data["areas"].values(), *data.get("defaults", {}).values(), *data["connections"]]:
        _shorten(part, "norm", "kind", "batch")
        _shorten(part, "resize", "mode", "nearest")
        _shorten(part, "tie", "connection", "")
        if isinstance(level := part.get("level"), float) and level.is_integer() and abs(level) < 1e15:
            part["level"] = int(level)
    if len(data["readout"]) == 1:
        (data["readout"],) = data["readout"]
    return {"cortexgraph": spec.version} | data | {"connections": _loops_together(_chained(data["connections"]))}


def _led_by(first: tuple[str, ...], part: dict[str, Any]) -> dict[str, Any]:
    """The part with these keys in front."""
    return {key: part[key] for key in first if key in part} | part


def _shorten(part: dict[str, Any], key: str, word: str, default: str) -> None:
    value = part.get(key)
    if isinstance(value, dict) and value.keys() <= {word}:
        part[key] = value.get(word, default)


def _chained(connections: list[dict[str, Any]]) -> list[dict[str, Any] | str]:
    """Neighbouring connections that only have ends as chains, which pass each area once."""
    entries: list[dict[str, Any] | list[str]] = []
    for connection in connections:
        last = entries[-1] if entries else None
        if connection.keys() != {"from", "to"}:
            entries.append(connection)
        elif isinstance(last, list) and last[-1] == connection["from"] and connection["to"] not in last:
            last.append(connection["to"])
        else:
            entries.append([connection["from"], connection["to"]])
    return [f" {ARROW} ".join(entry) if isinstance(entry, list) else entry for entry in entries]


def _loops_together(entries: list[dict[str, Any] | str]) -> list[Any]:
    """Neighbouring connections of areas to themselves as one list: `[V1 -> V1, V2 -> V2]`."""
    grouped: list[Any] = []
    for is_loop, group in groupby(entries, key=_is_loop):
        run = list(group)
        grouped += [run] if is_loop and len(run) > 1 else run
    return grouped


def _is_loop(entry: dict[str, Any] | str) -> bool:
    return isinstance(entry, str) and len(set(chain_names(entry) or ())) == 1
