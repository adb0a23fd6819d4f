"""The drawing of an area graph says what the graph says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations, permutations
from math import hypot
from typing import Any

import networkx as nx
import pygraphviz
import pytest

from cortexgraph.graph import AreaGraph
from cortexgraph.render import LABELS, Drawing, draw_areas, draw_connections, draw_updates
from cortexgraph.unrolling import unroll_graph
from tests.conftest import Golden
from tests.render.conftest import STREAMS, boxes_of, crossings, graph_of, points_of

SVG = {"svg": "http://www.w3.org/2000/svg"}


def groups(drawing: Drawing, kind: str) -> dict[str, ET.Element]:
    """The SVG groups of one class (`node`, `edge`, `area`, `feedback`, …), by id."""
    found = ET.fromstring(drawing.svg()).iterfind(".//svg:g", SVG)
    return {group.attrib["id"]: group for group in found if kind in group.get("class", "").split()}


def texts(group: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in group.iterfind(".//svg:text", SVG)]


@pytest.mark.parametrize("network", ["stream", "streams"])
def test_golden(network: str, golden: Golden, request: pytest.FixtureRequest) -> None:
    golden(f"areas_{network}.dot", draw_areas(request.getfixturevalue(network)).source)


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("network", ["stream", "streams"])
def test_every_area_and_connection_is_drawn(network: str, labels: bool, request: pytest.FixtureRequest) -> None:
    graph: AreaGraph = request.getfixturevalue(network)
    drawing = draw_areas(graph, labels=LABELS if labels else ())
    drawn = nx.nx_agraph.from_agraph(pygraphviz.AGraph(string=drawing.source))
    keys = {area.name: area.identifier for area in graph.areas} | {"image": "image"}
    expected = sorted((keys[c.source], keys[c.target], c.kind) for c in graph.connections)
    kinds = {"feedforward", "lateral", "feedback"}
    assert sorted((a, b, k.split()[0]) for a, b, k in drawn.edges(data="class") if k.split()[0] in kinds) == expected
    boxes = groups(drawing, "area")
    assert set(boxes) == {area.identifier for area in graph.areas}
    for area in graph.areas:
        said = " ".join(texts(boxes[area.identifier]))
        assert area.name in said
        assert " × ".join(map(str, area.shape)) in said
        assert "relu" in said
    for c in graph.connections:
        assert f"{c.identifier}-arrow" in groups(drawing, c.kind)
        assert f"{c.identifier}-arrow" in groups(drawing, f"connection-{c.identifier}")
    assert [*groups(drawing, "graph")] == ["areas"]


def test_kinds_differ_in_colour_and_in_dash(stream: AreaGraph) -> None:
    drawing = draw_areas(stream)
    looks = set()
    for kind in ("feedforward", "lateral", "feedback"):
        lines = [edge.find("svg:path", SVG) for edge in groups(drawing, kind).values()]
        found = {(line.attrib["stroke"], line.get("stroke-dasharray")) for line in lines if line is not None}
        assert len(found) == 1
        looks |= found
    assert len({color for color, _ in looks}) == len({dash for _, dash in looks}) == 3


def test_the_legend_names_only_what_occurs(stream: AreaGraph) -> None:
    stream.remove_edges_from([(c.source, c.target, c.identifier) for c in stream.connections if c.kind == "feedback"])
    words = {key: texts(group) for key, group in groups(draw_areas(stream), "text").items() if "legend" in key}
    assert words == {
        "areas-legend-feedforward-word": ["feedforward"],
        "areas-legend-lateral-word": ["lateral"],
    }


def test_higher_areas_stand_higher_and_one_level_is_one_row(streams: AreaGraph) -> None:
    drawn = pygraphviz.AGraph(string=draw_areas(streams).source)
    places = {node: [float(n) for n in node.attr["pos"].split(",")] for node in drawn.nodes()}
    up = {area.name: places[area.identifier][1] for area in streams.areas}
    assert places["image"][1] < up["V1 (L2/3)"] < up["7a"] == up["Größe & Form"] < up["TH/TF"] < places["readout"][1]


def test_delays_are_labelled(streams: AreaGraph) -> None:
    said = [
        text for key, group in groups(draw_areas(streams), "text").items() if "label" in key for text in texts(group)
    ]
    assert sorted(said) == ["+1", "+2"]


def test_labels_give_kernel_stride_resize_and_parameters(stream: AreaGraph) -> None:
    drawn = groups(draw_areas(stream, labels=LABELS), "text")
    said = {
        name: [
            text
            for key, group in drawn.items()
            if re.fullmatch(rf"areas-{name}-label-\d", key)
            for text in texts(group)
        ]
        for name in ("image_to_V1", "V1_to_V2", "V2_to_V1")
    }
    assert said == {
        "image_to_V1": ["5×5", "600"],
        "V1_to_V2": ["3×3 /2", "1.2 k"],
        "V2_to_V1": ["3×3 ↕nearest", "1.2 k"],
    }


def test_arrows_end_on_boxes_and_run_through_none(streams: AreaGraph) -> None:
    drawn = pygraphviz.AGraph(string=draw_areas(streams).source)
    boxes = boxes_of(drawn, {"area", "image", "readout"})
    for edge in drawn.edges():
        if edge.attr["class"] != "legend":
            tip = next(points_of(edge))
            x, y, width, height = boxes[edge[1]]
            assert max(abs(tip[0] - x) / width, abs(tip[1] - y) / height) == pytest.approx(1, abs=0.02)
    assert crossings(drawn, boxes) == []


PARALLEL: dict[str, Any] = {
    "name": "parallel",
    "input": {"channels": 3, "size": 16},
    "areas": {"A": {"channels": 4, "size": 16}, "B": {"channels": 4, "size": 8}},
    "connections": [
        "image -> A",
        {"from": "A", "to": "B", "name": "fast"},
        {"from": "A", "to": "B", "name": "slow", "delay": 2},
        {"from": "B", "to": "A", "name": "back"},
        {"from": "A", "to": "A", "name": "near", "kernel": 1},
        {"from": "A", "to": "A", "name": "far", "kernel": 7},
    ],
    "readout": {"from": "B", "classes": 3},
    "time": {"steps": 6},
}
INTERLEAVED: dict[str, Any] = {
    "name": "interleaved",
    "input": {"channels": 3, "size": 32},
    "areas": {name: {"channels": 8, "size": 32 >> n} for n, name in enumerate("ABCDE")},
    "connections": [
        "image -> A -> B -> C -> D -> E",
        "B -> B",
        "C -> A",
        {"from": "C", "to": "A", "kernel": 1, "name": "again"},
        {"from": "D", "to": "B", "role": "modulate"},
        "E -> C",
        "A -> C",
        "B -> D",
        "A -> D",
    ],
    "readout": {"from": "E", "classes": 10},
    "time": {"steps": 9},
}


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("network", [PARALLEL, INTERLEAVED, STREAMS], ids=["parallel", "interleaved", "streams"])
def test_every_connection_can_be_followed(network: dict[str, Any], labels: tuple[str, ...]) -> None:
    """No two arrows lie on one another, and no label hides another label or the arrow of another connection."""
    drawn = pygraphviz.AGraph(string=draw_areas(graph_of(network), labels=labels).source)
    arrows = {edge.attr["id"]: [*points_of(edge)] for edge in drawn.edges() if edge.attr["class"] != "legend"}
    for (_, one), (_, other) in permutations(arrows.items(), 2):
        near = [point for point in one if min(hypot(point[0] - x, point[1] - y) for x, y in other) < 3]
        assert len(near) < 0.4 * len(one)
    texts = {node: box for node, box in boxes_of(drawn, {"text"}).items() if "-label-" in node}
    for (a, (x, y, width, height)), (b, (u, v, wide, high)) in combinations(texts.items(), 2):
        same = a.rpartition("-")[0] == b.rpartition("-")[0]
        assert same or abs(x - u) > width + wide - 0.5 or abs(y - v) > height + high - 0.5, (a, b)
    for label, (x, y, width, height) in texts.items():
        own = label.removeprefix("areas-").rpartition("-label-")[0] + "-arrow"
        hidden = {
            key
            for key, points in arrows.items()
            for px, py in points
            if key != own and abs(px - x) < width - 1 and abs(py - y) < height - 1
        }
        assert not hidden, label


def test_inhibitory_connections_end_in_a_bar() -> None:
    data = INTERLEAVED | {"connections": ["image -> A -> B -> C -> D -> E", {"from": "C", "to": "A", "gain": -0.5}]}
    graph = graph_of(data)
    for drawing in (draw_areas(graph), draw_updates(unroll_graph(graph))):
        drawn = pygraphviz.AGraph(string=drawing.source)
        heads = {(*edge.attr["class"].split(), edge.attr["arrowhead"]) for edge in drawn.edges()}
        assert {head for *words, head in heads if "inhibitory" in words and "idle" not in words} == {"tee"}
        assert {words[0] for *words, head in heads if head == "tee"} == {"feedback", "legend"}
        assert "inhibitory (negative gain)" in drawing.source
    matrix = groups(draw_connections(graph), "inhibitory")
    assert {key: texts(mark) for key, mark in matrix.items()} == {"C_to_A-mark": ["−"]}
    assert "inhibitory" not in draw_areas(graph_of(STREAMS)).source


TWO_STREAMS: dict[str, Any] = {
    "name": "two_stream",
    "input": {"size": 32, "channels": 3},
    "areas": {
        "V1": {"channels": 12, "size": 32},
        "V2": {"channels": 16, "size": 16},
        "MT": {"channels": 16, "size": 8, "level": 2},
        "V4": {"channels": 24, "size": 8, "level": 2},
        "IT": {"channels": 32, "size": 4, "level": 3},
    },
    "connections": [
        "image -> V1 -> V2 -> V4 -> IT", "V1 -> MT", "V2 -> MT", {"from": "MT", "to": "V4", "kernel": 1},
        {"from": "IT", "to": "V4", "kernel": 1}, {"from": "V4", "to": "V2", "delay": 1}, "V2 -> V1",
        ["V1 -> V1", "V4 -> V4", "IT -> IT"], {"from": "IT", "to": "V2", "kernel": 1, "role": "modulate"},
    ],
    "readout": {"from": "IT", "classes": 10},
    "time": {"steps": 6},
}  # fmt: skip


def test_labels_hide_no_part_of_a_box() -> None:
    drawn = pygraphviz.AGraph(string=draw_areas(graph_of(TWO_STREAMS), labels=LABELS, scale="parameters").source)
    labels = {key: box for key, box in boxes_of(drawn, {"text"}).items() if "-label-" in key}
    assert len(labels) > 20
    hidden = [
        (label, area)
        for label, (x, y, width, height) in labels.items()
        for area, (a, b, wide, high) in boxes_of(drawn, {"area", "image", "readout"}).items()
        if abs(x - a) < width + wide and abs(y - b) < height + high
    ]
    assert hidden == []


def test_a_body_of_many_operations_stands_in_several_lines() -> None:
    area = {"channels": 8, "size": 32, "norm": {"kind": "batch", "per_step": True}, "cell": {"leaky": {"decay": 0.9}}}
    spec = TWO_STREAMS | {"areas": TWO_STREAMS["areas"] | {"V1": area}}
    said = " ".join(texts(groups(draw_areas(graph_of(spec)), "area")["V1"]))
    assert "batch norm per step · relu" in said
    assert "leaky" in said
    assert "…" not in said
