from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cortexgraph.compiler import compile_spec, emit, interpret, unroll
from cortexgraph.passes import Status, cse, prune, statuses
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.unrolling import Node, UnrolledGraph, settle, verify
from tests.oracle import compare, images, randomise
from tests.strategies import specs

UP_AND_DOWN = ("V1", "V2", "V4", "IT", "V4", "V2", "V1")


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


def merged(spec: NetworkSpec, *, video: bool = False) -> UnrolledGraph:
    return verify(cse(verify(settle(unroll(spec, video=video)))))


def computed(graph: UnrolledGraph) -> list[str]:
    return [str(node) for node in graph if node.kind in {"update", "evaluation"}]


def test_what_a_static_image_alone_drives_is_held() -> None:
    assert computed(merged(chain(norm="layer"))) == ["A@1", "B@1"]
    assert computed(merged(chain(norm="batch"))) == ["A@1", "B@1"]
    assert len(computed(merged(chain(norm="layer"), video=True))) == 8


def test_per_step_sets_make_updates_differ_and_the_image_is_still_evaluated_once() -> None:
    graph = merged(chain(norm={"kind": "layer", "per_step": True}))
    assert [node.step for node in graph.updates("A")] == [1, 2, 3, 4]
    assert [str(node) for node in graph if node.kind == "evaluation"] == ["evaluation image_to_A@1"]


def test_what_zeros_drive_is_held_until_the_image_arrives() -> None:
    late = chain(silence="zero_input", norm="layer")
    late = late.model_copy(update={"input": late.input.model_copy(update={"present": (4,)})})
    for video in (False, True):
        graph = merged(late, video=video)
        assert [str(node) for node in graph.updates()] == ["A@1", "B@1", "A@4", "B@4"]
        states = [str(state) for readout in graph.readouts for state in graph.predecessors(readout)]
        assert states == ["B@1", "B@1", "B@1", "B@4"]


def test_equal_updates_that_do_not_follow_each_other_are_merged() -> None:
    """The image is shown at steps 1 and 3, zeros at 2 and 4: A repeats with a period of two."""
    spec = chain("A", silence="zero_input", norm="layer")
    blinking = spec.model_copy(update={"input": spec.input.model_copy(update={"present": (1, 3)})})
    graph = merged(blinking)
    assert [str(node) for node in graph.updates()] == ["A@1", "A@2"]
    assert {str(node): str(first) for node, first in graph.info.merged.items()} == {"A@3": "A@1", "A@4": "A@2"}
    batch = chain("A", silence="zero_input", norm="batch").model_copy(update={"input": blinking.input})
    assert [str(node) for node in merged(batch).updates()] == ["A@1", "A@2", "A@3", "A@4"]  # each moves statistics


def test_a_connection_read_twice_from_one_value_is_evaluated_once() -> None:
    graph = verify(cse(prune(settle(unroll(load("ventral"), steps=2, order=UP_AND_DOWN)))))
    assert {node.name for node in graph if node.kind == "evaluation"} == {
        "image_to_V1", "V1_to_V2", "V2_to_V4", "IT_to_V4", "V4_to_V2", "V2_to_V1",
    }  # fmt: skip
    readers = [str(node) for node in graph.successors(Node("evaluation", "V1_to_V2", 1, 1))]
    assert readers == ["V2@1", "V2@1"]  # on the way up and on the way down


def heads(**more: Any) -> NetworkSpec:
    """A's upsampled state goes into B and back into A's neighbour C."""
    up = [{"bilinear": 8}, {"conv": 3}]
    connections = ["image -> A", {"from": "A", "to": "B", "transform": up}, {"from": "A", "to": "C", "transform": up}]
    return NetworkSpec.model_validate(
        {
            "name": "heads",
            "input": {"channels": 2, "size": 4},
            "areas": {"A": {"channels": 2, "size": 4}} | {n: {"channels": 4, "size": 8} for n in "BC"},
            "connections": [*connections, "B -> C", "A -> A"],
            "readout": {"from": "C", "classes": 2},
            "time": {"steps": 4, **more},
        }
    )


def test_the_head_of_several_transforms_is_evaluated_once() -> None:
    graph = verify(cse(prune(settle(unroll(heads(order="sequential"))))))
    found = [str(node) for node in graph if node.part == "head"]
    assert found == [f"head A_to_B@{step}" for step in (4,)]
    source = compile_spec(heads(order="sequential")).source
    assert source.count("self.A_resize(") == 1
    for passes in (None, [], ["cse"]):
        for video in (False, True):
            assert compare(heads(), passes=passes, video=video).worst < 1e-8


