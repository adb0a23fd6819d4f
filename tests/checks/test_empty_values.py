"""Keys without a value: in files and overrides they are pointed out, in Python None is the default."""

from __future__ import annotations

from cortexgraph.compiler import check
from cortexgraph.spec import NetworkSpec, load, loads

TEXT = """
cortexgraph: 1
name: specimen
input: {channels: 3, size: 8}
defaults: {area: {norm: batch, activation: gelu}, connection: {kernel: 5}}
areas: {V1: {channels: 4, norm: null, activation: null}}
connections: [[{from: image, to: V1, kernel: null}]]
readout: {from: V1, classes: 2}
time: {steps: 1}
"""


def test_areas_and_connections() -> None:
    findings = [(finding.place, finding.repair) for finding in check(loads(TEXT))]
    assert findings == [
        ("areas.V1.activation", "Write `activation: identity`, or remove the key."),
        ("areas.V1.norm", "Write `norm: none`, or remove the key."),
        ("connections[0][0].kernel image -> V1", "Remove the key."),
    ]


def test_an_override() -> None:
    (finding,) = check(load("ventral", ["areas.V1.norm=null"]))
    assert (finding.code, finding.place) == ("empty-value", "--set areas.V1.norm=null")


def test_none_in_python_is_the_default() -> None:
    spec = NetworkSpec.model_validate(load("ventral").model_dump())
    assert not check(spec)
