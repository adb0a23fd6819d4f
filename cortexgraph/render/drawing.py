"""A drawing: DOT source with positions, shown and saved as SVG, PNG or PDF."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import graphviz

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.files import write_bytes
from cortexgraph.render.engine import SUFFIXES, render_dot

__all__ = ["Drawing", "check_suffixes", "side_by_side"]


@dataclass(frozen=True)
class Drawing:
    """A picture of a network; shows itself in notebooks.

    Attributes:
        source: DOT, with the position of every node and edge: `dot -Knop2` draws it unchanged.

    Examples:
        >>> import cortexgraph as cg
        >>> cg.draw(cg.load("ventral")).source.splitlines()[0]
        'digraph ventral {'
    """

    source: str

    def __repr__(self) -> str:
        name = self.source.split("{", 1)[0].removeprefix("digraph").strip().strip('"')
        return f"<Drawing of {name}: show it in a notebook, or save it with `.save(path)`>"

    def svg(self) -> str:
        """The picture as SVG text."""
        return render_dot(self.source, "svg").decode()

    def save(self, path: str | Path) -> Path:
        """Write the picture, whole or not at all; the suffix says the format: .svg, .png, .pdf, .dot or .gv.

        Raises:
            CompileError: for another suffix.
            DataError: if the file cannot be written.
        """
        path = Path(path)
        check_suffixes([path])
        form = SUFFIXES[path.suffix.lower()]
        write_bytes(path, self.source.encode() if form == "dot" else render_dot(self.source, form))
        return path

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        """The SVG, never wider than the page."""
        svg = self.svg()
        picture = svg[svg.index("<svg") :].replace("<svg ", '<svg style="max-width: 100%; height: auto" ', 1)
        return f'<div class="cortexgraph">{picture}</div>'


def check_suffixes(paths: Iterable[Path]) -> None:
    """Reject file names that end in none of the formats, before the first picture is drawn.

    Raises:
        CompileError: for other suffixes.
    """
    findings = [_unknown_suffix(path) for path in paths if path.suffix.lower() not in SUFFIXES]
    if findings:
        raise CompileError(findings)


def _unknown_suffix(path: Path) -> Diagnostic:
    return Diagnostic(
        "unknown-format",
        str(path),
        f"the suffix is `{path.suffix}`" if path.suffix else "the file name has no suffix",
        f"the formats are {', '.join(SUFFIXES)}",
        f"Name the file {path.with_suffix('.svg').name}." if path.name else "Name a file, such as network.svg.",
    )


GAP_PT = 40.0
"""Distance between two drawings."""

PLACES = ("pos", "lp", "bb")
"""Attributes that hold places, in points."""

NUMBER = r"-?\d+(?:\.\d+)?"


def side_by_side(drawings: Sequence[Drawing], name: str = "compared") -> Drawing:
    """Combine drawings from left to right, their lower edges on one line.

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
    """The non-empty attributes, with shifted positions and numbered ids."""
    kept = {key: value for key, value in dict(attributes).items() if value}
    for key in PLACES:
        if key in kept:
            kept[key] = re.sub(f"({NUMBER}),({NUMBER})", lambda match: _place(match, shift), kept[key])
    if "label" in kept:  # the parser leaves out the outer brackets, by which DOT tells HTML-like labels from text
        label = kept["label"]
        kept["label"] = f"<{label}>" if label.startswith("<TABLE ") else graphviz.nohtml(label)
    if "id" in kept:
        kept["id"] = f"{number}-{kept['id']}"
    return kept


def _place(match: re.Match[str], shift: tuple[float, float]) -> str:
    x, y = (float(part) + by for part, by in zip(match.groups(), shift, strict=True))
    return f"{round(x, 2) + 0.0:g},{round(y, 2) + 0.0:g}"