def test_the_head_of_a_static_image_stands_before_what_reads_it() -> None:
    """Also where the connection that reads it first moves running statistics, which keep that one in its place."""
    pool = {"avg_pool": {"kernel": 3, "stride": 1, "padding": 1}}
    spec = NetworkSpec.model_validate(
        {
            "name": "heads",
            "input": {"channels": 2, "size": 4},
            "areas": {"A": {"channels": 2}, "B": {"channels": 2}},
            "connections": [
                "image -> A",
                "A -> B -> B",
                {"from": "image", "to": "A", "transform": [pool, "conv", "norm"], "delay": 2},
                {"from": "image", "to": "B", "transform": [pool, "conv"], "delay": 3},
            ],
            "readout": {"from": "B", "classes": 2, "at": "all"},
            "time": {"steps": 5, "order": [["B"], ["A"]], "silence": "zero_input"},
        }
    )
    source = emit(spec)
    assert source.index("image_pool = self.image_pool(x)") < source.index("(image_pool)")
    for training in (False, True):
        assert compare(spec, training=training).worst < 1e-8


def test_one_head_applied_to_two_values_in_one_step_gives_two_names() -> None:
    up = [{"bilinear": 8}, "conv"]
    later = {"from": "A", "to": "C", "transform": up}
    network = heads().model_dump(by_alias=True, exclude_unset=True)
    network["connections"] = [
        "image -> A",
        "B -> C",
        {"from": "A", "to": "B", "transform": up, "active": {"first": 3}},
        later | {"delay": 1},
        later | {"delay": 2},
    ]
    network |= {"readout": {"from": "C", "classes": 2, "at": "all"}, "time": {"steps": 5, "order": "sequential"}}
    spec = NetworkSpec.model_validate(network)
    step = emit(spec, video=True).split("# ---- step 3 ")[1].split("# ---- step")[0]
    assert step.count("self.A_resize(") == 2
    assert len(set(re.findall(r"(\w+) = self.A_resize\(", step))) == 2
    assert compare(spec, video=True).worst < 1e-8


def test_dropout_is_never_merged_or_held() -> None:
    graph = merged(chain(norm=None, body=["conv", {"dropout": 0.5}]))
    assert [str(node) for node in graph.updates("A")] == ["A@1", "A@2", "A@3", "A@4"]
    transform = {"from": "A", "to": "B", "transform": [{"dropout": 0.5}, "conv"]}
    drops = merged(chain(extra=[transform]))
    assert [str(node) for node in drops.updates()] == ["A@1", "B@1", "B@2", "B@3", "B@4"]


def test_statuses_say_what_became_of_each_node() -> None:
    full = unroll(chain("ABC", norm="layer"), order="simultaneous")
    found = statuses(full, cse(prune(settle(full))))
    assert found[Node("update", "C", 2)] == Status("silent")
    assert found[Node("update", "A", 1)] == Status("executed")
    assert found[Node("update", "A", 2)] == Status("held", Node("update", "A", 1))
    assert {status.word for status in statuses(full).values()} == {"executed", "held", "silent"}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs(), video=st.booleans(), training=st.booleans())
def test_values_that_are_held_or_merged_are_equal_in_the_interpreter(
    spec: NetworkSpec, video: bool, training: bool
) -> None:
    full = unroll(spec, video=video)
    graph = verify(cse(settle(full)))
    pairs = [*graph.info.merged.items()]
    pairs += [(node, origin) for node in full.live_updates() if (origin := full.held(node)) is not None]
    torch.manual_seed(0)
    module = randomise(compile_spec(spec, passes=["prune"]).double())
    x = images(spec, batch=2, video_steps=spec.time.steps if video else None)
    _, states = interpret(spec, module.state_dict(), x, training=training)
    for node, like in pairs:
        if full.state(node.name, node.step) == node and full.state(like.name, like.step) == like:
            one, other = states[node.name, node.step], states[like.name, like.step]
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs(), prune_first=st.booleans(), video=st.booleans())
def test_it_keeps_every_sink_and_leaves_out_nothing_but_equals(
    spec: NetworkSpec, prune_first: bool, video: bool
) -> None:
    settled = settle(unroll(spec, video=video))
    full = prune(settled) if prune_first else settled
    graph = verify(cse(full))
    assert (graph.readouts, graph.records) == (full.readouts, full.records)
    assert {node for node in full if node not in graph} == set(graph.info.merged)
    assert not set(graph.info.merged.values()) & set(graph.info.merged)
    assert {node.kind for node in graph if node not in full} <= {"evaluation"}
