"""A finding is about what stands in the file: a wrong key or entry yields one finding, and hides none."""

from __future__ import annotations

import json
from typing import Any

import pytest

import cortexgraph as cg
from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.spec.origin import path_text
from tests.changes import TWO_AREAS, changed


def findings(changes: dict[tuple[Any, ...], Any]) -> list[Diagnostic]:
    data = changed(TWO_AREAS, changes)
    try:
        return list(cg.check(cg.loads(json.dumps(data), file="v.json")))
    except CortexGraphError as error:
        return list(error.diagnostics)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("connections", 1, "upsample"), 4),
        (("connections", 1, "share_weights"), False),
        (("connections", 1, "scale"), [1, 2]),
        (("areas", "V2", "type"), "excitatory"),
        (("areas", "V2", "type"), {"excitatory": 1}),
        (("areas", "V2", "normalization"), "bach"),
        (("areas", "V2", "nonlinearity"), 3),
        (("areas", "V2", "depth"), "high"),
        (("readout", "steps"), [0]),
        (("readout", "steps"), [9]),
    ],
)
def test_a_value_that_does_not_fit_the_key_that_was_perhaps_meant(path: tuple[Any, ...], value: Any) -> None:
    (finding,) = findings({path: value})
    assert finding.code == "unknown-key"
    assert finding.place.split(" ")[0] == path_text(path)


@pytest.mark.parametrize("shape", [[3, 32, 32], ["32", 32], "32 by 32"])
def test_an_image_given_by_its_shape(shape: Any) -> None:
    (finding,) = findings({("input",): {"shape": shape}})
    assert (finding.code, finding.place) == ("unknown-key", "input.shape")


def test_what_is_wrong_within_a_part_under_another_key_is_named_by_the_key_that_stands_there() -> None:
    layers = {"V1": {"filters": 4, "size": 16}, "V2": {"channels": 0, "size": 8}}
    edges = ["image -> V1 -> V2", {"from": "V1", "to": "V9"}, {"from": "V2", "to": "V1", "kernel": -1}]
    readouts = [{"from": "V2", "classes": 2}, {"from": "V3", "classes": 2}]
    found = findings(
        {
            ("areas",): None,
            ("layers",): layers,
            ("connections",): None,
            ("edges",): edges,
            ("readout",): None,
            ("readouts",): readouts,
        }
    )
    assert {(finding.code, finding.place) for finding in found} == {
        ("unknown-key", "layers"),
        ("unknown-key", "layers.V1.filters"),
        ("out-of-range", "layers.V2.channels"),
        ("unknown-key", "edges"),
        ("unknown-area", "edges[1].to V1 -> V9"),
        ("out-of-range", "edges[2].kernel V2 -> V1"),
        ("unknown-key", "readouts"),
        ("unknown-area", "readouts[1].from"),
    }


@pytest.mark.parametrize(
    ("before", "after", "repair"),
    [
        ("V2: {", "V2:{", "Put a space after the colon: `V2: {`."),
        ("time: {steps: 4}", "time:{steps: 4}", "Put a space after the colon: `time: {steps`."),
        ("channels: 4,", "channels:4,", "Put a space after the colon: `channels: 4`."),
    ],
)
def test_a_colon_without_a_space(before: str, after: str, repair: str) -> None:
    text = (
        "name: v\ninput: {size: 16}\nareas:\n  V1: {channels: 4, size: 16}\n  V2: {channels: 4, size: 8}\n"
        "connections:\n  - image -> V1 -> V2\nreadout: {from: V2, classes: 2}\ntime: {steps: 4}\n"
    )
    with pytest.raises(CortexGraphError, match="Put a space") as caught:
        cg.loads(text.replace(before, after, 1))
    assert [finding.repair for finding in caught.value.diagnostics] == [repair]


