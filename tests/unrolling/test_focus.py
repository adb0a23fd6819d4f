"""The part of an unrolled graph that matters: against networkx's ancestors and descendants."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings

import cortexgraph as cg
from cortexgraph.errors import CompileError
from cortexgraph.unrolling import Focus, Node, UnrolledGraph, focused, response_path
from tests.strategies import specs


def ventral() -> UnrolledGraph:
    return cg.unroll(cg.load("ventral"))


def live(graph: UnrolledGraph) -> nx.DiGraph:
    return nx.DiGraph(graph.subgraph([node for node in graph if graph.live(node)]))


def names(nodes: set[Node]) -> set[str]:
    return {str(node) for node in nodes}


def test_what_drives_an_area_at_a_step() -> None:
    assert names(focused(ventral(), Focus(upstream="V4@3"))) == {"image@1", "V1@1", "V2@2", "V4@3"}


def test_what_an_area_reaches() -> None:
    assert names(focused(ventral(), Focus(downstream="V4@5"))) == {
        "V4@5", "V2@6", "V4@6", "IT@6", "readout IT@6",
    }  # fmt: skip


def test_what_lies_between() -> None:
    found = focused(ventral(), Focus(between=("V2@4", "readout@6")))
    assert names(found) == {"V2@4", "V4@5", "IT@6", "readout IT@6"}


@settings(max_examples=40, deadline=None)
@given(spec=specs())
def test_upstream_downstream_and_between_are_those_of_networkx(spec: cg.NetworkSpec) -> None:
    graph = cg.unroll(spec)
    alive = live(graph)
    sink = next(node for node in graph.readouts if graph.live(node))
    ends = [node for node in alive if node.kind == "readout" and node.step == sink.step]
    assert focused(graph, Focus(upstream=f"readout@{sink.step}")) == set(ends).union(
        *(nx.ancestors(alive, end) for end in ends)
    )
    frames = [node for node in alive if (node.kind, node.name) == ("image", "image")]
    reached = set(frames).union(*(nx.descendants(alive, frame) for frame in frames))
    assert focused(graph, Focus(downstream="image")) == reached
    area = next(readout.source for readout in graph.areas.readouts if readout.name == sink.name)
    updates = [node for node in alive if node.kind == "update" and node.name == area]
    above = set(updates).union(*(nx.ancestors(alive, update) for update in updates))
    if reached & above:
        assert focused(graph, Focus(between=("image", area))) == reached & above


@settings(max_examples=40, deadline=None)
@given(spec=specs())
def test_the_first_response_is_carried_by_a_shortest_path_of_drives(spec: cg.NetworkSpec) -> None:
    graph = cg.unroll(spec)
    depends = graph.from_image()
    for area in graph.areas.areas:
        path = response_path(graph, area.name)
        first = next((node for node in graph.updates(area.name) if node in depends), None)
        assert bool(path) <= (first is not None)
        if not path:
            continue
        assert path[0].kind == "image"
        assert path[-1] == first
        for tail, head in nx.utils.pairwise(path):
            read = graph.edges[tail, head]
            assert read["memory"] or any(c.role == "drive" for c in read["connections"])


BAD = [
    (Focus(upstream="V9@3"), r"no area is called `V9`, but there are `V1`, `V2`, `V4`, `IT`, `image` and `readout`"),
    (Focus(upstream="v2@3"), "Did you mean `V2`"),
    (Focus(upstream="V4@30"), "step 30 was asked for, but the network runs for 6 steps"),
    (Focus(downstream="V4@0"), "step 0 was asked for"),
    (Focus(upstream="V4@two"), "`two` is not a step, but a place is written V4@3"),
    (Focus(upstream="V4@2"), r"V4 is silent at step 2: V4 first responds at step 3 \(image → V1 → V2 → V4 under"),
    (Focus(upstream="readout@2"), "nothing is read out at step 2, but there are `readout@6`"),
    (Focus(between=("V4@9", "V5@1")), r"(?s)step 9 was asked for.*no area is called `V5`"),
    (Focus(between=("IT@5", "V1@5")), "nothing of IT@5 reaches V1@5"),
    (Focus(upstream="V1@1", downstream="V2@2"), "`upstream` and `downstream` are given together"),
    (Focus(), "nothing is asked for"),
]

ODD: Any = [
    (Focus(between="V1@2"), r'`V1@2` was given, but it is two places.*\n.*between=\("V1@2", "readout@6"\)'),
    (Focus(upstream=("V4", 3)), "was given, but it is one place, such as V4@3"),
]


@pytest.mark.parametrize(("focus", "message"), [*BAD, *ODD])
def test_a_question_without_an_answer(focus: Focus, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        focused(ventral(), focus)
