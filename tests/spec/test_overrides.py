"""`--set path=value`: applied before validation; findings name the override."""

from typing import Any

import pytest

from cortexgraph.compiler import build
from cortexgraph.errors import CortexGraphError, CortexGraphWarning, SpecError
from cortexgraph.spec import NetworkSpec, load, loads
from cortexgraph.spec.overrides import written_override

SPEC = """\
name: base
input: {size: 8}
areas:
  V1: {channels: 4, size: 8, norm: batch}
  TH/TF: {channels: 4}
  "7": {channels: 4}
connections:
  - image -> V1
  - V1 -> TH/TF -> 7
  - {from: TH/TF, to: V1, resize: nearest}
  - [V1 -> V1, {from: "7", to: "7"}]
readout: {from: TH/TF, classes: 2}
time: {steps: 3, order: sequential}
"""


def changed(*overrides: str) -> NetworkSpec:
    return loads(SPEC, file="base.yaml", overrides=overrides)


def at(spec: NetworkSpec, *path: Any) -> Any:
    value: Any = spec
    for part in path:
        value = getattr(value, part) if isinstance(part, str) and hasattr(value, part) else value[part]
    return value


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("time.steps=4", ("time", "steps"), 4),
        ("time.steps = 4", ("time", "steps"), 4),
        ("areas.V1.channels=64", ("areas", "V1", "channels"), 64),
        ("areas['TH/TF'].size=8", ("areas", "TH/TF", "size"), 8),
        ('areas["TH/TF"].size=8', ("areas", "TH/TF", "size"), 8),
        ("areas.TH/TF.size=[8, 4]", ("areas", "TH/TF", "size"), (8, 4)),
        ("areas[7].size=8", ("areas", "7", "size"), 8),
        ("areas.7.size=8", ("areas", "7", "size"), 8),
        ("areas.V1.norm.per_step=true", ("areas", "V1", "norm", "per_step"), True),
        ("areas.V1.norm=null", ("areas", "V1", "norm"), None),
        ("defaults.connection.kernel=5", ("defaults", "connection", "kernel"), 5),
        ("connections[2].kernel=1", ("connections", 3, "kernel"), 1),
        ("connections.2.kernel=1", ("connections", 3, "kernel"), 1),
        ("connections[0].kernel=5", ("connections", 0, "kernel"), 5),
        ("connections[2].resize.at=before", ("connections", 3, "resize", "at"), "before"),
        ("connections[3][1].delay=2", ("connections", 5, "delay"), 2),
        ("connections[1]=V1 -> V1", ("connections", 1, "target"), "V1"),
        ("time.order=[[V1], [TH/TF, '7']]", ("time", "order"), (("V1",), ("TH/TF", "7"))),
        ("description=a=b", ("description",), "a=b"),
        ('description=""', ("description",), ""),
        ("readout={from: V1, classes: 3}", ("readouts", 0, "classes"), 3),
        ("areas.new={channels: 3}", ("areas", "new", "channels"), 3),
    ],
)
@pytest.mark.filterwarnings("ignore:.* is entry 2 of the list")
def test_sets(override: str, path: tuple[Any, ...], value: Any):
    assert at(changed(override), *path) == value


def test_an_index_says_which_connection_it_means_where_two_counts_differ():
    """Overrides count entries; `spec.connections` counts connections, of which a chain has several."""
    said = r"entry 2 of the list, TH/TF -> V1; `spec.connections\[2\]` is TH/TF -> 7.*`connections\[TH/TF -> V1\]`"
    for override in ("connections[2].kernel=1", "connections[2]=V1 -> V1"):
        with pytest.warns(CortexGraphWarning, match=said):
            changed(override)
    changed("connections[1]=V1 -> V1", "connections[TH/TF -> V1].kernel=1", "connections[3][1].delay=2")


def test_several_and_the_last_one_holds():
    spec = changed("time.steps=0", "time.steps=5", "areas.V1.channels=8", "time={steps: 6}")
    assert (spec.time.steps, spec.areas["V1"].channels, spec.time.order) == (6, 8, "simultaneous")


def test_python_values():
    spec = loads(SPEC, overrides={"time.steps": 5, "time.order": [["V1", "7"], ["TH/TF"]], "description": "1"})
    assert (spec.time.steps, spec.time.order, spec.description) == (5, (("V1", "7"), ("TH/TF",)), "1")


def test_one_text_is_one_override():
    assert loads(SPEC, overrides="time.steps=7").time.steps == 7


def test_spec_without_defaults_gets_them():
    assert changed("defaults.area.activation=tanh").defaults.area.activation == "tanh"


