"""Several drawings in one picture, side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import graphviz

from cortexgraph.render.drawing import Drawing

__all__ = ["beside"]

GAP_PT = 40.0
"""Distance between two drawings."""

PLACES = ("pos", "lp", "bb")
"""Attributes that hold places, in points."""

NUMBER = r"-?\d+(?:\.\d+)?"


def beside(drawings: Sequence[Drawing], name: str = "compared") -> Drawing:
    """The drawings from left to right, with their lower edges on one line.

    Ids get the number of their drawing in front (`0-V1`), so that they stay unique.

    Args:
        drawings: pictures of networks, not themselves set side by side with bands.
        name: of the picture.
    """
    import pygraphviz

    dot, left = graphviz.Digraph(name), 0.0
    for number, drawing in enumerate(drawings):
        graph = pygraphviz.AGraph(string=drawing.source)
        if number == 0:
            dot.attr("graph", **dict(graph.graph_attr))
            dot.attr("node", **dict(graph.node_attr))
            dot.attr("edge", **dict(graph.edge_attr))
        low, high, bottom = _extent(graph)
        shift = (left - low, -bottom)
        for node in graph.nodes():
            dot.node(f"{number}-{node}", **_moved(node.attr, number, shift))
        for edge in graph.edges():
            dot.edge(f"{number}-{edge[0]}", f"{number}-{edge[1]}", **_moved(edge.attr, number, shift))
        left += high - low + GAP_PT
    return Drawing(str(dot.source))


def _extent(graph: Any) -> tuple[float, float, float]:
    """Left, right and lower edge over nodes and curves."""
    across: list[float] = []
    down: list[float] = []
    for node in graph.nodes():
        x, y = (float(number) for number in re.findall(NUMBER, node.attr["pos"]))
        half = (float(node.attr["width"] or 0) * 36, float(node.attr["height"] or 0) * 36)
        across += [x - half[0], x + half[0]]
        down.append(y - half[1])
    for edge in graph.edges():
        numbers = [float(number) for number in re.findall(NUMBER, edge.attr["pos"])]
        across += numbers[::2]
        down += numbers[1::2]
    return min(across), max(across), min(down)


def _moved(attributes: Iterable[tuple[str, str]], number: int, shift: tuple[float, float]) -> dict[str, str]:
    """The attributes that say something, with places shifted and ids marked."""
    found = {key: value for key, value in dict(attributes).items() if value}
    for key in PLACES:
        if key in found:
            found[key] = re.sub(f"({NUMBER}),({NUMBER})", lambda match: _place(match, shift), found[key])
    if "label" in found:  # the parser leaves out the outer brackets, by which DOT tells HTML-like labels from text
        label = found["label"]
        found["label"] = f"<{label}>" if label.startswith("<TABLE ") else graphviz.nohtml(label)
    if "id" in found:
        found["id"] = f"{number}-{found['id']}"
    return found


def _place(match: re.Match[str], shift: tuple[float, float]) -> str:
    x, y = (float(part) + by for part, by in zip(match.groups(), shift, strict=True))
    return f"{round(x, 2) + 0.0:g},{round(y, 2) + 0.0:g}"
