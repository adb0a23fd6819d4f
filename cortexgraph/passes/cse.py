"""Common-subexpression elimination: compute equal values once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from cortexgraph.graph import Connection
from cortexgraph.unrolling import Node, NodeInfo, UnrolledGraph, heads_of


def cse(graph: UnrolledGraph) -> UnrolledGraph:
    """Value numbering: updates and evaluations of connections that are the same function of the same values are one.

    An update equal to an earlier one is left out (`UnrolledInfo.merged`). A connection that several updates read from
    one value becomes a node `evaluation`, and so does the head of several connections' transforms: the operations
    without parameters, such as upsampling, that they apply to one state (`heads_of`).

    Requires: a settled graph, nodes in the order of execution; it runs once.

    Ensures: every value that is left is computed from the same values by the same parameters as before. Two values
    are the same function of the same values if they are of one area (or connection), read equal values through the
    same connections, continue from equal states, and use the same per-step sets. Evaluations that draw random
    values (dropout) or move running statistics are never merged.
    """
    return _Numbering(graph).build()


class _Numbering:
    """Equal numbers, equal values.

    Attributes:
        numbers: of each node.
        classes: the number of each function of numbers.
        first: the first node of each number.
        readers: for each number of a connection's result, how many updates read it.
        results: for each number of a head's result, the numbers of the results made of it.
    """

    def __init__(self, graph: UnrolledGraph) -> None:
        self.graph = graph
        self.heads = heads_of(graph.areas)
        self.numbers: dict[Node, int] = {}
        self.classes: dict[Hashable, int] = {}
        self.first: dict[int, Node] = {}
        self.readers: Counter[int] = Counter()
        self.results: dict[int, set[int]] = {}
        for node in graph:
            if graph.live(node):
                self._number(node)

    def _class(self, function: Hashable) -> int:
        return self.classes.setdefault(function, len(self.classes))

    def _number(self, node: Node) -> None:
        function: Hashable = node
        if node.kind == "update" and not self.graph.given(node):
            terms = [self._result(connection, source, node) for connection, source in self.graph.terms(node)]
            area, before, changes = self.graph.areas.area(node.name), self.graph.memory(node), self.graph.changes(node)
            random = area.body.random or any(placed.change.random for placed in changes)
            if not (area.per_step or random or area.statistics):
                carried = None if before is None else self.numbers[before]
                function = ("update", node.name, self.graph.segment(node.step), carried, changes, *terms)
            if self._class(function) not in self.first:
                self.readers.update(terms)
        elif node.kind == "evaluation" and not self.graph.given(node):
            connection, source = self.graph.evaluated(node)
            self._note_head(connection, self._class(node), source, node)
        self.numbers[node] = self._class(function)
        self.first.setdefault(self.numbers[node], node)

    def _result(self, connection: Connection, source: Node, reader: Node) -> int:
        """The number of the value that an update reads through a connection."""
        if source.kind == "evaluation":
            return self.numbers[source]
        alone: Hashable = reader if connection.transform.random else None
        ordinal = self.graph.ordinal(reader) if connection.per_step else 0
        segment = self._segment(source, reader)
        number = self._class(("result", connection.identifier, ordinal, alone, segment, self.numbers[source]))
        self._note_head(connection, number, source, reader)
        return number

    def _segment(self, source: Node, reader: Node) -> int:
        """The segment of gradients; what is made of a static image belongs to none, as it stands before the steps."""
        return -1 if self.graph.static(source) else self.graph.segment(reader.step)

    def _note_head(self, connection: Connection, number: int, source: Node, reader: Node) -> None:
        if connection.identifier in self.heads:
            self.results.setdefault(self._head(connection, source, reader), set()).add(number)

    def _head(self, connection: Connection, source: Node, reader: Node) -> int:
        head, segment = self.heads[connection.identifier].identifier, self._segment(source, reader)
        return self._class(("head", head, segment, self.numbers[source]))

    # ---- building ----------------------------------------------------------------

    def build(self) -> UnrolledGraph:
        graph = self.graph
        self.built = UnrolledGraph.of(graph.info)
        self.evaluations: dict[int, Node] = {}
        merged = dict(graph.info.merged)
        for node in graph:
            if node in self.numbers and self.first[self.numbers[node]] != node:
                merged[node] = self.first[self.numbers[node]]
                continue
            self._add(node)
        return self.built.noted(merged=merged)

    def _add(self, node: Node) -> None:
        reads: list[tuple[Node, tuple[Connection, ...], bool]] = []
        for source, _, data in self.graph.in_edges(node, data=True):
            reads += [(self._read(c, source, node), (c,), False) for c in data["connections"]]
            if data["memory"] or not data["connections"]:
                reads.append((self._same(source), (), data["memory"]))
        self.built.add_node(node, info=self.graph.node_info(node))
        for source, connections, memory in reads:
            self.built.add_read(source, node, connections, memory=memory)

    def _same(self, node: Node) -> Node:
        return self.first[self.numbers[node]] if node in self.numbers else node

    def _read(self, connection: Connection, source: Node, reader: Node) -> Node:
        """What a node reads instead of a value: an evaluation of the connection or of its head, if there is one."""
        if source.kind == "evaluation" or self.graph.given(reader):
            return self._same(source)
        read = self._head_read(connection, source, reader)
        if reader.kind == "evaluation" or not connection.transform.links:
            return read
        number = self._result(connection, source, reader)
        whole = read.kind == "evaluation" and len(self.heads[connection.identifier].links) == len(connection.transform)
        if self.readers[number] < 2 or whole:
            return read
        if number not in self.evaluations:
            self.evaluations[number] = self._evaluation(connection, read, reader, "")
        return self.evaluations[number]

    def _head_read(self, connection: Connection, source: Node, reader: Node) -> Node:
        """The evaluation of the connection's head, where several results are made of it."""
        if connection.identifier not in self.heads or len(self.results[self._head(connection, source, reader)]) < 2:
            return self._same(source)
        number = self._head(connection, source, reader)
        if number not in self.evaluations:
            self.evaluations[number] = self._evaluation(connection, self._same(source), reader, "head")
        return self.evaluations[number]

    def _evaluation(self, connection: Connection, source: Node, reader: Node, part: str) -> Node:
        node = Node("evaluation", connection.identifier, reader.step, reader.group, part)
        applied = self.heads[connection.identifier].chain if part else None
        self.built.add_node(node, info=NodeInfo(ordinal=self.graph.ordinal(reader), applied=applied))
        self.built.add_read(source, node, (connection,))
        return node
