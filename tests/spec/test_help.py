"""`help` of a part of a spec: its fields with their meaning come first, and all of it fits two screens."""

from __future__ import annotations

import inspect
import pydoc

import pytest

import cortexgraph as cg
from cortexgraph.spec import AreaSpec, ConnectionSpec, Model, NetworkSpec, ReadoutSpec, TimeSpec

PARTS = [NetworkSpec, AreaSpec, ConnectionSpec, ReadoutSpec, TimeSpec]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_help_starts_with_the_fields_and_is_short(part: type[Model]) -> None:
    lines = pydoc.plain(pydoc.render_doc(part)).splitlines()
    fields = next(number for number, line in enumerate(lines) if "Fields:" in line)
    assert fields < 12
    assert len(lines) < 120
    assert max(map(len, lines[: fields + 12])) < 700
    for noise in ("Annotated", "pattern", "AfterValidator", "MinLen", "0x"):
        assert noise not in "\n".join(lines[: fields + len(part.model_fields)])
    for name in inspect.signature(part).parameters:
        assert name in "\n".join(lines)


def test_the_signature_names_the_fields_required_ones_first() -> None:
    parameters = inspect.signature(cg.NetworkSpec).parameters
    assert [*parameters][:6] == ["name", "input", "areas", "connections", "readouts", "time"]
    assert parameters["description"].default == ""


def test_the_schema_keeps_the_short_description() -> None:
    definitions = cg.json_schema()["$defs"]
    assert (
        definitions["AreaSpec"]["description"]
        == "A cortical area: a state tensor [B, channels, *size], updated in time."
    )
