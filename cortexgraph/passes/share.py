"""Share: compute equal values once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cortexgraph.graph import Area, Connection
from cortexgraph.unrolling import Node, Repeat, UnrolledGraph

__all__ = ["share"]


def share(graph: UnrolledGraph) -> UnrolledGraph:
    """Value numbering: updates and evaluations of connections that are the same function of the same values are one.

    What is equal for images and videos, in training and in evaluation, is computed once: the later update is left
    out (`UnrolledGraph.shared`), and a connection that several updates read from one value becomes a `drive`. What
    is equal only where the image is static, or only in evaluation, stays in the graph and is marked with a `Repeat`.

    Requires: nodes in the order of execution, and no drives: it runs once.
    Ensures: every value that is left is computed from the same values by the same parameters as before. Two values
    are the same function of the same values if they are of one area (or connection), read equal values through the
    same connections, continue from equal states, and use the same per-step sets. What draws anew at each evaluation
    (dropout) is never shared. Running averages move as before: an area whose body keeps them is shared in evaluation
    only, and so is a connection that keeps them, except for one and the same value, which counts once.
    """
    return _Sharing(graph).run()


class _Condition(NamedTuple):
    """What is known where code runs: that the image is static, and that it is evaluation."""

    still: bool
    evaluation: bool


CONDITIONS = (
    _Condition(still=False, evaluation=False),
    _Condition(still=True, evaluation=False),
    _Condition(still=False, evaluation=True),
    _Condition(still=True, evaluation=True),
)
"""From the weakest on: what is equal under the first is equal under all."""


class _Term(NamedTuple):
    """A connection that an update reads, with what it reads, and the numbers of the result under each condition."""

    connection: Connection
    source: Node
    numbers: tuple[int, ...]


@dataclass
class _Numbering:
    """Numbers of values under one condition: equal numbers, equal values.

    Attributes:
        condition: the condition.
        numbers: of each node so far.
        classes: the number of each function of numbers.
        latest: for each number, the latest node in the new graph that has it.
    """

    condition: _Condition
    numbers: dict[Node, int] = field(default_factory=dict)
    classes: dict[Hashable, int] = field(default_factory=dict)
    latest: dict[int, Node] = field(default_factory=dict)

    def number(self, value: Hashable) -> int:
        return self.classes.setdefault(value, len(self.classes))

    def of_image(self, node: Node) -> int:
        return self.number(("image", 0 if self.condition.still else node.step))

    def of_term(self, connection: Connection, source: Node, ordinal: int) -> int:
        """Of a connection's evaluation. One that moves running averages must read the very same value, in training."""
        known: Hashable = self.numbers[source]
        if connection.averages and not self.condition.evaluation and source.kind != "image":
            known = source
        return self.number(("term", connection.identifier, ordinal if connection.per_step else 0, known))


class _Sharing:
    """One run of the pass: numbers every value, then builds the graph anew."""

    def __init__(self, graph: UnrolledGraph) -> None:
        self.graph = graph
        keepers: list[Area | Connection] = [*graph.areas.areas, *graph.areas.connections]
        moving = any(keeper.averages and not keeper.per_step for keeper in keepers)  # sets per step are apart anyway
        self.numberings = [_Numbering(known) for known in CONDITIONS if moving or not known.evaluation]
        self.terms: dict[Node, list[_Term]] = {}
        self.before: dict[Node, Node | None] = {}
        self.read: list[Counter[int]] = [Counter() for _ in self.numberings]

    def run(self) -> UnrolledGraph:
        repeats: dict[Node, Repeat] = {}
        for node in self.graph:
            if not self.graph.live(node):
                continue
            if node.kind == "update":
                if (found := self._numbered(node)) is not None:
                    repeats[node] = found
            elif node.kind in {"image", "zero"}:
                for numbering in self.numberings:
                    numbering.numbers[node] = (
                        numbering.of_image(node) if node.kind == "image" else numbering.number(("zero", node.name))
                    )
        return self._built(repeats)

    # ---- numbering ---------------------------------------------------------

    def _numbered(self, node: Node) -> Repeat | None:
        """Number an update under every condition; the earlier update that it equals under the weakest."""
        graph, ordinal = self.graph, self.graph.ordinal(node)
        terms = [
            _Term(c, source, tuple(numbering.of_term(c, source, ordinal) for numbering in self.numberings))
            for c, source in graph.terms(node)
        ]
        self.terms[node], self.before[node] = terms, graph.memory(node)
        area = graph.areas.area(node.name)
        unique = area.per_step or area.body.random or any(term.connection.transform.random for term in terms)
        found: Repeat | None = None
        for n, numbering in enumerate(self.numberings):
            alone = unique or (area.averages and not numbering.condition.evaluation)
            number = numbering.number(node if alone else self._function(node, n))
            numbering.numbers[node] = number
            if found is None and number in numbering.latest:
                found = self._repeat(node, numbering.latest[number], numbering.condition)
        if found is None or found.still or found.evaluation:
            for numbering in self.numberings:
                numbering.latest[numbering.numbers[node]] = node
        if found is None:
            self._count(terms)
        return found

    def _repeat(self, node: Node, of: Node, condition: _Condition) -> Repeat | None:
        """The repetition, if what counts for running averages does so where the earlier update is computed as well."""
        lost = self.graph.counted(node) - self.graph.counted(of)
        return None if condition.still and not condition.evaluation and lost else Repeat(of, *condition)

    def _function(self, node: Node, n: int) -> Hashable:
        """What an update computes, in numbers under the n-th condition."""
        before = self.before[node]
        continues = None if before is None else self.numberings[n].numbers[before]
        return ("function", node.name, continues, *(term.numbers[n] for term in self.terms[node]))

    def _count(self, terms: list[_Term]) -> None:
        """Note what is evaluated, to know what is evaluated more than once."""
        for term in terms:
            if not term.connection.transform.random:
                for read, number in zip(self.read, term.numbers, strict=True):
                    read[number] += 1

    # ---- building ----------------------------------------------------------

    def _built(self, repeats: dict[Node, Repeat]) -> UnrolledGraph:
        graph = self.graph
        built = UnrolledGraph(**graph.graph)
        shared = dict(graph.shared)
        drives = _Drives(self.numberings, self.read)
        for node, data in graph.nodes(data=True):
            repeat = repeats.get(node)
            if repeat is not None and not repeat.still and not repeat.evaluation:
                shared[node] = repeat.of
                _add_counts(built, repeat.of, data)
                continue
            if repeat is None and node in self.terms:
                for drive, term in drives.of(node, self.terms[node], graph):
                    _add_drive(built, drive, shared.get(term.source, term.source), term.connection, drives)
            built.add_node(node, **data, **({} if repeat is None else {"repeat": repeat}))
            for source, _, edge in graph.in_edges(node, data=True):
                _add_edges(built, source, node, edge, shared, drives.read.get(node, {}))
            if repeat is not None:
                _add_edge(built, repeat.of, node, (), memory=False)
        for drive, counted in drives.counted.items():
            built.nodes[drive]["counted"] = frozenset({drive.name} if counted else ())
            built.nodes[drive]["again"] = frozenset({drive.name} if drive in drives.again else ())
        built.graph["shared"] = shared
        return built


