"""What is carried out: held updates resolved, and norms in connections evaluated once for each value."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.graph import Connection
from cortexgraph.unrolling.model import Node, NodeInfo, UnrolledGraph

_Key = tuple[str, Node, int, int]
"""A connection, the value that it reads, the update (0 where all share the evaluation), and its segment."""


def settle(full: UnrolledGraph) -> UnrolledGraph:
    """The updates and evaluations that are carried out, for any choice of passes.

    Running statistics move with what is carried out, so that no pass may add or remove what moves them; it is decided
    here, once for training and evaluation:

    * A held update is left out; its readers read the update whose value stays. A static image is one value.
    * A connection that keeps running statistics is evaluated once for each value that it reads (with per-step
      parameters or dropout, once for each update): such an evaluation is a separate node.
    * What moves running statistics, and no readout or record depends on, is left out, and with it what depends on it;
      not so in a stream, in which later steps may depend on every update.
    """
    return _Settling(full).run()


class _Settling:
    def __init__(self, full: UnrolledGraph) -> None:
        self.full = full
        self.needed = full.live_past(full if full.info.piece is not None else (*full.readouts, *full.records))
        self.settled = UnrolledGraph.of(full.info)
        given = {node: full.evaluated(node) for node in full if node.kind == "evaluation"}
        self.evaluations: dict[_Key, Node] = {
            (c.identifier, source, 0, full.segment(node.step)): node for node, (c, source) in given.items()
        }
        self.counted = {key for node in self.needed for key, _, _ in self._statistics_read(node)}

    def run(self) -> UnrolledGraph:
        idle = self._idle()
        for node in self.full:
            for key, connection, source in self._statistics_read(node):
                if key in self.counted and key not in self.evaluations:
                    self._evaluate(key, connection, source, node)
            if node not in idle and not (self.full.live(node) and self.full.origin(node) != node):
                self._add(node)
        return self.settled

    def _idle(self) -> set[Node]:
        """Updates that would move running statistics, though no sink depends on them, and what depends on these."""
        full = self.full
        moving = {area.name for area in full.areas.areas if area.statistics}
        moving |= {connection.target for connection in full.areas.connections if connection.statistics}
        idle = (node for node in full.live_updates() if node.name in moving and node not in self.needed)
        return full.live_future(idle) if moving else set()

    def _statistics_read(self, node: Node) -> Iterator[tuple[_Key, Connection, Node]]:
        """The evaluations, of connections that keep running statistics, that an update reads, and what these read."""
        if node.kind != "update" or not self.full.carried_out(node):
            return
        for connection, source in self.full.terms(node):
            if connection.statistics:
                value, ordinal = self.full.origin(source), self.full.ordinal(node) if connection.alone else 0
                yield (connection.identifier, value, ordinal, self.full.segment(node.step)), connection, value

    def _evaluate(self, key: _Key, connection: Connection, source: Node, reader: Node) -> None:
        """Add an evaluation before its first reader."""
        node = Node("evaluation", connection.identifier, reader.step, reader.group)
        self.settled.add_node(node, info=NodeInfo(ordinal=self.full.ordinal(reader)))
        self.settled.add_read(source, node, (connection,))
        self.evaluations[key] = node

    def _add(self, node: Node) -> None:
        self.settled.add_node(node, info=self.full.node_info(node))
        for source, _, data in self.full.in_edges(node, data=True):
            plain = tuple(c for c in data["connections"] if not c.statistics or node.kind == "evaluation")
            if self.full.live(source) and (plain or data["memory"] or not data["connections"]):
                self.settled.add_read(self.full.origin(source), node, plain, memory=data["memory"])
        for key, connection, _ in self._statistics_read(node):
            self.settled.add_read(self.evaluations[key], node, (connection,))
