"""Networks to draw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pygraphviz
import pytest

from cortexgraph.graph import AreaGraph, assemble
from cortexgraph.spec import NetworkSpec

STREAM: dict[str, Any] = {
    "name": "stream",
    "input": {"channels": 3, "size": 32},
    "defaults": {"area": {"norm": {"kind": "batch", "per_step": True}}},
    "areas": {
        "V1": {"channels": 8, "size": 32},
        "V2": {"channels": 16, "size": 16},
        "V4": {"channels": 32, "size": 8},
        "IT": {"channels": 64, "size": 4},
    },
    "connections": [
        {"from": "image", "to": "V1", "kernel": 5},
        "V1 -> V2 -> V4 -> IT -> V4 -> V2 -> V1",
        ["V1 -> V1", "V2 -> V2", "V4 -> V4", "IT -> IT"],
    ],
    "readout": {"from": "IT", "classes": 10},
    "time": {"steps": 6},
}

# Levels that are tied, skips, delays, parallel connections, and names that need care in DOT, SVG or Python.
STREAMS: dict[str, Any] = {
    "name": "two streams",
    "input": {"channels": 3, "size": 32, "present": "first"},
    "areas": {
        "V1 (L2/3)": {"channels": 8, "size": 16, "level": 0},
        "Größe & Form": {"channels": 8, "size": 8, "level": 1},
        "7a": {"channels": 8, "size": 8, "level": 1},
        "TH/TF": {"channels": 8, "size": 4, "level": 2},
        "an area with a name of very many words": {"channels": 8, "size": 4, "level": 3},
    },
    "connections": [
        "image -> V1 (L2/3) -> Größe & Form -> TH/TF -> an area with a name of very many words",
        "V1 (L2/3) -> 7a -> TH/TF",
        {"from": "V1 (L2/3)", "to": "TH/TF", "kernel": 1},
        {"from": "V1 (L2/3)", "to": "TH/TF", "kernel": 5},
        "V1 (L2/3) -> an area with a name of very many words",
        ["7a -> Größe & Form", "Größe & Form -> 7a", "7a -> 7a"],
        {"from": "TH/TF", "to": "TH/TF", "delay": 2},
        {"from": "an area with a name of very many words", "to": "V1 (L2/3)", "kernel": 1, "delay": 1},
    ],
    "readout": {"from": "TH/TF", "classes": 5, "at": [4, 6]},
    "time": {"steps": 6},
}


def graph_of(data: dict[str, Any]) -> AreaGraph:
    return assemble(NetworkSpec.model_validate(data))


Box = tuple[float, float, float, float]


def boxes_of(drawn: pygraphviz.AGraph, kinds: set[str]) -> dict[str, Box]:
    """Centre, half width and half height of the nodes of some classes."""
    found = {}
    for node in drawn.nodes():
        if (node.attr["class"] or "").partition(" ")[0] in kinds:
            x, y = map(float, node.attr["pos"].split(","))
            found[node] = (x, y, 36 * float(node.attr["width"]), 36 * float(node.attr["height"]))
    return found


def points_of(edge: pygraphviz.Edge) -> Iterator[tuple[float, ...]]:
    """Points along an arrow, its tip first."""
    tip, *curve = [tuple(map(float, point.split(",")[-2:])) for point in edge.attr["pos"].split()]
    yield tip
    for first in range(0, len(curve) - 1, 3):
        for t in (n / 24 for n in range(25)):
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            piece = curve[first : first + 4]
            yield tuple(sum(w * p[axis] for w, p in zip(weights, piece, strict=True)) for axis in (0, 1))


def crossings(drawn: pygraphviz.AGraph, boxes: dict[str, Box]) -> list[tuple[pygraphviz.Edge, str]]:
    """Every arrow with every box that it runs through."""
    return [
        (edge, node)
        for edge in drawn.edges()
        for px, py in points_of(edge)
        for node, (x, y, width, height) in boxes.items()
        if node not in edge and abs(px - x) < width and abs(py - y) < height
    ]


@pytest.fixture
def stream() -> AreaGraph:
    return graph_of(STREAM)


@pytest.fixture
def streams() -> AreaGraph:
    return graph_of(STREAMS)
