"""The drawing of an unrolled graph: every update and every read, in its place, greyed where nothing is computed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import networkx as nx
import pygraphviz
import pytest

import cortexgraph as cg
from cortexgraph.graph import AreaGraph
from cortexgraph.render import Drawing, draw_updates
from cortexgraph.render.updates import node_key
from cortexgraph.unrolling import Node, Order, UnrolledGraph, add_sink, unroll_graph
from tests.conftest import Golden
from tests.render.conftest import boxes_of, crossings, points_of

UP_AND_DOWN = ("V1", "V2", "V4", "IT", "V4", "V2", "V1")
ORDERS: dict[str, Order] = {
    "simultaneous": "simultaneous",
    "sequential": "sequential",
    "up_and_down": UP_AND_DOWN,
    "groups": (("V1",), ("V2", "V4"), ("IT",)),
}
STATES = {"executed", "unread", "silent"}


def kept_of(full: UnrolledGraph) -> UnrolledGraph:
    """What readouts and records need, by networkx."""
    sinks = [*full.readouts, *full.records]
    needed = set(sinks).union(*(nx.ancestors(full, sink) for sink in sinks))
    kept: UnrolledGraph = full.copy()
    kept.remove_nodes_from([node for node in full if node not in needed or not full.live(node)])
    return kept


def classes(drawing: Drawing) -> dict[str, set[str]]:
    """Classes of every node and edge in the SVG, by id."""
    root = ET.fromstring(drawing.svg())
    return {g.attrib["id"]: set(g.get("class", "").split()) for g in root.iter("{http://www.w3.org/2000/svg}g")}


def places(drawing: Drawing) -> dict[str, tuple[float, float]]:
    graph = pygraphviz.AGraph(string=drawing.source)
    return {str(node): tuple(map(float, node.attr["pos"].split(","))) for node in graph.nodes()}


@pytest.mark.parametrize(("name", "steps"), [("simultaneous", 6), ("sequential", 2), ("up_and_down", 2)])
def test_golden(name: str, steps: int, golden: Golden, stream: AreaGraph) -> None:
    full = unroll_graph(stream, steps=steps, order=ORDERS[name])
    golden(f"updates_stream_{name}.dot", draw_updates(full, kept_of(full)).source)


def test_golden_of_odd_names_and_delays(golden: Golden, streams: AreaGraph) -> None:
    full = unroll_graph(streams)
    add_sink(full, Node("record", "7a", 3), "7a")
    golden("updates_streams.dot", draw_updates(full, kept_of(full)).source)


@pytest.mark.parametrize("order", ORDERS)
def test_every_update_and_read_is_drawn_and_exactly_the_rest_is_greyed(order: str, stream: AreaGraph) -> None:
    full = unroll_graph(stream, order=ORDERS[order])
    add_sink(full, Node("record", "V2", 3), "V2")
    kept = kept_of(full)
    drawn = classes(draw_updates(full, kept))
    for node in full:
        state = "silent" if not full.live(node) else "executed" if node in kept else "unread"
        place = {f"step-{node.step}"}
        if node.kind == "update":
            place |= {f"area-{full.areas.area(node.name).identifier}", f"group-{node.group}"}
        assert drawn[node_key(full, node)] & ({node.kind} | STATES | place) == {node.kind, state} | place
    for tail, head, data in full.edges(data=True):
        kind = data["connections"][0].kind if data["connections"] else "readout"
        state = "executed" if kept.has_edge(tail, head) else "idle"
        read = {f"connection-{connection.identifier}" for connection in data["connections"]}
        words = drawn[f"{node_key(full, tail)}->{node_key(full, head)}"]
        assert words - {"response"} == {"edge", kind, state} | read
    assert sum("edge" in found and "legend" not in found for found in drawn.values()) == full.number_of_edges()


def test_greyed_states_look_different(stream: AreaGraph) -> None:
    full = unroll_graph(stream)
    graph = pygraphviz.AGraph(string=draw_updates(full, kept_of(full)).source)
    looks = {}
    for node in graph.nodes():
        kind, state, *_ = [*node.attr["class"].split(), ""]
        if kind == "update":
            look = (node.attr["fillcolor"], node.attr["color"], "dashed" in node.attr["style"])
            looks.setdefault(state, set()).add(look)
    assert set(looks) == STATES
    assert all(len(look) == 1 for look in looks.values())
    assert len(set.union(*looks.values())) == 3
    assert {node.attr["label"] for node in graph.nodes() if "silent" in node.attr["class"]} == {"⊥"}


def test_without_a_pruned_graph_every_live_update_counts_as_executed(stream: AreaGraph) -> None:
    full = unroll_graph(stream)
    drawn = classes(draw_updates(full))
    for node in full.updates():
        assert ("executed" in drawn[node_key(full, node)]) == full.live(node)


@pytest.mark.parametrize("order", ORDERS)
def test_time_runs_right_and_the_hierarchy_up(order: str, stream: AreaGraph) -> None:
    full = unroll_graph(stream, steps=3, order=ORDERS[order])
    place = places(draw_updates(full))
    rows = {name: row for row, name in enumerate(["image", "V1", "V2", "V4", "IT"])}
    heights: dict[int, set[float]] = {}
    updates = sorted(full.updates(), key=lambda node: (node.step, node.group))
    for node in [*updates, *(node for node in full if node.kind == "image")]:
        heights.setdefault(rows[node.name], set()).add(place[node_key(full, node)][1])
    assert all(len(height) == 1 for height in heights.values())
    assert sorted(heights, key=lambda row: min(heights[row])) == sorted(heights)
    across = {(node.step, node.group): place[node_key(full, node)][0] for node in updates}
    assert list(across.values()) == sorted(set(across.values()))


@pytest.mark.parametrize("network", ["stream", "streams"])
@pytest.mark.parametrize("order", ["simultaneous", "sequential"])
def test_arrows_run_through_no_box(order: str, network: str, request: pytest.FixtureRequest) -> None:
    full = unroll_graph(request.getfixturevalue(network), order=order)
    drawn = pygraphviz.AGraph(string=draw_updates(full, kept_of(full)).source)
    assert crossings(drawn, boxes_of(drawn, {"update", "image", "readout"})) == []


def test_states_of_one_row_do_not_touch(stream: AreaGraph) -> None:
    full = unroll_graph(stream, steps=3, order=UP_AND_DOWN)
    graph = pygraphviz.AGraph(string=draw_updates(full).source)
    rows: dict[float, list[float]] = {}
    width = 72 * float(graph.get_node("V1@1.0").attr["width"])
    for node in full.updates():
        x, y = map(float, graph.get_node(node_key(full, node)).attr["pos"].split(","))
        rows.setdefault(y, []).append(x)
    for row in rows.values():
        assert all(b - a > width + 10 for a, b in zip(sorted(row), sorted(row)[1:], strict=False))


def test_names_that_boxes_do_not_say_stand_beside_their_row(streams: AreaGraph) -> None:
    root = ET.fromstring(draw_updates(unroll_graph(streams, steps=1)).svg())
    beside = [
        text.text
        for group in root.iter("{http://www.w3.org/2000/svg}g")
        if group.attrib["id"].startswith("updates-row-")
        for text in group.iter("{http://www.w3.org/2000/svg}text")
    ]
    words = " ".join(word for word in beside if word)
    assert "an area with a name of very many words" in words  # too long for its box
    assert "7a" in words  # silent at the only step


def test_the_heading_counts_updates(stream: AreaGraph) -> None:
    full = unroll_graph(stream)
    assert "6 steps, 24 updates, 18 live, 12 executed; order: simultaneous" in draw_updates(full, kept_of(full)).source


def test_an_unrolled_graph_and_what_passes_left_of_it_count_updates_alike() -> None:
    spec = cg.load("ventral")
    before, after = draw_updates(cg.unroll(spec)), cg.draw_unrolled(spec)
    assert "6 steps, 24 updates, 18 live; order: simultaneous" in before.source
    assert "6 steps, 24 updates, 18 live, 12 executed; order: simultaneous" in after.source
    words = {key: words for key, words in _legend(before).items() if "executed" in key}
    assert list(words.values()) == ["live"]
    assert "executed" in _legend(after).values()


def _legend(drawing: Drawing) -> dict[str, str]:
    graph = pygraphviz.AGraph(string=drawing.source)
    return {str(node): node.attr["label"].removesuffix(r"\l") for node in graph.nodes() if node.endswith("-word")}


DELAYED: dict[str, Any] = {
    "name": "delayed",
    "input": {"channels": 3, "size": 32},
    "areas": {name: {"channels": 8, "size": 8} for name in ("V1", "V2", "V4", "IT")},
    "connections": [
        {"from": "image", "to": "V1", "stride": 4}, "V1 -> V2 -> V4 -> IT", {"from": "V1", "to": "V4", "delay": 2},
        {"from": "V1", "to": "IT", "delay": 3}, {"from": "IT", "to": "V1", "delay": 3},
        {"from": "V4", "to": "V4", "delay": 1},
    ],
    "readout": {"from": "IT", "classes": 10},
    "time": {"steps": 12},
}  # fmt: skip


@pytest.mark.parametrize(("tail", "head"), [("V1@{}.0", "V4@{}.0"), ("V1@{}.0", "IT@{}.0"), ("IT@{}.0", "V1@{}.0")])
def test_arrows_of_following_steps_do_not_run_along_each_other(tail: str, head: str) -> None:
    drawn = pygraphviz.AGraph(string=draw_updates(cg.unroll(cg.NetworkSpec.model_validate(DELAYED))).source)
    span = 4 if "V4" not in head else 3
    courses = [
        {(round(x), round(y)) for x, y in points_of(edge)}
        for step in range(4, 8)
        for edge in drawn.edges()
        if edge.attr["id"] == f"{tail.format(step)}->{head.format(step + span)}"
    ]
    assert len(courses) == 4
    for first, second in pairwise(courses):
        near = [point for point in second if any(abs(point[0] - x) < 3 and abs(point[1] - y) < 3 for x, y in first)]
        assert len(near) < 0.2 * len(second)


def test_long_arrows_stay_below_the_headings() -> None:
    spec = cg.NetworkSpec.model_validate(DELAYED)
    drawn = pygraphviz.AGraph(string=cg.draw_unrolled(spec, upstream="V4@7").source)
    headings = {float(band.graph_attr["lp"].split(",")[1]) for band in drawn.subgraphs()}
    assert len(headings) == 1
    assert not any("readout" in node for node in drawn.nodes())
    assert max(y for edge in drawn.edges() for _, y in points_of(edge)) < headings.pop() - 4
