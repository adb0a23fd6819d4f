"""Findings name the file, the line and the place as the user wrote it, in plain words, all at once."""

import pickle

import pytest

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.spec import AreaSpec, ConnectionSpec, InputSpec, NetworkSpec, ReadoutSpec, TimeSpec, loads

MANY = """\
name: many
input: {size: 8, chanels: 3}
areas:
  V1: {channels: 0}
  V2: {size: [4, x]}
connections:
  - image -> V1 -> V2
  - [V1 -> V1, {from: V2, to: V1, resize: {mode: nearst}}]
readout: {from: V2, classes: ten, at: [1, 0]}
time: {steps: 3, order: sequental}
"""


def findings(text: str) -> list[Diagnostic]:
    with pytest.raises(SpecError, match=r"\[") as caught:
        loads(text, file="many.yaml")
    return list(caught.value.diagnostics)


def test_all_findings_at_once_in_the_order_of_the_file():
    assert [(f.line, f.place, f.code) for f in findings(MANY)] == [
        (2, "input.chanels", "unknown-key"),
        (4, "areas.V1.channels", "out-of-range"),
        (5, "areas.V2", "missing-key"),
        (5, "areas.V2.size[1]", "wrong-type"),
        (8, "connections[1][1].resize.mode V2 -> V1", "unknown-value"),
        (9, "readout.classes", "wrong-type"),
        (9, "readout.at[1]", "out-of-range"),
        (10, "time.order", "unknown-value"),
    ]


def test_text_of_a_finding():
    assert str(findings(MANY)[0]) == (
        "many.yaml:2: input.chanels: the key `chanels` is unknown, but the keys here are `size`, `channels` and "
        "`present`.\n  Did you mean `channels`?    [unknown-key]"
    )


def test_no_jargon_of_the_validator():
    text = "\n".join(str(finding) for finding in findings(MANY))
    for jargon in (
        "pydantic",
        "http",
        "constrained",
        "function-",
        "literal",
        "Input should",
        "dict",
        "str_type",
        "None",
    ):
        assert jargon not in text


@pytest.mark.parametrize(
    ("line", "place", "text"),
    [
        ("input: {size: big}", "input.size", "must be a whole number, or two: [height, width]"),
        ("input: {size: {h: 1}}", "input.size", "the mapping `{h: 1}`"),
        ("input: {size: [1, 2, 3]}", "input.size", "at most 2 entries"),
        ("input: {size: [1]}", "input.size", "must have two entries"),
        ("input: {size: 8, present: []}", "input.present", "at least one entry"),
        ("input: {size: 8, present: frist}", "input.present", "Did you mean `first`"),
        ("input: {size: 8.0}", "input.size", "must be a whole number"),
        ("input: 8", "input", "a mapping with `size`"),
        ("input:", "input", "the value is missing"),
    ],
)
def test_one_finding_for_a_value_that_may_be_written_in_two_ways(line: str, place: str, text: str):
    found = findings(MANY.replace("input: {size: 8, chanels: 3}", line))
    (finding,) = [finding for finding in found if finding.line == 2]
    assert finding.place == place
    assert text in str(finding)


def test_misplaced_key_names_its_home():
    with pytest.raises(SpecError, match="It belongs in an entry of `connections`"):
        loads(MANY.replace("chanels: 3", "kernel: 3"))


def test_long_and_unprintable_values_are_cut():
    hostile = "\\e[31m" + "x" * 500
    (finding, *_) = findings(MANY.replace("chanels: 3", f'present: "{hostile}"'))
    assert "\x1b" not in str(finding)
    assert len(finding.found) < 100


def test_spec_made_in_python():
    with pytest.raises(SpecError, match="missing-key") as caught:
        NetworkSpec(
            name="python",
            input=InputSpec(size=8),
            areas={"V1": AreaSpec(channels=2), "V 2!": {"channels": 2}},
            connections=["image -> V1 -> V1", [{"source": "V1", "target": "V1", "kernl": 3}]],
            time=TimeSpec(steps=2),
        )
    assert [(f.code, f.place, f.file, f.line) for f in caught.value.diagnostics] == [
        ("bad-name", "areas['V 2!']", None, None),
        ("unknown-key", "connections[1][0].kernl V1 -> V1", None, None),
        ("missing-key", "", None, None),
    ]


def test_part_made_in_python():
    with pytest.raises(SpecError, match=r"AreaSpec\.channels: the value is `0`, but it must be at least 1"):
        AreaSpec(channels=0)
    with pytest.raises(SpecError, match=r"ConnectionSpec\.kind: .*\n.*Did you mean `lateral`"):
        ConnectionSpec(source="A", target="A", kind="latral")


def test_parts_are_closed_to_changes():
    with pytest.raises(AttributeError, match=r"a spec stays as it is \(AreaSpec.channels was set\)"):
        AreaSpec(channels=1).channels = 2


def test_python_and_file_give_equal_specs():
    made = NetworkSpec(
        name="two",
        input=InputSpec(size=8),
        areas={"V1": AreaSpec(channels=2)},
        connections=[ConnectionSpec(source="image", target="V1"), "V1 -> V1"],
        readout=ReadoutSpec(source="V1", classes=2),
        time=TimeSpec(steps=2),
    )
    read = loads(
        "{name: two, input: {size: 8}, areas: {V1: {channels: 2}}, connections: [image -> V1 -> V1],"
        " readout: {from: V1, classes: 2}, time: {steps: 2}}"
    )
    assert made == read
    assert hash(made) == hash(read)
    assert made.digest == read.digest
    assert made.origin.connections == ((0,), (1,))
    assert read.origin.connections == ((0,), (0,))


def test_origin_places_findings_of_later_stages():
    spec = loads(MANY_VALID, file="m.yaml")
    finding = spec.origin.diagnostic("shape-mismatch", ("connections", 3, "stride"), "x", label="V2 -> V1")
    assert (finding.file, finding.line, finding.place) == ("m.yaml", 8, "connections[1][1].stride V2 -> V1")
    assert spec.origin.line(("time", "steps")) == 10
    assert pickle.loads(pickle.dumps(spec)).origin == spec.origin


MANY_VALID = (
    MANY.replace(", chanels: 3", "")
    .replace("channels: 0", "channels: 2")
    .replace("{size: [4, x]}", "{channels: 2}")
    .replace("nearst", "nearest")
    .replace("ten, at: [1, 0]", "10")
    .replace("sequental", "sequential")
)


def test_a_spec_shows_what_differs_from_the_defaults() -> None:
    spec = NetworkSpec.model_validate(
        {
            "name": "short",
            "input": {"size": 8},
            "areas": {"A": {"channels": 2, "cell": "leaky"}},
            "connections": ["image -> A"],
            "readout": {"from": "A", "classes": 2},
            "time": {"steps": 1},
        }
    )
    assert repr(spec) == (
        "NetworkSpec(name='short', input=InputSpec(size=8), "
        "areas={'A': AreaSpec(cell=OperationSpec(name='leaky'), channels=2)}, "
        "connections=(ConnectionSpec(from='image', to='A'),), "
        "readout=(ReadoutSpec(from='A', classes=2),), time=TimeSpec(steps=1))"
    )
