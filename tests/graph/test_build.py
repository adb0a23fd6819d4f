"""Kinds, sizes, strides and defaults that the area graph infers."""

from __future__ import annotations

from typing import Any

import pytest

from cortexgraph.compiler import build
from cortexgraph.graph import AreaGraph, assemble, resolved
from cortexgraph.spec import NetworkSpec, load


def graph_of(areas: dict[str, Any], connections: list[Any], **more: Any) -> AreaGraph:
    spec = {
        "name": "test",
        "input": {"size": 16},
        "areas": areas,
        "connections": connections,
        "readout": {"from": list(areas)[-1], "classes": 2, "at": "all"},
        "time": {"steps": 3},
    }
    return assemble(NetworkSpec.model_validate(spec | more))


def transform(graph: AreaGraph, identifier: str) -> list[str]:
    connection = next(c for c in graph.connections if c.identifier == identifier)
    return [operation.constructor() for operation in connection.transform.operations]


def test_the_ventral_stream() -> None:
    graph = build(load("ventral"))
    assert [area.name for area in graph.areas] == ["V1", "V2", "V4", "IT"]
    kinds = {c.label: c.kind for c in graph.connections}
    assert kinds["image -> V1"] == kinds["V2 -> V4"] == "feedforward"
    assert kinds["V2 -> V2"] == "lateral"
    assert kinds["V4 -> V2"] == "feedback"
    assert [c.source for c in graph.incoming("V2")] == ["V1", "V2", "V4"]
    assert all(c.output_shape == c.target_shape for c in graph.connections)


def test_level_overrides_the_order_of_declaration() -> None:
    graph = graph_of({"IT": {"channels": 2, "level": 3}, "V1": {"channels": 2, "level": 0}, "V2": {"channels": 2}}, [])
    assert [(area.name, area.level) for area in graph.areas] == [("V1", 0), ("V2", 1), ("IT", 3)]


def test_areas_of_one_level_are_lateral_to_each_other() -> None:
    graph = graph_of({"MT": {"channels": 2, "level": 1}, "V4": {"channels": 2, "level": 1}}, ["MT -> V4 -> MT"])
    assert {c.kind for c in graph.connections} == {"lateral"}


def test_sizes_follow_feedforward_strides() -> None:
    graph = graph_of(
        {"V1": {"channels": 2}, "V2": {"channels": 2}, "V4": {"channels": 2}},
        [
            {"from": "image", "to": "V1", "stride": 2},
            "V1 -> V2",
            {"from": "V2", "to": "V4", "stride": [2, 4]},
            "V4 -> V1",
        ],
    )
    assert [area.size for area in graph.areas] == [(8, 8), (8, 8), (4, 2)]
    assert transform(graph, "V4_to_V1") == [
        "nn.Conv2d(2, 2, 3, padding=1)",
        "nn.Upsample(8)",
    ]


def test_a_convolution_that_leaves_nothing_gives_no_size() -> None:
    areas = {"A": {"channels": 2}}
    graph = graph_of(areas, [{"from": "image", "to": "A", "kernel": 2}], input={"size": 1})
    assert graph.area("A").size is None


def test_size_is_bridged_down_by_stride_and_up_by_upsampling_after_the_convolution() -> None:
    areas = {"A": {"channels": 2, "size": 16}, "B": {"channels": 4, "size": [4, 8]}}
    graph = graph_of(areas, ["image -> A -> B -> A"])
    assert transform(graph, "A_to_B") == ["nn.Conv2d(2, 4, 3, stride=(4, 2), padding=1)"]
    assert transform(graph, "B_to_A") == [
        "nn.Conv2d(4, 2, 3, padding=1)",
        "nn.Upsample(16)",
    ]


@pytest.mark.parametrize(("at", "index"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("nearest", "nn.Upsample(16)"),
        ("bilinear", 'nn.Upsample(16, mode="bilinear")'),
        ("pool", "nn.AdaptiveAvgPool2d(16)"),
    ],
)
def test_explicit_resize(at: str, index: int, mode: str, text: str) -> None:
    areas = {"A": {"channels": 2, "size": 16}, "B": {"channels": 4, "size": 4}}
    back = {"from": "B", "to": "A", "resize": {"mode": mode, "at": at}}
    assert transform(graph_of(areas, ["image -> A -> B", back]), "B_to_A")[index] == text


def test_a_resize_before_a_transform_that_resizes_keeps_names_apart() -> None:
    areas = {"A": {"channels": 2, "size": 16}, "B": {"channels": 2, "size": 4}}
    operations = [{"upsample": 2}, "max_pool", {"pool": 4}]
    down = {"from": "A", "to": "B", "resize": {"mode": "nearest", "at": "before"}, "transform": operations}
    (_, connection) = graph_of(areas, ["image -> A", down]).connections
    names = [link.name for link in connection.transform]
    assert len(set(names)) == len(names)
    assert names[1:] == ["resize", "pool", "resize_2"]


