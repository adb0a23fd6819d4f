"""Where the nodes of an unrolled graph stand: steps and groups from left to right, areas from bottom to top."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cortexgraph.render.geometry import Box
from cortexgraph.render.text import text_width
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["NAME_SIZE", "SMALL_SIZE", "Grid"]

NAME_SIZE, SMALL_SIZE = 10.0, 8.5
HEIGHT = 21.0
TALL, LOW, MANY_ROWS = 50.0, 36.0, 12
"""From one row to the next; lower where there are many."""
NARROWEST, WIDEST = 32.0, 66.0
MANY_GROUPS, NARROW_GAP = 8, 20.0
"""Beyond so many groups in a step, the states of an area stand closer."""


@dataclass(frozen=True)
class Grid:
    """The places of all nodes; x of a step's first group is `(step − 1) · step_pitch`."""

    graph: UnrolledGraph

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of the image (0) and of each area, as far as they occur."""
        found = {node.name for node in self.graph if node.kind in {"image", "update"}}
        names = [IMAGE, *(area.name for area in self.graph.areas.areas)]
        return {name: row for row, name in enumerate(name for name in names if name in found)}

    @property
    def row(self) -> float:
        """From one row to the next."""
        return LOW if len(self.rows) > MANY_ROWS else TALL

    @cached_property
    def width(self) -> float:
        """Width of a box: that of the longest name that still fits."""
        widths = [text_width(name, SMALL_SIZE if name == IMAGE else NAME_SIZE) + 10 for name in self.rows]
        return max([NARROWEST, *(min(width, WIDEST) for width in widths)])

    @cached_property
    def gap(self) -> float:
        """Free space between a state and the next state of the same area; arrows that skip rows turn here."""
        rows = self.rows
        ends = [(rows.get(c.source), rows.get(c.target)) for c in self.graph.areas.connections]
        skips = [pair for pair in ends if None not in pair and abs((pair[0] or 0) - (pair[1] or 0)) > 1]
        return 34.0 + 4 * min(len(skips), 12)

    @cached_property
    def group_pitch(self) -> float:
        """From one group of a step to the next: narrow, but no two states of one area may touch."""
        count = len(self.graph.groups)
        if count == 1:
            return 0.0
        pitch = min(0.9 * self.width, max(0.3 * self.width, 2.4 * self.width / (count - 1)))
        last: dict[str, int] = {}
        for index, group in enumerate(self.graph.groups):
            for name in group:
                if name in last:
                    gap = self.gap if count <= MANY_GROUPS else NARROW_GAP
                    pitch = max(pitch, (self.width + gap) / (index - last[name]))
                last[name] = index
        return pitch

    @cached_property
    def step_pitch(self) -> float:
        return (len(self.graph.groups) - 1) * self.group_pitch + self.width + self.gap

    @property
    def top(self) -> float:
        """y of the highest row of readouts; that of the highest area where there are none."""
        return (len(self.rows) - 1 + len(self.read)) * self.row

    @cached_property
    def read(self) -> dict[str, int]:
        """The readouts that are read at some step, with their rows above the areas."""
        found = {node.name for node in self.graph.readouts}
        names = [readout.name for readout in self.graph.areas.readouts if readout.name in found]
        return {name: row for row, name in enumerate(names)}

    def box(self, node: Node) -> Box:
        """Where a node stands. A record is a badge on the corner of the state that it keeps."""
        x = (node.step - 1) * self.step_pitch
        match node.kind:
            case "readout":
                y = (len(self.rows) + self.read.get(node.name, 0)) * self.row
                return Box(x + (len(self.graph.groups) - 1) * self.group_pitch, y, self.readout_width, HEIGHT)
            case "record":
                state = self.graph.state(node.name, node.step)
                corner = self.box(state or Node("update", node.name, node.step)).at(1, 1)
                return Box(*corner, 8, 8)
        return Box(x + node.group * self.group_pitch, self.rows[node.name] * self.row, self.width, HEIGHT)

    @property
    def readout_width(self) -> float:
        return max(self.width, 44.0)

    def band(self, step: int, headings: int = 1) -> Box:
        """The background of a step, with room for lines of heading."""
        left = (step - 1) * self.step_pitch - (self.width + self.gap) / 2
        bottom, top = -HEIGHT / 2 - 8, self.top + HEIGHT / 2 + 10 + 10 * headings
        return Box(left + self.step_pitch / 2, (bottom + top) / 2, self.step_pitch, top - bottom)
