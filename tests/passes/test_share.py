from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cortexgraph.compiler import compile_spec, interpret, unroll
from cortexgraph.passes import Status, prune, share, statuses
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.unrolling import Node, Repeat, UnrolledGraph
from cortexgraph.unrolling.verify import verify
from tests.oracle import images, randomise
from tests.strategies import specs


def chain(areas: str = "AB", *, silence: str = "skip", extra: Iterable[Any] = (), **area: Any) -> NetworkSpec:
    """image → A → B …, read at every step."""
    return NetworkSpec.model_validate(
        {
            "name": "chain",
            "input": {"channels": 2, "size": 4},
            "areas": {name: {"channels": 2, "size": 4, **area} for name in areas},
            "connections": [" -> ".join(["image", *areas]), *extra],
            "readout": {"from": areas[-1], "classes": 2, "at": "all"},
            "time": {"steps": 4, "order": "sequential", "silence": silence},
        }
    )


def text(repeat: Repeat | None) -> str | None:
    if repeat is None:
        return None
    conditions = ["still"] * repeat.still + ["evaluation"] * repeat.evaluation
    return " ".join([str(repeat.of), *conditions])


def repeats(graph: UnrolledGraph) -> dict[str, str | None]:
    return {str(node): text(graph.repeat(node)) for node in graph if node.kind in {"update", "drive"}}


def test_what_a_static_image_alone_drives_repeats_where_it_is_static() -> None:
    shared = verify(share(unroll(chain(norm="layer"))))
    assert repeats(shared) == {
        "A@1": None,
        "B@1": None,
        "A@2": "A@1 still",
        "B@2": "B@1 still",
        "A@3": "A@2 still",
        "B@3": "B@2 still",
        "A@4": "A@3 still",
        "B@4": "B@3 still",
    }
    assert shared.shared == {}


def test_running_averages_confine_it_to_evaluation_and_per_step_sets_forbid_it() -> None:
    assert repeats(share(unroll(chain(norm="batch"))))["B@3"] == "B@2 still evaluation"
    apart = share(unroll(chain(norm={"kind": "layer", "per_step": True})))
    assert {
        node: repeat for node, repeat in repeats(apart).items() if "@" in node and "drive" not in node
    } == dict.fromkeys([f"{area}@{step}" for step in range(1, 5) for area in "AB"])
    assert repeats(apart)["drive image_to_A@2"] == "drive image_to_A@1 still"


def test_what_zeros_drive_is_computed_once_for_videos_too() -> None:
    late = chain(silence="zero_input", norm="layer")
    late = late.model_copy(update={"input": late.input.model_copy(update={"present": (4,)})})
    shared = share(unroll(late))
    assert {str(node): str(first) for node, first in shared.shared.items()} == {
        "A@2": "A@1",
        "B@2": "B@1",
        "A@3": "A@1",
        "B@3": "B@1",
    }
    assert [str(node) for node in shared.updates()] == ["A@1", "B@1", "A@4", "B@4"]
    assert [str(shared.terms(Node("update", "B", 4, 1))[0][1]), *map(str, shared.readouts)] == [
        "A@4", "readout B@1", "readout B@2", "readout B@3", "readout B@4",
    ]  # fmt: skip
    assert [str(state) for readout in shared.readouts for state in shared.predecessors(readout)] == [
        "B@1", "B@1", "B@1", "B@4",
    ]  # fmt: skip


def test_a_connection_read_twice_from_one_value_becomes_a_drive() -> None:
    up_and_down = ("V1", "V2", "V4", "IT", "V4", "V2", "V1")
    shared = verify(share(prune(unroll(load("ventral"), steps=2, order=up_and_down))))
    assert {node.name for node in shared if node.kind == "drive"} == {
        "image_to_V1", "V1_to_V2", "V2_to_V4", "IT_to_V4", "V4_to_V2", "V2_to_V1",
    }  # fmt: skip
    readers = [str(node) for node in shared.successors(Node("drive", "V1_to_V2", 1, 1))]
    assert readers == ["V2@1", "V2@1"]  # on the way up and on the way down


def test_dropout_is_never_shared() -> None:
    shared = share(unroll(chain(norm=None, body=["conv", {"dropout": 0.5}])))
    assert set(repeats(shared).values()) == {
        None,
        "drive image_to_A@1 still",
        "drive image_to_A@2 still",
        "drive image_to_A@3 still",
    }
    transform = {"from": "A", "to": "B", "transform": [{"dropout": 0.5}, "conv"]}
    drops = share(unroll(chain(extra=[transform])))
    assert repeats(drops)["A@2"] == "A@1 still"
    assert repeats(drops)["B@2"] is None


def test_statuses_say_what_became_of_each_node() -> None:
    full = unroll(chain("ABC", norm="layer"), order="simultaneous")
    found = statuses(full, share(prune(full)))
    assert found[Node("update", "C", 2)] == Status("silent")
    assert found[Node("update", "A", 4)] == Status("unread")
    assert found[Node("update", "A", 1)] == Status("executed")
    like = Repeat(Node("update", "A", 1), still=True)
    assert found[Node("update", "A", 2)] == Status("shared", like)
    assert {status.word for status in statuses(full).values()} == {"executed", "silent"}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs(), video=st.booleans(), training=st.booleans())
def test_values_that_it_calls_equal_are_equal_in_the_interpreter(
    spec: NetworkSpec, video: bool, training: bool
) -> None:
    full = unroll(spec)
    graph = verify(share(full))
    pairs = [(node, first) for node, first in graph.shared.items()]
    for node in graph.live_updates():
        repeat = graph.repeat(node)
        if repeat is not None and not (repeat.still and video) and not (repeat.evaluation and training):
            pairs.append((node, repeat.of))
    torch.manual_seed(0)
    module = randomise(compile_spec(spec, passes=["prune"]).double())
    x = images(spec, batch=2, video_steps=spec.time.steps if video else None)
    _, states = interpret(spec, module.state_dict(), x, training=training)
    for node, like in pairs:
        if full.state(node.name, node.step) == node and full.state(like.name, like.step) == like:
            one, other = states[node.name, node.step], states[like.name, like.step]
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs(), prune_first=st.booleans())
def test_it_keeps_every_sink_and_leaves_out_nothing_but_equals(spec: NetworkSpec, prune_first: bool) -> None:
    full = prune(unroll(spec)) if prune_first else unroll(spec)
    graph = verify(share(full))
    assert (graph.readouts, graph.records) == (full.readouts, full.records)
    assert {node for node in full if node not in graph} == set(graph.shared)
    assert not set(graph.shared.values()) & set(graph.shared)
    assert {node for node in graph if node not in full} == {node for node in graph if node.kind == "drive"}