class _Drives:
    """Which connections' evaluations become nodes: those that are read again."""

    def __init__(self, numberings: list[_Numbering], read: list[Counter[int]]) -> None:
        self.numberings = numberings
        self.counts = read
        self.latest: list[dict[int, Node]] = [{} for _ in numberings]
        self.repeat: dict[Node, Repeat] = {}
        self.read: dict[Node, dict[str, Node]] = {}
        self.counted: dict[Node, bool] = {}
        self.again: set[Node] = set()

    def of(self, node: Node, terms: list[_Term], graph: UnrolledGraph) -> Iterator[tuple[Node, _Term]]:
        """The new drives of an update; `read` holds all that it reads, by connection."""
        again = [term for term in terms if self._comes_again(term)]
        if any(term.connection.averages for term in again):  # so that running averages move in the order of the terms
            again = [t for t in terms if t in again or (t.connection.averages and not t.connection.transform.random)]
        for term in again:
            counts = term.connection.identifier in graph.counted(node)
            earlier = self._earlier(term, counts)
            if earlier is not None and not earlier.still and not earlier.evaluation:
                self.read.setdefault(node, {})[term.connection.identifier] = earlier.of
                self.counted[earlier.of] |= counts
                continue
            drive = Node("drive", term.connection.identifier, node.step, node.group)
            self.counted[drive] = counts
            if term.connection.identifier in graph.counted_again(node):
                self.again.add(drive)
            self.read.setdefault(node, {})[term.connection.identifier] = drive
            if earlier is not None:
                self.repeat[drive] = earlier
            for latest, number in zip(self.latest, term.numbers, strict=True):
                latest[number] = drive
            yield drive, term

    def _comes_again(self, term: _Term) -> bool:
        again = any(counts[number] > 1 for counts, number in zip(self.counts, term.numbers, strict=True))
        return again and not term.connection.transform.random

    def _earlier(self, term: _Term, counts: bool) -> Repeat | None:
        for numbering, latest, number in zip(self.numberings, self.latest, term.numbers, strict=True):
            if number in latest:
                always = not (numbering.condition.still or numbering.condition.evaluation)
                if always or numbering.condition.evaluation or self.counted[latest[number]] >= counts:
                    return Repeat(latest[number], *numbering.condition)
        return None


def _add_drive(built: UnrolledGraph, drive: Node, source: Node, connection: Connection, drives: _Drives) -> None:
    repeat = drives.repeat.get(drive)
    built.add_node(drive, live=True, **({} if repeat is None else {"repeat": repeat}))
    _add_edge(built, source, drive, (connection,), memory=False)
    if repeat is not None:
        _add_edge(built, repeat.of, drive, (), memory=False)


def _add_counts(built: UnrolledGraph, node: Node, data: dict[str, Any]) -> None:
    """What counted at an update that is left out counts at the one that stands for it."""
    known = built.nodes[node]
    known["read"] = known.get("read", False) or data.get("read", False)
    for what in ("counted", "again"):
        if data.get(what):
            known[what] = known.get(what, frozenset()) | data[what]


def _add_edges(
    built: UnrolledGraph,
    source: Node,
    node: Node,
    edge: dict[str, Any],
    shared: dict[Node, Node],
    drives: dict[str, Node],
) -> None:
    """An edge of the old graph: from the value that stands for its source, and from the drives along it."""
    direct = tuple(connection for connection in edge["connections"] if connection.identifier not in drives)
    for connection in edge["connections"]:
        if connection.identifier in drives:
            _add_edge(built, drives[connection.identifier], node, (connection,), memory=False)
    if direct or edge["memory"] or not edge["connections"]:
        _add_edge(built, shared.get(source, source), node, direct, memory=edge["memory"])


def _add_edge(
    built: UnrolledGraph, source: Node, target: Node, connections: tuple[Connection, ...], *, memory: bool
) -> None:
    """Add an edge, or add to it: values that were two may have become one."""
    if built.has_edge(source, target):
        known = built.edges[source, target]
        connections, memory = (*known["connections"], *connections), known["memory"] or memory
    built.add_edge(source, target, connections=connections, memory=memory)