def test_a_bias_is_learned_only_where_no_norm_has_a_shift() -> None:
    areas = {"A": {"channels": 2, "size": 16}, "B": {"channels": 2, "size": 16, "norm": "batch"}}
    graph = graph_of(areas, ["image -> A -> B", {"from": "B", "to": "B", "bias": True}])
    assert transform(graph, "image_to_A") == ["nn.Conv2d(3, 2, 3, padding=1)"]
    assert transform(graph, "A_to_B") == ["nn.Conv2d(2, 2, 3, padding=1, bias=False)"]
    assert transform(graph, "B_to_B") == ["nn.Conv2d(2, 2, 3, padding=1)"]


def test_defaults_hold_unless_an_area_or_connection_says_otherwise() -> None:
    graph = graph_of(
        {"A": {"channels": 4, "size": 16, "norm": "none"}, "B": {"channels": 4, "activation": "tanh"}},
        [{"from": "image", "to": "A", "kernel": 7}, "A -> B"],
        defaults={
            "area": {"norm": "layer", "activation": "gelu"},
            "connection": {"kernel": 5, "bias": False},
        },
    )
    bodies = {area.name: [operation.constructor() for operation in area.body.operations] for area in graph.areas}
    assert bodies == {"A": ["nn.GELU()"], "B": ["nn.GroupNorm(1, 4)", "nn.Tanh()"]}
    assert transform(graph, "image_to_A") == ["nn.Conv2d(3, 4, 7, padding=3, bias=False)"]
    assert transform(graph, "A_to_B") == ["nn.Conv2d(4, 4, 5, padding=2, bias=False)"]


def test_parallel_connections_keep_apart() -> None:
    graph = graph_of({"A": {"channels": 2}}, ["image -> A", {"from": "image", "to": "A", "kernel": 7}])
    assert [c.identifier for c in graph.connections] == ["image_to_A", "image_to_A_2"]
    assert graph.number_of_edges("image", "A") == 2


def test_names_a_biologist_writes_become_identifiers() -> None:
    graph = graph_of({"TH/TF": {"channels": 2, "size": 4}, "7a": {"channels": 2}}, ["image -> TH/TF -> 7a"])
    assert [area.identifier for area in graph.areas] == ["TH_TF", "area_7a"]
    assert [c.identifier for c in graph.connections] == ["image_to_TH_TF", "TH_TF_to_area_7a"]


def test_the_graph_survives_copies_and_subgraphs() -> None:
    graph = build(load("ventral"))
    assert graph.copy().spec is graph.spec
    assert [area.name for area in graph.subgraph(["V1", "V2"]).areas] == ["V1", "V2"]


def test_defaults_reach_every_convolution_of_a_transform() -> None:
    entries = ["conv", "relu", {"residual": ["conv", {"depthwise": 7}]}, {"conv": {"bias": True}}, "conv_transpose"]
    spec = NetworkSpec.model_validate(
        {
            "cortexgraph": 1,
            "name": "chain",
            "input": {"channels": 3, "size": 16},
            "defaults": {"connection": {"bias": False, "kernel": 5}},
            "areas": {"A": {"channels": 4, "size": 32}},
            "connections": [{"from": "image", "to": "A", "transform": entries}],
            "readout": {"from": "A", "classes": 2},
            "time": {"steps": 1},
        }
    )
    (connection,) = assemble(spec).connections
    assert connection.transform.problems == ()
    options = {path: link.options for path, link in connection.transform.walk() if "kernel" in link.options}
    assert [tuple(of["kernel"]) for of in options.values()] == [(5, 5), (5, 5), (7, 7), (5, 5), (5, 5)]
    assert [of["bias"] for of in options.values()] == [False, False, False, True, False]


@pytest.mark.parametrize("defaults", [{}, {"connection": {"dilation": 2, "groups": 1}}])
def test_a_transposed_resize_may_lead_into_a_concatenation(defaults: dict[str, object]) -> None:
    spec = NetworkSpec.model_validate(
        {
            "cortexgraph": 1,
            "name": "concat",
            "input": {"channels": 1, "size": 8},
            "defaults": defaults,
            "areas": {"A": {"channels": 2, "size": 8, "merge": "concat"}, "B": {"channels": 2, "size": 4}},
            "connections": ["image -> A -> B", {"from": "B", "to": "A", "resize": "transposed"}],
            "readout": {"from": "B", "classes": 2},
            "time": {"steps": 3},
        }
    )
    graph = assemble(spec)
    (connection,) = (c for c in graph.connections if c.source == "B")
    assert [link.word for link in connection.transform] == ["conv_transpose"]
    assert connection.output_shape == (2, 8, 8)
    assert resolved(assemble(resolved(graph))) == resolved(graph)