@pytest.mark.parametrize(
    ("override", "code", "text"),
    [
        ("time.stepz=4", "unknown-key", "Did you mean `steps`"),
        ("tme.steps=4", "unknown-key", "Did you mean `time`"),
        ("time.steps=0", "out-of-range", "at least 1"),
        ("time.steps=four", "wrong-type", "the text `four`"),
        ("readout={from: V1}", "missing-key", "the key `classes` is missing"),
        ("connections[0]=V1 ->", "bad-chain", "both sides"),
        ("connections[2].kernl=1", "unknown-key", "TH/TF -> V1: the key `kernl`"),
        ("areas.V2.channels=4", "bad-override", "no area is called `V2`; the areas are `V1`, `TH/TF` and `7`"),
        ("areas.v1.channels=4", "bad-override", "Did you mean `V1`"),
        ("connections[9].kernel=1", "bad-override", r"no entry 9: the last one is `connections\[3\]`"),
        ("connections[1].kernel=1", "bad-override", r"`connections\[[^]]+ -> [^]]+\]\.kernel`"),
        ("connections.V1.kernel=1", "bad-override", "`V1` is not an index"),
        ("time.steps.x=1", "bad-override", "`time.steps` is `3`"),
        ("time.steps", "bad-override", "not `path=value`"),
        ("=4", "bad-override", "not `path=value`"),
        ("", "bad-override", "not `path=value`"),
        ("time..steps=4", "bad-override", "not `path=value`"),
        ("areas[V1=4", "bad-override", "not `path=value`"),
        ("description=", "wrong-type", "the value is missing"),
        ("time={steps: 1, steps: 2}", "bad-override", "appears here and on line 1"),
        ("description=a: b: c", "bad-override", "Put text in quotes"),
        ("description=!!python/name:os.system x", "bad-override", "is a YAML tag"),
    ],
)
@pytest.mark.filterwarnings("ignore:.* is entry 2 of the list")
def test_findings_name_the_override(override: str, code: str, text: str):
    with pytest.raises(SpecError, match=text) as caught:
        changed(override)
    (finding,) = caught.value.diagnostics
    assert finding.code == code
    assert finding.place.startswith(f"--set {override}".rstrip())
    assert finding.file is None


def test_findings_of_file_and_overrides_come_together():
    with pytest.raises(SpecError, match="bad-override") as caught:
        loads(SPEC.replace("classes: 2", "clases: 2"), file="base.yaml", overrides=["areas.V2.size=2", "time.steps=0"])
    assert {finding.code for finding in caught.value.diagnostics} == {
        "bad-override",
        "out-of-range",
        "unknown-key",
    }


def test_later_stages_name_the_override_too():
    finding = changed("areas.V1.size=7").origin.diagnostic("size", ("areas", "V1", "size"), "7 is odd")
    assert str(finding).startswith("--set areas.V1.size=7: 7 is odd")


def test_bad_paths_of_a_mapping():
    with pytest.raises(SpecError, match="`time steps]` is not a path"):
        loads(SPEC, overrides={"time steps]": 3})


CHAINS = """
name: net
input: {size: 8}
areas: {A: {channels: 4}, B: {channels: 4}}
connections:
  - [image -> A -> B, [B -> A]]
  - {from: B, to: B, name: loop}
readout: {from: B, classes: 2}
time: {steps: 3}
"""


@pytest.mark.parametrize(
    ("path", "ends"),
    [("A -> B", ("A", "B")), ("image->A", ("image", "A")), ("B -> A", ("B", "A")), ("loop", ("B", "B"))],
)
def test_a_connection_is_named_by_its_ends_or_its_name_in_chains_too(path: str, ends: tuple[str, str]) -> None:
    before = loads(CHAINS)
    spec = loads(CHAINS, overrides=[f"connections[{path}].kernel=5", f"connections['{path}'].gain=2"])
    assert [(c.source, c.target, c.gain) for c in spec.connections if c.kernel == 5] == [(*ends, 2)]
    assert [(c.source, c.target) for c in spec.connections] == [(c.source, c.target) for c in before.connections]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("A -> C", r"no connection is called `A -> C`, and `A -> C` is not an index\.\n  Did you mean `A -> B`\?"),
        ("noop", r"no connection is called `noop`"),
        ("A -> B", r"2 connections are called `A -> B`\.\n  Name it by its `name`"),
    ],
)
def test_an_unknown_or_ambiguous_connection(path: str, message: str) -> None:
    text = CHAINS.replace("[B -> A]", "[B -> A, A -> B]") if path == "A -> B" else CHAINS
    with pytest.raises(SpecError, match=message):
        loads(text, overrides=[f"connections[{path}].kernel=5"])


def test_an_area_without_areas_before_it_is_recognised() -> None:
    with pytest.raises(SpecError, match=r"no key `V1`, but an area of this name.\n  Write `areas.V1.channels=3`"):
        load("ventral", ["V1.channels=3"])


@pytest.mark.parametrize(
    ("order", "repair"),
    [
        ("V1,V2,V4,IT", r"Write a list: `\[V1, V2, V4, IT\]`"),
        ("V1 -> V2->V4 -> IT", r"Write a list: `\[V1, V2, V4, IT\]`"),
        ("['V1,V2', V4, IT]", r"brackets around areas updated together: `\[V1, V2\]`"),
        ("sequentially", r"Did you mean `sequential`"),
    ],
)
def test_an_order_that_is_written_as_a_chain_is_recognised(order: str, repair: str) -> None:
    with pytest.raises(CortexGraphError, match=repair):
        build(load("ventral", [written_override(("time", "order"), order, f"--order {order}")]))
