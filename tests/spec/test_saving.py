"""Specs are written as a person would, whole or not at all, and read back equal."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cortexgraph.errors import CortexGraphError, DataError
from cortexgraph.spec import NetworkSpec, dumps, load, loads, save

DESIGN = Path(__file__).parents[1] / "specs" / "valid" / "design.yaml"
WORDS = [
    "V1",
    "TH/TF",
    "7a",
    "7",
    "no",
    "null",
    "V1-L4",
    "1e3",
    "0x10",
    "2024-01-01",
    "Ü (L2/3)",
]
names = st.sampled_from([*WORDS, "true", "1_000", "0o7", "a: b", "a, b", "x.y", "視覚野"])
counts = st.integers(1, 9)
pairs = counts | st.tuples(counts, counts)
norms = st.sampled_from(["batch", "none", {"kind": "group", "groups": 2}, {"per_step": True}, {}])
resizes = st.sampled_from(["nearest", {"mode": "bilinear", "at": "before"}, {"at": "before"}, {}])
steps = st.lists(counts, min_size=1, max_size=3)
convolution = {"kernel": pairs, "dilation": pairs, "groups": counts, "bias": st.booleans()}
optional_area = {"norm": norms | st.none(), "activation": names}


def areas() -> st.SearchStrategy[Any]:
    levels = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5)
    return st.fixed_dictionaries({"channels": counts}, optional=optional_area | {"size": pairs, "level": levels})


def connections() -> st.SearchStrategy[Any]:
    kinds = st.sampled_from(["feedforward", "lateral", "feedback"])
    optional = convolution | {"kind": kinds, "stride": pairs, "resize": resizes, "delay": st.integers(0, 9)}
    mapping = st.fixed_dictionaries({"from": names, "to": names}, optional=optional)
    chain = st.lists(names, min_size=2, max_size=4).map(" -> ".join)
    return st.lists(mapping | chain | st.lists(chain, min_size=1, max_size=3), max_size=5)


def networks() -> st.SearchStrategy[NetworkSpec]:
    orders = st.sampled_from(["simultaneous", "sequential"]) | st.lists(names | st.lists(names, min_size=1), min_size=1)
    defaults = {
        "area": st.fixed_dictionaries({}, optional=optional_area),
        "connection": st.fixed_dictionaries({}, optional=convolution),
    }
    required = {
        "name": names,
        "input": st.fixed_dictionaries({"size": pairs}, optional={"present": st.just("first") | steps}),
        "areas": st.dictionaries(names, areas(), min_size=1, max_size=4),
        "connections": connections(),
        "readout": st.fixed_dictionaries({"from": names, "classes": counts}, optional={"at": st.just("all") | steps}),
        "time": st.fixed_dictionaries({"steps": counts}, optional={"order": orders}),
    }
    optional = {
        "cortexgraph": st.just(1),
        "description": st.text(max_size=30),
        "references": st.lists(st.text(max_size=8), max_size=3),
        "defaults": st.fixed_dictionaries({}, optional=defaults),
    }
    return st.fixed_dictionaries(required, optional=optional).map(NetworkSpec.model_validate)


SIGNS = ["\x85", "\u2028", "\u2029", "\ufeff", "\x00", "\x1b", "\t", "\n", "\r\n", "\xa0", "\U0001f9e0", ""]


@pytest.mark.parametrize("sign", SIGNS)
def test_every_sign_of_a_description_is_kept(tmp_path: Path, sign: str):
    spec = load("ventral", {"description": f"{sign}a{sign}: # {sign}"})
    for name in ("spec.yaml", "spec.json"):
        save(spec, tmp_path / name)
        assert load(tmp_path / name).description == spec.description


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(spec=networks())
def test_load_gives_back_what_was_saved(tmp_path: Path, spec: NetworkSpec):
    for name in ("spec.yaml", "spec.json"):
        save(spec, tmp_path / name)
        assert load(tmp_path / name) == spec


def test_written_as_in_the_design():
    lines = [line.split("  #")[0].rstrip() for line in DESIGN.read_text(encoding="utf-8").splitlines()[1:]]
    lines[lines.index("  area: {activation: relu, norm: {kind: batch, per_step: true}}")] = (
        "  area: {norm: {kind: batch, per_step: true}, activation: relu}"
    )
    assert dumps(load(DESIGN)).splitlines() == lines


def test_what_was_not_set_is_not_written():
    text = (
        "{name: a, input: {size: 8}, areas: {V1: {channels: 2}}, connections: [],"
        " readout: {from: V1, classes: 2}, time: {steps: 1}}"
    )
    assert dumps(loads(text)).splitlines() == [
        "cortexgraph: 1",
        "name: a",
        "input: {size: 8}",
        "areas:",
        "  V1: {channels: 2}",
        "connections: []",
        "readout: {from: V1, classes: 2}",
        "time: {steps: 1}",
    ]


def test_json_is_json(tmp_path: Path):
    path = tmp_path / "v.json"
    save(load(DESIGN), path)
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["cortexgraph"] == 1
    assert data["connections"][0] == {"from": "image", "to": "V1", "kernel": 5}


@pytest.mark.parametrize("name", ["spec.txt", "spec", "no/such/folder/spec.yaml", "nul\0.yaml"])
def test_refused_without_a_trace(tmp_path: Path, name: str):
    with pytest.raises(CortexGraphError, match=r"suffix|cannot be written"):
        save(load("ventral"), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_folder_in_the_way_is_kept(tmp_path: Path):
    (tmp_path / "spec.yaml").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        save(load("ventral"), tmp_path / "spec.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


def test_failed_save_keeps_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "spec.yaml"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DataError, match="no space left on device"):
        save(load("ventral"), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