def test_two_keys_that_mean_the_same() -> None:
    area = {"out_channels": 4, "filters": 8, "size": 8}
    first, second = findings({("areas", "V2"): area})
    assert (first.place, first.repair) == ("areas.V2.out_channels", "Did you mean `channels`?")
    repair = "Remove it, or `out_channels`: both mean `channels`."
    assert (second.place, second.repair) == ("areas.V2.filters", repair)
    (only,) = findings({("areas", "V2", "filters"): 8})
    assert only.repair == "Remove it, or `channels`: both mean `channels`."


@pytest.mark.parametrize("path", [("areas", "V2"), ("connections", 1)])
def test_channels_of_an_input_are_not_declared(path: tuple[Any, ...]) -> None:
    (finding,) = findings({(*path, "in_channels"): 3})
    assert finding.repair.startswith("Remove it: ")


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("readout", "at"), [0], "readout.at[0]"),
        (("readout", "at"), [-1, 3], "readout.at[0]"),
        (("readout", "at"), [6.0], "readout.at[0]"),
        (("readout", "at"), ["last"], "readout.at[0]"),
        (("input", "present"), [0], "input.present[0]"),
        (("connections", 1, "active"), [0], "connections[1].active[0]"),
        (("time", "order"), [1], "time.order[0]"),
        (("time", "order"), [[1]], "time.order[0][0]"),
    ],
)
def test_a_wrong_entry_does_not_make_a_list_too_short(path: tuple[Any, ...], value: Any, place: str) -> None:
    (finding,) = findings({path: value})
    assert finding.place.split(" ")[0] == place


def test_a_list_that_is_empty_is_too_short() -> None:
    (finding,) = findings({("readout", "at"): []})
    assert finding.expected == "at least one entry is needed"


def test_an_option_of_an_operation_under_another_name_is_not_missing() -> None:
    (finding,) = findings({("connections", 1, "transform"): [{"upsample": {"factr": 2}}]})
    assert "Did you mean" in finding.repair


@pytest.mark.parametrize(
    ("before", "after", "place", "repair"),
    [
        ("input: {size: 16}", "input: size:16", "input", "Put a space after the colon: `size: 16`."),
        ("time: {steps: 4}", "time:\n  steps:4", "time", "Put a space after the colon: `steps: 4`."),
        ("name: v", "name:v", "column 6", "Put a space after the colon: `name: v`."),
    ],
)
def test_a_colon_without_a_space_in_a_text(before: str, after: str, place: str, repair: str) -> None:
    text = "name: v\ninput: {size: 16}\nareas: {V1: {channels: 4}}\nconnections: [image -> V1]\n"
    text += "readout: {from: V1, classes: 2}\ntime: {steps: 4}\n"
    with pytest.raises(CortexGraphError, match="Put a space") as caught:
        cg.loads(text.replace(before, after, 1))
    (finding,) = caught.value.diagnostics
    assert (finding.place, finding.repair) == (place, repair)
    assert finding.line == text[: text.index(before)].count("\n") + 1


def test_a_colon_in_the_path_of_an_override() -> None:
    with pytest.raises(CortexGraphError, match=r"^--set time:steps=3: `time:steps` is not a path\.\n  Write `time"):
        cg.load("ventral", ["time:steps=3"])


@pytest.mark.parametrize("name", ["input", "Image", "stimulus"])
def test_other_words_for_the_image_lead_to_it(name: str) -> None:
    text = "name: v\ninput: {size: 16}\nareas: {V1: {channels: 4}}\nconnections: [image -> V1]\n"
    text += f"readout: {{from: {name}, classes: 2}}\ntime: {{steps: 2}}\n"
    (finding,) = cg.check(cg.loads(text))
    assert (finding.place, finding.expected) == ("readout.from", "a readout reads an area")
    assert finding.found == f"the image (`{name}`) is read out"
    back = text.replace("image -> V1", f"image -> V1 -> {name}").replace(f"from: {name}", "from: V1")
    assert [(each.code, each.place) for each in cg.check(cg.loads(back))] == [
        ("image-as-target", f"connections[0].to V1 -> {name}")
    ]
