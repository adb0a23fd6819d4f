"""Local names of values, by the node that reads them."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from cortexgraph.codegen.text import prelude
from cortexgraph.graph import Readout
from cortexgraph.graph.names import RESERVED, Namespace
from cortexgraph.passes.roll import is_moving
from cortexgraph.unrolling import Node, UnrolledGraph, heads_of

LOCAL = RESERVED | {"t", *dir(builtins), *prelude()}
"""What `forward` may read or count with, and no value may be called."""


def list_name(readout: Readout) -> str:
    """The name of the list that gathers a readout's logits, or the states that it reads together."""
    return ("read" if readout.over_time == "concat" else "logits") + readout.identifier.removeprefix("readout")


class Names:
    """A local name for each value: `V2_3`, or `V2_3a`, `V2_3b` where a step updates the area several times.

    In a loop over steps t, `V2_t` is the value at step t, `V2_t_1` that at step t + 1 of a longer period, `V2_before`
    the one a step before the run begins, `V2_before_2` the one before that.
    """

    def __init__(self, graph: UnrolledGraph) -> None:
        self.graph = graph
        self.heads = heads_of(graph.areas)
        self._names = Namespace(LOCAL)
        several, inputs = len(graph.areas.inputs) > 1, graph.areas.inputs
        self.inputs = {each.name: self._names.claim(each.identifier) if several else "x" for each in inputs}
        self.batch = next(iter(self.inputs.values()))  # what stands for the batch
        self._claimed: dict[tuple[Node, str], str] = {}
        for readout in graph.areas.readouts:
            self._names.claim(list_name(readout))
        groups: dict[str, list[int]] = {}
        for index, group in enumerate(graph.groups):
            for area in group:
                groups.setdefault(area, []).append(index)
        self._groups = groups
        self._stems: dict[str, str] = graph.areas.identifiers
        self._targets = {connection.identifier: connection.target for connection in graph.areas.connections}

    def made(self, node: Node, part: str = "h") -> str:
        """The name under which a value is made: its visible state `h`, or a hidden one of the cell."""
        return self.read(node, node, part)

    def read(self, node: Node, reader: Node, part: str = "h") -> str:
        """The name under which a reader reads a value."""
        loop = self.graph.loop
        if loop is None or reader.step < loop.first or (node.step < loop.first and reader.step >= loop.end):
            return self._name(node, str(node.step), part)
        if reader.step >= loop.end:
            return self.left(node, part)
        if node != reader and not is_moving(self.graph, node, reader):
            return self._name(node, str(node.step), part)
        ahead = node.step - loop.first
        if ahead < 0:
            return self.before(node, -ahead, part)
        return self._name(node, f"t_{ahead}" if ahead else "t", part)

    def before(self, node: Node, back: int, part: str) -> str:
        """The name that a loop gives to the value this many steps before a run of its body."""
        return self._name(node, f"before_{back}" if back > 1 else "before", part)

    def left(self, node: Node, part: str) -> str:
        """The name of a value of the last runs of a loop, or of a step behind it, by its step of time."""
        loop = self.graph.loop
        return self._name(node, str(node.step + (loop.skipped if loop is not None else 0)), part)

    def _name(self, node: Node, when: str, part: str) -> str:
        letter = self._letter(node)
        when = f"{when}_{letter}" if letter and "before" in when else f"{when}{letter}"
        if node.kind == "evaluation" and self.from_static_image(node):
            when = ""
        # the whole node: within one step, a head may be applied to several values, such as two frames of a video
        key = (node._replace(step=0), when)
        if key not in self._claimed:
            self._claimed[key] = self._names.claim("_".join(filter(None, (self._stem(node), when))))
        return self._claimed[key] if part == "h" else f"{self._claimed[key]}_{part}"

    def from_static_image(self, node: Node) -> bool:
        """Whether an evaluation reads a static image, directly or through its head, so that there is one of it."""
        if node not in self.graph or self.graph.given(node):
            return False
        applied, (_, source) = self.graph.applied(node), self.graph.evaluated(node)
        repeated = applied.averages and self.graph.segment(1) != self.graph.segment(self.graph.steps)  # in each segment
        if applied.per_step or applied.random or repeated:
            return False
        seen = self.graph.static(source) and self.is_input(source)
        return seen or (source.kind == "evaluation" and self.from_static_image(source))

    def is_input(self, node: Node) -> bool:
        """Whether a value is an argument or a frame of it; a piece of a stream may also read images shown before."""
        piece = self.graph.info.piece
        first = 1 if piece is None else piece.since if self.graph.static(node) else piece.first
        return node.kind == "image" and node.step >= first

    def input(self, node: Node, frame: Callable[[], object]) -> str:
        """The code of an image that is an argument, or of a frame of it."""
        name = self.inputs[node.name]
        return name if self.graph.static(node) else f"{name}[:, {frame()}]"

    def _stem(self, node: Node) -> str:
        if node.kind == "evaluation":
            return self.heads[node.name].identifier if node.part else node.name
        return self._stems[node.name]

    def _letter(self, node: Node) -> str:
        """Which of several updates of an area within a step."""
        groups = self._groups.get(self._targets[node.name] if node.kind == "evaluation" else node.name, [])
        return _letters(groups.index(node.group)) if len(groups) > 1 and node.kind != "zero" else ""


def _letters(n: int) -> str:
    return chr(ord("a") + n) if n < 26 else _letters(n // 26 - 1) + _letters(n % 26)
