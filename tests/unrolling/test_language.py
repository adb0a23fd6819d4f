"""Activity windows, memory, modulation and silence in the unrolled graph, by hand from section 3 of the design."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cortexgraph.compiler import compile_spec, interpret, unroll
from cortexgraph.passes import prune
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import UnrolledGraph, first_responses


def network(connections: list[Any], *, areas: dict[str, Any] | None = None, **more: Any) -> NetworkSpec:
    declared = areas or {"A": {}, "B": {}}
    spec = {
        "name": "network",
        "input": {"channels": 1, "size": 4, "present": more.pop("present", "always")},
        "areas": {name: {"channels": 1, "size": 4} | area for name, area in declared.items()},
        "connections": connections,
        "readout": more.pop("readout", {"from": [*declared][-1], "classes": 2, "at": "all"}),
        "time": {"steps": 4} | more,
    }
    return NetworkSpec.model_validate(spec)


def terms(graph: UnrolledGraph) -> dict[str, list[str]]:
    """For each live update the values of its terms, and the state that it continues from in brackets."""
    found = {}
    for node in graph.live_updates():
        before = graph.memory(node)
        found[str(node)] = [str(source) for _, source in graph.terms(node)] + [f"({before})"] * (before is not None)
    return found


# ---- activity windows ---------------------------------------------------------


def test_a_span_and_a_list_count_the_steps_of_the_receiving_update() -> None:
    late = {"from": "B", "to": "A", "active": {"from": 3}}
    graph = unroll(network(["image -> A -> B", late, {"from": "A", "to": "A", "active": [2, 4]}]))
    assert terms(graph)["A@2"] == ["image@2", "A@1"]
    assert terms(graph)["A@3"] == ["image@3", "B@2"]
    assert terms(graph)["A@4"] == ["image@4", "A@3", "B@3"]


def test_first_is_the_first_live_reading_whenever_it_comes() -> None:
    graph = unroll(network(["image -> A", {"from": "A", "to": "B", "active": "first"}, "B -> B"]))
    assert terms(graph)["B@2"] == ["A@1"]
    assert terms(graph)["B@3"] == ["B@2"]
    assert terms(graph)["B@4"] == ["B@3"]


def test_first_counts_within_a_step_that_updates_the_area_twice() -> None:
    connections = ["image -> A", {"from": "A", "to": "B", "active": "first"}, "B -> B"]
    graph = unroll(network(connections, steps=1, order=["A", "B", "B"]))
    assert [[str(source) for _, source in graph.terms(node)] for node in graph.live_updates("B")] == [["A@1"], ["B@1"]]


def test_under_zero_input_the_first_reading_is_at_the_first_step() -> None:
    connections = ["image -> A", {"from": "A", "to": "B", "active": "first"}]
    graph = unroll(network(connections, silence="zero_input"))
    assert terms(graph)["B@1"] == ["A@0"]
    assert terms(graph)["B@2"] == []


def test_the_first_response_waits_for_the_window() -> None:
    graph = unroll(network(["image -> A", {"from": "A", "to": "B", "active": {"from": 4}}]))
    assert graph.first_response("B") == 4
    assert first_responses(graph.areas, graph.groups)["B"].step == 4


# ---- memory --------------------------------------------------------------------


def test_an_area_with_memory_goes_on_when_nothing_drives_it() -> None:
    spec = network(["image -> A -> B"], areas={"A": {"cell": "leaky"}, "B": {}}, present="first")
    graph = unroll(spec)
    assert terms(graph) == {
        "A@1": ["image@1"],
        "A@2": ["(A@1)"],
        "B@2": ["A@1"],
        "A@3": ["(A@2)"],
        "B@3": ["A@2"],
        "A@4": ["(A@3)"],
        "B@4": ["A@3"],
    }


def test_the_state_of_a_leaky_area_decays_by_hand() -> None:
    area = {"body": [], "cell": {"leaky": {"decay": 0.5}}}
    spec = network([{"from": "image", "to": "A", "transform": []}], areas={"A": area}, present="first")
    x = torch.ones(1, 1, 4, 4)
    _, states = compile_spec(spec, record={"A": "all"})(x)
    assert [float(states["A", t].mean()) for t in (1, 2, 3, 4)] == [1.0, 0.5, 0.25, 0.125]


def test_pruning_keeps_the_line_of_memory() -> None:
    areas = {"A": {"cell": "conv_gru"}, "B": {}}
    graph = prune(unroll(network(["image -> A -> B"], areas=areas, readout={"from": "B", "classes": 2})))
    assert [str(node) for node in graph.live_updates()] == ["A@1", "A@2", "A@3", "B@4"]


# ---- modulation ----------------------------------------------------------------


def test_a_modulator_alone_does_not_make_an_area_live() -> None:
    gate, late = {"from": "A", "to": "B", "role": "modulate"}, {"from": "image", "to": "B", "delay": 2}
    graph = unroll(network(["image -> A", gate, late]))
    assert terms(graph)["B@3"] == ["A@2", "image@1"]
    assert graph.first_response("B") == 3
    assert first_responses(graph.areas, graph.groups)["B"].path == ("image", "B")


@pytest.mark.parametrize(("gate", "expected"), [("linear", 3.0), ("tanh", 1.9640276), ("sigmoid", 1.7615942)])
def test_gates_by_hand(gate: str, expected: float) -> None:
    areas = {"A": {"body": []}}
    connections = [
        {"from": "image", "to": "A", "transform": []},
        {"from": "image", "to": "A", "transform": [], "gain": 2.0, "role": "modulate", "gate": gate},
    ]
    spec = network(connections, areas=areas, steps=1)
    _, states = compile_spec(spec, record={"A": "all"})(torch.ones(1, 1, 4, 4))
    assert float(states["A", 1].mean()) == pytest.approx(expected)


# ---- silence --------------------------------------------------------------------


def test_silence_of_one_connection_makes_its_target_live_from_the_start() -> None:
    connections = ["image -> A -> B", {"from": "B", "to": "A", "silence": "zero_input"}]
    graph = unroll(network(connections, present=[3]))
    assert terms(graph)["A@1"] == ["B@0"]
    assert graph.first_response("B") == 2


def test_zero_drive_adds_nothing_and_keeps_every_area_live() -> None:
    graph = unroll(network(["image -> A -> B"], silence="zero_drive"))
    assert terms(graph)["B@1"] == []
    assert graph.live_steps("B") == (1, 2, 3, 4)


@pytest.mark.parametrize(("silence", "expected"), [("zero_input", 7.0), ("zero_drive", 5.0)])
def test_biases_act_on_a_zero_input_and_not_on_a_zero_drive(silence: str, expected: float) -> None:
    conv = {"conv": {"kernel": 1, "bias": True}}
    areas = {"A": {"body": []}, "B": {"body": [conv]}}
    connections = ["image -> A", {"from": "A", "to": "B", "transform": [conv]}]
    spec = network(connections, areas=areas, steps=1, silence=silence)
    module = compile_spec(spec, record={"B": "all"})
    state = {name: torch.full_like(value, 1.0) for name, value in module.state_dict().items()}
    state["A_to_B.conv.bias"].fill_(2.0)
    state["B.conv.bias"].fill_(5.0)
    module.load_state_dict(state)
    x = torch.ones(1, 1, 4, 4)
    assert float(module(x)[1]["B", 1].detach().mean()) == expected
    assert float(interpret(spec, state, x)[1]["B", 1].detach().mean()) == expected


def test_what_can_depend_on_the_image() -> None:
    graph = unroll(network(["image -> A -> B"], silence="zero_input"))
    seen = {str(node) for node in graph.from_image() if node.kind == "update"}
    assert seen == {"A@1", "A@2", "A@3", "A@4", "B@2", "B@3", "B@4"}


# ---- several readouts -------------------------------------------------------------


def test_readouts_come_by_name_in_the_order_of_declaration() -> None:
    readouts = [{"from": "B", "classes": 2}, {"from": "A", "name": "early", "classes": 3, "at": [1, 2]}]
    module = compile_spec(network(["image -> A -> B"], readout=readouts))
    logits = module(torch.randn(2, 1, 4, 4))
    assert {name: tuple(value.shape) for name, value in logits.items()} == {"B": (2, 2), "early": (2, 2, 3)}
    assert [*logits] == ["B", "early"]


def test_delays_in_milliseconds_are_whole_steps() -> None:
    delayed = {"from": "A", "to": "B", "delay_ms": 25}
    graph = unroll(network(["image -> A", delayed], dt_ms=10.0, steps=5))
    assert [connection.delay for connection in graph.areas.connections] == [0, 3]
    assert graph.first_response("B") == 5
