from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cortexgraph.compiler import compile_spec, interpret, unroll
from cortexgraph.passes import cse, fold, prune
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.unrolling import Node, settle
from tests.oracle import compare, images, randomise, repeatable_dropout
from tests.strategies import specs


def early(**area: object) -> NetworkSpec:
    """image → A → B → A under `zero_input`: B is the same for every image at step 1, A is not."""
    return NetworkSpec.model_validate(
        {
            "name": "early",
            "input": {"channels": 2, "size": 4},
            "areas": {name: {"channels": 2, "size": 4, **area} for name in "AB"},
            "connections": ["image -> A -> B -> A"],
            "readout": {"from": "B", "classes": 2},
            "time": {"steps": 3, "silence": "zero_input"},
        }
    )


def test_what_no_path_from_the_image_reaches_is_folded() -> None:
    graph = fold(unroll(early()))
    folded = [str(node) for node in graph if graph.constant(node)]
    assert folded == ["B@0", "A@0", "B@1"]


def test_dropout_keeps_values_apart_for_each_image() -> None:
    graph = fold(unroll(early(body=["conv", {"dropout": 0.5}])))
    assert [str(node) for node in graph if graph.constant(node)] == ["B@0", "A@0"]


def test_it_leaves_nodes_and_edges_alone() -> None:
    full = unroll(early())
    graph = fold(full)
    assert list(graph.edges(data=True)) == list(full.edges(data=True))
    assert not any(full.constant(node) for node in full)


def test_convolutions_of_folded_values_see_a_batch_of_one() -> None:
    seen: list[tuple[int, int]] = []
    for passes in (None, ["prune"]):
        module = compile_spec(early(norm="layer"), passes=passes).train()
        shapes = []
        for connection in (module.A_to_B, module.B_to_A):
            connection.register_forward_hook(lambda _, given, __: shapes.append(len(given[0])))  # noqa: B023
        module(torch.randn(5, 2, 4, 4))
        seen.append((shapes.count(1), shapes.count(5)))
    assert seen[0][0] > 0
    assert seen[1][0] == 0


@pytest.mark.parametrize("normed", [0, 1])
@pytest.mark.parametrize("record", [False, True])
def test_a_head_of_zeros_is_folded_whichever_of_its_readers_keeps_statistics(normed: int, record: bool) -> None:
    head = [{"nearest": 8}, "relu"]
    rest = [[{"conv": {"kernel": 1, "stride": 2}}], [{"conv": {"kernel": 1, "stride": 2}}, {"norm": "batch"}]]
    to_a = {"from": "B", "to": "A", "transform": [*head, *rest[normed]]}
    to_b = {"from": "B", "to": "B", "transform": [*head, *rest[1 - normed]]}
    data = early().model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["connections"] = ["image -> A -> B", to_a, to_b]
    data["input"]["present"] = {"from": 3}
    spec = NetworkSpec.model_validate(data | {"time": {"steps": 4, "silence": "zero_input"}})
    graph = fold(cse(prune(settle(unroll(spec)))))
    assert "head B_to_A@1" in [str(node) for node in graph if graph.constant(node)]
    for training in (False, True):
        assert compare(spec, training=training, record=record).worst < 1e-8


def test_nothing_is_folded_where_silent_areas_are_skipped() -> None:
    graph = fold(prune(unroll(load("ventral"))))
    assert not [node for node in graph if graph.constant(node)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs(), video=st.booleans(), training=st.booleans())
def test_folded_states_are_equal_for_every_image_in_the_interpreter(
    spec: NetworkSpec, video: bool, training: bool
) -> None:
    graph = fold(cse(settle(unroll(spec, video=video))))
    assert not {node for node in graph if graph.constant(node)} & graph.from_image()
    torch.manual_seed(0)
    module = randomise(compile_spec(spec, passes=["prune"]).double())
    with repeatable_dropout():
        x = images(spec, 3, video_steps=spec.time.steps if video else None)
        _, states = interpret(spec, module.state_dict(), x, training=training)
    for (name, step), state in states.items():
        node = graph.state(name, step)
        if node is not None and graph.constant(Node(*node)):
            torch.testing.assert_close(state, state[:1].expand_as(state), rtol=1e-12, atol=1e-12)
