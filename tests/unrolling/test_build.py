"""What each update reads, by hand from section 3 of the design."""

from __future__ import annotations

from typing import Any

from cortexgraph.compiler import unroll
from cortexgraph.passes import prune
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.unrolling import Node, UnrolledGraph, first_responses, settle


def chain(connections: list[Any], *, steps: int, areas: str = "AB", video: bool = True, **more: Any) -> UnrolledGraph:
    time = {"steps": steps, "order": more.pop("order", "simultaneous")}
    spec = {
        "name": "chain",
        "input": {"size": 4, "present": more.pop("present", "always")},
        "areas": {name: {"channels": 1, "size": 4} for name in areas},
        "connections": connections,
        "readout": {"from": areas[-1], "classes": 2, "at": more.pop("at", "last")},
        "time": time,
    }
    return unroll(NetworkSpec.model_validate(spec), video=video)


def reads(graph: UnrolledGraph) -> dict[str, list[str]]:
    """For each update the values that it reads; an update of a later group is marked by its group."""
    return {
        f"{node}.{node.group}": [f"{source}.{source.group}" for source in graph.predecessors(node)]
        for node in graph.updates()
    }


def live(graph: UnrolledGraph) -> list[str]:
    return [str(node) for node in graph.live_updates()]


def test_simultaneous_reads_the_step_before() -> None:
    graph = chain(["image -> A -> B"], steps=3)
    assert reads(graph) == {
        "A@1.0": ["image@1.0"],
        "B@1.0": [],
        "A@2.0": ["image@2.0"],
        "B@2.0": ["A@1.0"],
        "A@3.0": ["image@3.0"],
        "B@3.0": ["A@2.0"],
    }
    assert live(graph) == ["A@1", "A@2", "B@2", "A@3", "B@3"]


def test_the_worked_example_keeps_one_update_of_each_area() -> None:
    graph = prune(chain(["image -> A -> B"], steps=3))
    assert live(graph) == ["A@2", "B@3"]
    assert [str(node) for node in graph if node.kind == "image"] == ["image@2"]


def test_the_updates_of_a_static_image_are_held_until_what_they_read_changes() -> None:
    graph = chain(["image -> A -> B", "B -> A"], steps=4, video=False)
    held = {str(node): str(graph.held(node)) for node in graph.live_updates() if graph.held(node)}
    assert held == {"A@2": "A@1", "B@3": "B@2", "A@4": "A@3"}
    assert [graph.ordinal(node) for node in graph.updates("A")] == [1, 2, 3, 4]  # a held area is live
    settled = settle(graph)
    assert [str(node) for node in settled.updates() if graph.live(node)] == ["A@1", "B@2", "A@3", "B@4"]
    assert [str(source) for source in settled.predecessors(Node("update", "A", 3))] == ["image@1", "B@2"]


def test_sequential_reads_the_same_step_upwards_and_the_step_before_otherwise() -> None:
    graph = chain(["image -> A -> B -> A", "A -> A"], steps=2, order="sequential")
    assert reads(graph) == {
        "A@1.0": ["image@1.0"],
        "B@1.1": ["A@1.0"],
        "A@2.0": ["image@2.0", "A@1.0", "B@1.1"],
        "B@2.1": ["A@2.0"],
    }
    assert live(graph) == ["A@1", "B@1", "A@2", "B@2"]


def test_up_and_down_updates_an_area_twice_in_a_step() -> None:
    graph = chain(["image -> A -> B -> A", "A -> A"], steps=2, order=["A", "B", "A"])
    assert reads(graph) == {
        "A@1.0": ["image@1.0"],
        "B@1.1": ["A@1.0"],
        "A@1.2": ["image@1.0", "A@1.0", "B@1.1"],
        "A@2.0": ["image@2.0", "A@1.2", "B@1.1"],
        "B@2.1": ["A@2.0"],
        "A@2.2": ["image@2.0", "A@2.0", "B@2.1"],
    }
    assert [graph.ordinal(node) for node in graph.updates("A")] == [1, 2, 3, 4]
    state = graph.state("A", 1)
    assert state is not None
    assert state.group == 2


def test_reads_within_a_group_happen_before_its_writes() -> None:
    graph = chain(["image -> A", "A -> B", "B -> A"], steps=2, order=[["A", "B"]])
    assert reads(graph) == reads(chain(["image -> A", "A -> B", "B -> A"], steps=2))


def test_delay_counts_extra_steps_of_the_same_group() -> None:
    graph = chain(["image -> A", {"from": "A", "to": "B", "delay": 1}], steps=3)
    assert reads(graph)["B@3.0"] == ["A@1.0"]
    assert live(graph) == ["A@1", "A@2", "A@3", "B@3"]
    delayed = chain(["image -> A", {"from": "A", "to": "B", "delay": 1}], steps=3, order="sequential")
    assert reads(delayed)["B@3.1"] == ["A@2.0"]


def test_a_delayed_image() -> None:
    graph = chain([{"from": "image", "to": "A", "delay": 2}], steps=3, areas="A")
    assert reads(graph)["A@3.0"] == ["image@1.0"]
    assert live(graph) == ["A@3"]


def test_an_undriven_area_falls_silent() -> None:
    graph = chain(["image -> A -> B"], steps=4, present="first", at="all")
    assert live(graph) == ["A@1", "B@2"]
    assert [node.step for node in graph.readouts] == [2]


def test_a_lateral_connection_keeps_an_area_alive() -> None:
    graph = chain(["image -> A", "A -> A"], steps=3, present=[2], areas="A")
    assert live(graph) == ["A@2", "A@3"]


def test_ordinals_count_live_updates() -> None:
    graph = chain(["image -> A -> B"], steps=3)
    assert [graph.ordinal(node) for node in graph.updates("B")] == [0, 1, 2]
    assert graph.ordinals == {"A": 3, "B": 2}


def test_parallel_connections_share_an_edge() -> None:
    graph = chain(["image -> A", "image -> A"], steps=1, areas="A")
    (data,) = (data for _, target, data in graph.edges(data=True) if target.kind == "update")
    assert [connection.identifier for connection in data["connections"]] == ["image_to_A", "image_to_A_2"]


def test_ventral_latency_and_pruning() -> None:
    full = unroll(load("ventral"), steps=8)
    assert [full.first_response(area) for area in ("V1", "V2", "V4", "IT")] == [1, 2, 3, 4]
    kept = prune(full)
    steps = {area: [node.step for node in kept.updates(area)] for area in ("V1", "V2", "V4", "IT")}
    assert steps == {
        "V1": [1, 2, 3, 4, 5],
        "V2": [2, 3, 4, 5, 6],
        "V4": [3, 4, 5, 6, 7],
        "IT": [4, 5, 6, 7, 8],
    }


def test_first_responses_name_the_path() -> None:
    graph = chain(["image -> A -> B -> C", {"from": "A", "to": "C", "delay": 4}], steps=9, areas="ABC")
    found = first_responses(graph.areas, graph.groups)
    assert {name: (response.step, response.path) for name, response in found.items()} == {
        "A": (1, ("image", "A")),
        "B": (2, ("image", "A", "B")),
        "C": (3, ("image", "A", "B", "C")),
    }
