"""Local names of values, by the step that reads them."""

from __future__ import annotations

from cortexgraph.graph.names import Namespace
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["Variables"]


class Variables:
    """A local name for each value: `V2_3`, or `V2_3a`, `V2_3b` where a step updates the area several times.

    In a loop over steps t, `V2_t` is the value at step t, `V2_t_1` that at step t + 1 of a longer period, `V2_before`
    the one a step before the run begins, `V2_before_2` the one before that.
    """

    def __init__(self, graph: UnrolledGraph) -> None:
        self.graph = graph
        self._names = Namespace()
        self._found: dict[tuple[str, str], str] = {}
        self._letters: dict[tuple[str, int], str] = {}
        self._targets: dict[str, str] = {}
        for readout in graph.areas.readouts:
            self._names.claim("logits" + readout.identifier.removeprefix("readout"))
        for connection in graph.areas.connections:
            if connection.identifier not in graph.areas:
                self._targets[connection.identifier] = connection.target
            if connection.source == IMAGE:
                self._names.claim(connection.identifier)
        places: dict[str, list[int]] = {}
        for index, group in enumerate(graph.groups):
            for area in group:
                places.setdefault(area, []).append(index)
        for area, groups in places.items():
            for turn, group_index in enumerate(groups):
                self._letters[area, group_index] = _letters(turn) if len(groups) > 1 else ""

    def of(self, node: Node, part: str = "h") -> str:
        """The name under which a value is made: its visible state `h`, or a hidden one of the cell."""
        return self.read(node, node.step, part)

    def read(self, node: Node, step: int, part: str = "h") -> str:
        """The name under which a step reads a value."""
        loop = self.graph.loop
        if node.kind == "zero":
            return self._name(node, "0", part)
        if loop is None or step < loop.first or step - node.step > loop.reach:
            return self._name(node, str(self.graph.actual_step(node.step)), part)
        if step > loop.last:
            return self._name(node, str(node.step + loop.skipped), part)
        ahead = node.step - loop.first
        if ahead < 0:
            return self.before(node, -ahead, part)
        return self._name(node, f"t_{ahead}" if ahead else "t", part)

    def before(self, node: Node, back: int, part: str = "h") -> str:
        """The name that a loop gives to the value so many steps before a run of its body."""
        return self._name(node, f"before_{back}" if back > 1 else "before", part)

    def at(self, node: Node, step: int, part: str = "h") -> str:
        """The name of an area's or drive's value at a step of time."""
        return self._name(node, str(step), part)

    def _name(self, node: Node, when: str, part: str) -> str:
        areas = self.graph.areas
        stem = node.name if node.kind == "drive" or node.name == IMAGE else areas.area(node.name).identifier
        letter = self._letters.get((self._targets.get(node.name, node.name), node.group), "")
        key = (stem, f"{when}_{letter}" if letter and "before" in when else f"{when}{letter}")
        if key not in self._found:
            self._found[key] = self._names.claim("_".join(key))
        return self._found[key] if part == "h" else f"{self._found[key]}_{part}"


def _letters(n: int) -> str:
    return chr(ord("a") + n) if n < 26 else _letters(n // 26 - 1) + _letters(n % 26)
