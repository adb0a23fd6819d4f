"""Regions, line widths and the matrix of connections."""

from __future__ import annotations

import re

import pygraphviz
import pytest

import cortexgraph as cg
from cortexgraph.compiler import build
from cortexgraph.errors import CompileError
from cortexgraph.graph import AreaGraph
from cortexgraph.render import draw_areas, draw_connections
from cortexgraph.render.style import KINDS
from cortexgraph.unrolling import parameter_counts
from cortexgraph.wording import count_text
from tests.render.conftest import STREAM, boxes_of, graph_of


def streams(levels: dict[str, int]) -> AreaGraph:
    """Two regions of two areas and one alone, on given levels."""
    data = STREAM | {
        "areas": {
            name: {"channels": 4, "size": 8, "level": levels[name], **({"region": name[0]} if name != "C" else {})}
            for name in ("A1", "A2", "B1", "B2", "C")
        },
        "connections": ["image -> A1 -> B1 -> C -> B2 -> A2"],
        "readout": {"from": "C", "classes": 2},
    }
    return graph_of(data)


@pytest.mark.parametrize(
    ("levels", "frames"),
    [
        ({"A1": 0, "A2": 0, "B1": 1, "B2": 1, "C": 2}, [{"A1", "A2"}, {"B1", "B2"}]),
        ({"A1": 0, "A2": 1, "B1": 2, "B2": 3, "C": 4}, [{"A1", "A2"}, {"B1", "B2"}]),
        ({"A1": 0, "A2": 2, "B1": 1, "B2": 3, "C": 4}, [{"A1"}, {"A2"}, {"B1"}, {"B2"}]),
    ],
)
def test_a_frame_holds_the_areas_of_its_region_and_no_others(levels: dict[str, int], frames: list[set[str]]) -> None:
    drawn = pygraphviz.AGraph(string=draw_areas(streams(levels)).source)
    found = []
    for frame in drawn.subgraphs():
        left, bottom, right, top = map(float, frame.graph_attr["bb"].split(","))
        inside = set()
        for node in drawn.nodes():
            x, y = map(float, node.attr["pos"].split(","))
            if "area" in node.attr["class"].split() and left < x < right and bottom < y < top:
                inside.add(str(node))
        assert inside == {str(node) for node in frame.nodes()}
        found.append(inside)
    assert sorted(found, key=sorted) == sorted(frames, key=sorted)


def widths(graph: AreaGraph, what: str) -> dict[str, float]:
    drawn = pygraphviz.AGraph(string=draw_areas(graph, scale=what).source)
    known = {f"{c.identifier}-arrow": c.identifier for c in graph.connections}
    return {known[e.attr["id"]]: float(e.attr["penwidth"]) for e in drawn.edges() if e.attr["id"] in known}


def test_the_wider_the_more_parameters(stream: AreaGraph) -> None:
    drawn = widths(stream, "parameters")
    order = sorted(stream.connections, key=lambda c: c.parameters())
    assert [drawn[c.identifier] for c in order] == sorted(drawn.values())
    assert max(drawn.values()) > 5 * min(drawn.values())


def test_strengths_and_what_has_none() -> None:
    spec = cg.load("ventral", ["connections[0].strength=0.5", "connections[IT -> V4].strength=0.001"])
    graph = cg.build(spec)
    drawn = widths(graph, "strength")
    noted = {c.identifier: c.strength for c in graph.connections if c.strength}
    strong, weak = sorted(noted, key=lambda key: -noted[key])
    rest = {drawn[key] for key in drawn if key not in noted}
    assert drawn[strong] > 5 * drawn[weak]
    assert len(rest) == 1
    assert "no strength" in draw_areas(graph, scale="strength").source
    with pytest.raises(CompileError, match="no connection of ventral notes a strength"):
        cg.draw(cg.load("ventral"), width="strength")
    with pytest.raises(CompileError, match="no connection of ventral notes a strength"):
        cg.draw_matrix(cg.load("ventral"), width="strength")


def test_the_matrix_has_feedforward_above_and_feedback_below_the_diagonal(streams: AreaGraph) -> None:
    drawn = pygraphviz.AGraph(string=draw_connections(streams).source)
    marks = {node.attr["id"]: node for node in drawn.nodes() if str(node.attr["id"]).endswith("-mark")}
    assert len(marks) == len(streams.connections)
    shapes = {}
    for c in streams.connections:
        node = marks[f"{c.identifier}-mark"]
        assert {c.kind, f"connection-{c.identifier}"} <= set(node.attr["class"].split())
        shapes.setdefault(c.kind, set()).add(node.attr["shape"])
        x, y = map(float, node.attr["pos"].split(","))
        column, row = round(x / 17), round(-y / 17)  # cells are larger where there are delays
        names = [area.name for area in streams.areas]
        assert (["image", *names][row], names[column]) == (c.source, c.target)
    assert len(set.union(*shapes.values())) == len(shapes) == 3
    assert re.search(r"label=\"\+2\"", drawn.to_string())


@pytest.mark.parametrize("name", ["ventral", "cornet_s", "liao_3state_full", "rcnn"])
def test_parameters_are_counted_as_the_compiler_counts_them(name: str) -> None:
    spec = cg.load(name)
    summary = cg.summarise(spec)
    assert f"{count_text(summary.parameters)} parameters" in cg.draw(spec).source
    assert f", {count_text(summary.parameters)}" in cg.draw_matrix(spec).source  # the line may break before the noun
    connections = [connection.parameters for connection in summary.connections]
    for drawing in (cg.draw(spec, width="parameters"), cg.draw_matrix(spec, width="parameters")):
        assert f"{count_text(max(connections))} parameters" in drawing.source
    areas, counts = build(spec).areas, parameter_counts(build(spec))
    assert [counts[area.identifier] for area in areas] == [area.parameters for area in summary.areas]


def test_parameters_of_a_network_whose_readout_is_silent() -> None:
    spec = cg.load("ventral")
    brief = spec.model_copy(update={"time": spec.time.model_copy(update={"steps": 2})})
    assert " k parameters" in draw_areas(graph_of(brief.model_dump(by_alias=True))).source


def test_a_connection_without_strength_has_a_pale_line_of_its_kind() -> None:
    graph = cg.build(cg.load("ventral", ["connections[0].strength=0.5", "connections[IT -> V4].strength=0.001"]))
    drawn = pygraphviz.AGraph(string=draw_areas(graph, scale="strength").source)
    colours = {edge.attr["id"].removesuffix("-arrow"): edge.attr["color"] for edge in drawn.edges()}
    for c in graph.connections:
        assert colours[c.identifier] == KINDS[c.kind].color + ("" if c.strength else "66")
    assert "no strength (pale)" in drawn.string()


@pytest.mark.parametrize("scale", [None, "parameters"])
def test_a_delay_stands_beside_its_mark_within_its_cell(scale: str | None) -> None:
    graph = graph_of(STREAM | {"connections": [*STREAM["connections"], {"from": "V1", "to": "V4", "delay": 1}]})
    drawn = pygraphviz.AGraph(string=draw_connections(graph, scale=scale).source)
    boxes = boxes_of(drawn, {"feedforward", "text"})
    x, y, width, height = boxes["V1_to_V4-mark"]
    right, top, half, high = boxes["matrix-V1_to_V4-delay"]
    assert right - half > x + width or top - high + 1 > y + height
    assert "11 of 16 pairs of areas" in drawn.string()
