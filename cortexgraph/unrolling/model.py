"""The unrolled graph: one node for each update of an area, as a networkx DAG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import networkx as nx

from cortexgraph.graph import AreaGraph, Connection, Placed, Readout
from cortexgraph.notebook import Shown
from cortexgraph.ops import Chain

Order = str | tuple[str | tuple[str, ...], ...]
"""Of the updates within a step: `simultaneous`, `sequential`, or groups of areas."""

Groups = tuple[tuple[str, ...], ...]

RANK = {"feedforward": 0, "lateral": 1, "feedback": 2}


class Node(NamedTuple):
    """A node of the unrolled graph.

    Attributes:
        kind: `image` (the frame of an input at a step), `zero` (a state of zeros, which a silent source counts as under
            `zero_input`; its step is 0), `update` (of an area, in one group of one step), `evaluation` (the result of a
            connection, or of the first operations of its transform, that several readers use; only after `settle`),
            `readout`, `record` (an area's state at the end of a step, requested by the user), or `state` (what a
            piece of a stream leaves to the next; its step is the next).
        name: the input, the area, the readout, or the identifier of the evaluated connection; of a state, whether it
            is what others read, `visible`, or what the cells keep, `hidden`.
        step: from 1; of an evaluation, that of the first update that reads it.
        group: index of the group within the step, for updates and evaluations.
        part: `head` for the first operations of a connection's transform alone; `start` for a zero that is the area's
            start state, which may be learned; otherwise empty.
    """

    kind: Literal["image", "zero", "update", "evaluation", "readout", "record", "state"]
    name: str
    step: int
    group: int = 0
    part: str = ""

    def __str__(self) -> str:
        text = f"{self.name}@{self.step}"
        return text if self.kind in {"image", "zero", "update"} else f"{self.part or self.kind} {text}"


@dataclass(frozen=True)
class NodeInfo:
    """What is known of a node.

    Attributes:
        live: False where the value is silent (⊥).
        ordinal: of an update, 1 for the area's first live update, and so on; 0 where silent.
        held: of an update that is not carried out, the earlier update whose value stays.
        applied: of the evaluation of a head, its operations.
    """

    live: bool = True
    ordinal: int = 0
    held: Node | None = None
    applied: Chain | None = None


Part = tuple[Node, str]
"""A value that a stream carries: its node, and the visible state `h` or a hidden one of the cell."""


@dataclass(frozen=True)
class Piece:
    """What makes an unrolled graph a piece of a stream.

    Attributes:
        first: its first step.
        since: the step since which its static images have been shown.
        takes: the values that it takes over from the piece before.
        leaves: the values that it leaves to the next.
    """

    first: int = 1
    since: int = 1
    takes: tuple[Part, ...] = ()
    leaves: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Loop:
    """A steady state: some steps repeat, and are written as a loop.

    Attributes:
        first: the first step of the loop.
        period: number of steps in its body.
        times: how often the body runs.
        shown: how many of these runs stand in the graph; the steps after the loop follow the last of them.
        rates: number of live updates of each area in one run of the body.
    """

    first: int
    period: int
    times: int
    shown: int
    rates: Mapping[str, int]

    @property
    def last(self) -> int:
        """The last step of the body, in its first run."""
        return self.first + self.period - 1

    @property
    def end(self) -> int:
        """The step of the graph that follows the loop."""
        return self.first + self.period * self.shown

    @property
    def skipped(self) -> int:
        """Number of steps of the loop that are not in the graph."""
        return self.period * (self.times - self.shown)


@dataclass(frozen=True)
class UnrolledInfo:
    """What is known of an unrolled graph as a whole.

    Attributes:
        areas: the network.
        steps: number of steps T.
        order: of the updates within a step, as the spec has it.
        groups: the same as groups of areas.
        videos: the inputs of which each step reads its own frame; the others are static.
        live_updates: for each area, its number of live updates up to the end of each step of the graph.
        loop: the steady state that the pass `roll` found.
        constant: values that are the same for every image, computed for a batch of one.
        releases: whether values are deleted after their last use.
        merged: updates that a pass found equal to an earlier one and left out, each with that one.
        piece: of a piece of a stream, where it begins and what it carries; its last step is `steps`.
        tbptt: after how many steps gradients are cut, counted from the end of the warm-up.
    """

    areas: AreaGraph
    steps: int
    order: Order
    groups: Groups
    videos: frozenset[str] = frozenset()
    live_updates: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    loop: Loop | None = None
    constant: frozenset[Node] = frozenset()
    releases: bool = False
    merged: Mapping[Node, Node] = field(default_factory=dict)
    piece: Piece | None = None
    tbptt: int | None = None


class UnrolledGraph(Shown, nx.DiGraph):  # type: ignore[misc]
    """Updates of areas over time, acyclic; an edge runs from a value to the update that reads it.

    `info` holds what is known of the graph (`UnrolledInfo`), and the data `info` of each node what is known of it
    (`NodeInfo`). Edge data: `connections`, the active connections read along the edge, a tuple of `Connection`, and
    `memory`, whether the update continues from the old state. A held update has one edge, from the update whose
    value stays. Nodes are inserted in the order of execution.

    Examples:
        >>> import cortexgraph as cg
        >>> unrolled = cg.unroll(cg.load("ventral"), steps=4)
        >>> [str(node) for node in unrolled.live_updates("IT")]
        ['IT@4']
    """

    # ---- the whole graph -----------------------------------------------------

    def __repr__(self) -> str:
        updates = sum(1 for node in self if node.kind == "update")
        return f"<UnrolledGraph {self.areas.name}: {updates} updates in {self.steps} steps, {len(self)} nodes>"

    @classmethod
    def of(cls, info: UnrolledInfo) -> UnrolledGraph:
        """A graph without nodes."""
        return cls(name=info.areas.spec.name, info=info)

    @property
    def info(self) -> UnrolledInfo:
        info: UnrolledInfo = self.graph["info"]
        return info

    def noted(self, **changes: Any) -> UnrolledGraph:
        """The same nodes and edges, with other `info`."""
        other = type(self)()
        other.__dict__.update(self.__dict__)
        other.graph = self.graph | {"info": replace(self.info, **changes)}
        return other

    @property
    def areas(self) -> AreaGraph:
        return self.info.areas

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return self.info.steps

    @property
    def order(self) -> Order:
        return self.info.order

    @property
    def groups(self) -> Groups:
        return self.info.groups

    @property
    def videos(self) -> frozenset[str]:
        """The inputs of which each step reads its own frame; the others are static."""
        return self.info.videos

    @property
    def video(self) -> bool:
        """Whether each step reads a frame of its own, of one input at least."""
        return bool(self.videos)

    def static(self, node: Node) -> bool:
        """Whether a node is a static image, one value for all steps."""
        return node.kind == "image" and node.name not in self.videos

    @property
    def first(self) -> int:
        """The first step: 1, or a later one in a piece of a stream."""
        return 1 if self.info.piece is None else self.info.piece.first

    @property
    def loop(self) -> Loop | None:
        """The steady state that is written as a loop, if there is one."""
        return self.info.loop

    @property
    def clock(self) -> int:
        """Number of steps that stand in the graph: T, or fewer where a loop stands for the others."""
        return self.steps - (self.loop.skipped if self.loop is not None else 0)

    @property
    def ordinals(self) -> dict[str, int]:
        """Number of live updates of each area up to T."""
        totals = {name: counts[-1] for name, counts in self.info.live_updates.items()}
        if self.loop is None:
            return totals
        return {n: count + self.loop.rates[n] * (self.loop.times - self.loop.shown) for n, count in totals.items()}

    @property
    def sets(self) -> dict[str, int]:
        """Number of per-step parameter sets of each area and connection, by identifier: one for each live update.

        At least one, so that a state dict has the same parts whatever T is; of a connection to which others are
        tied, as many as the one that is read most often has updates.
        """
        ordinals = self.ordinals
        sets = {area.identifier: max(1, ordinals[area.name]) for area in self.areas.areas}
        for connection in self.areas.connections:
            for identifier in {connection.identifier, connection.owner or connection.identifier}:
                sets[identifier] = max(1, ordinals[connection.target], sets.get(identifier, 0))
        return sets

    def segment(self, step: int) -> int:
        """The stretch of steps through which gradients flow back: 0 is the warm-up, in which there are none.

        No value of a segment stands for one of another: what is computed alike in both is computed again.
        """
        beyond = step - self.areas.spec.time.warmup
        return 0 if beyond <= 0 else 1 if self.info.tbptt is None else 1 + (beyond - 1) // self.info.tbptt

    def detached(self, source: Node, reader: Node) -> bool:
        """Whether the gradient is cut between a state and its reader."""
        return source.kind == "update" and 0 < self.segment(source.step) < self.segment(reader.step)

    # ---- nodes ---------------------------------------------------------------

    def node_info(self, node: Node) -> NodeInfo:
        info: NodeInfo = self.nodes[node]["info"]
        return info

    def live(self, node: Node) -> bool:
        """Whether a node has a value, so that it is not silent."""
        return self.node_info(node).live

    def ordinal(self, node: Node) -> int:
        return self.node_info(node).ordinal

    def held(self, node: Node) -> Node | None:
        """Of an update that is not carried out, the earlier update whose value stays."""
        return self.node_info(node).held

    def given(self, node: Node) -> bool:
        """Whether an earlier piece of a stream made the value."""
        return node.step < self.first and node.kind != "zero"

    def origin(self, node: Node) -> Node:
        """The node that makes a live node's value: the first one of a held state, or of a static image."""
        since = 1 if self.info.piece is None else self.info.piece.since
        if self.static(node) and node.step >= since:
            shown = (image for image in self.images if image.name == node.name and image.step >= since)
            return next(image for image in shown if self.live(image))
        return self.held(node) or node

    def carried_out(self, node: Node) -> bool:
        """Whether an update is live and computed."""
        return self.live(node) and self.held(node) is None

    def constant(self, node: Node) -> bool:
        """Whether a value is computed for a batch of one, since it is the same for every image."""
        return node in self.info.constant

    def updates(self, area: str | None = None) -> Iterator[Node]:
        """Updates of one area, or of all, in the order of execution."""
        return (node for node in self if node.kind == "update" and area in {None, node.name})

    def live_updates(self, area: str | None = None) -> Iterator[Node]:
        """Updates whose value is not silent, held ones included."""
        return (node for node in self.updates(area) if self.live(node))

    @cached_property
    def images(self) -> tuple[Node, ...]:
        """The frames, in their order."""
        return tuple(node for node in self if node.kind == "image")

    @property
    def readouts(self) -> tuple[Node, ...]:
        return tuple(node for node in self if node.kind == "readout")

    @property
    def records(self) -> tuple[Node, ...]:
        return tuple(node for node in self if node.kind == "record")

    def state(self, area: str, step: int) -> Node | None:
        """The update that holds the area's state at the end of a step, if it is in the graph."""
        groups = [index for index, group in enumerate(self.groups) if area in group]
        node = Node("update", area, step, groups[-1]) if groups else None
        return node if node in self else None

    def live_steps(self, area: str) -> tuple[int, ...]:
        """Steps at whose end the area is live."""
        states = (self.state(area, step) for step in range(self.first, self.clock + 1))
        return tuple(state.step for state in states if state is not None and self.live(state))

    def first_response(self, area: str) -> int | None:
        """First step at which the area is live; None if it stays silent up to T."""
        return next((node.step for node in self.live_updates(area)), None)

    # ---- what is read ----------------------------------------------------------

    def terms(self, node: Node) -> tuple[tuple[Connection, Node], ...]:
        """The connections that an update reads, drives and modulators, each with the live value that it reads.

        That value is a state, zeros or an image, or an `evaluation`.
        """
        terms = [
            (connection, source)
            for source, _, data in self.in_edges(node, data=True)
            if self.live(source)
            for connection in data["connections"]
        ]
        return tuple(sorted(terms, key=lambda term: (RANK[term[0].kind], term[0].index)))

    def evaluated(self, node: Node) -> tuple[Connection, Node]:
        """The connection that an evaluation evaluates, and the value that it reads."""
        ((source, _, data),) = self.in_edges(node, data=True)
        return data["connections"][0], source

    def applied(self, node: Node) -> Chain:
        """The operations that an evaluation applies to the value: of a head, only the first of the transform."""
        applied = self.node_info(node).applied
        return self.evaluated(node)[0].transform if applied is None else applied

    def memory(self, node: Node) -> Node | None:
        """The update whose state this update continues from; None if the area has no memory, or was silent."""
        for source, _, data in self.in_edges(node, data=True):
            if data["memory"] and self.live(source):
                update: Node = source
                return update
        return None

    def add_read(
        self, source: Node, target: Node, connections: tuple[Connection, ...] = (), *, memory: bool = False
    ) -> None:
        """Add an edge, or add to it: values that were two may have become one."""
        if self.has_edge(source, target):
            known = self.edges[source, target]
            connections, memory = (*known["connections"], *connections), known["memory"] or memory
        self.add_edge(source, target, connections=connections, memory=memory)

    def changes(self, node: Node) -> tuple[Placed, ...]:
        """The interventions on an update's state, and on what its connections carry to it."""
        if not self.areas.interventions:
            return ()
        identifiers = [self.areas.area(node.name).identifier, *(c.identifier for c, _ in self.terms(node))]
        return tuple(placed for identifier in identifiers for placed in self.areas.changes(identifier, node.step))

    # ---- light cones -------------------------------------------------------------

    def live_past(self, ends: Iterable[Node]) -> set[Node]:
        """The live nodes among these, and all live ones on which their values depend: the backward light cone."""
        return self._live_cone(ends, self.predecessors)

    def live_future(self, starts: Iterable[Node]) -> set[Node]:
        """The live nodes among these, and all live ones that their values reach: the forward light cone."""
        return self._live_cone(starts, self.successors)

    def _live_cone(self, start: Iterable[Node], near: Callable[[Node], Iterator[Node]]) -> set[Node]:
        waiting = [node for node in start if self.live(node)]
        reached = set(waiting)
        while waiting:
            fresh = [node for node in near(waiting.pop()) if node not in reached and self.live(node)]
            reached.update(fresh)
            waiting += fresh
        return reached

    def from_image(self) -> set[Node]:
        """All nodes whose value can depend on an input."""
        return self.live_future(node for node in self if node.kind == "image")

    # ---- time in a loop ----------------------------------------------------------

    def every_step(self, node: Node) -> range:
        """The steps of time that a node stands for: one, or in a loop's body one for each run."""
        loop = self.loop
        if loop is None or node.step < loop.first:
            return range(node.step, node.step + 1)
        if node.step <= loop.last:
            return range(node.step, node.step + loop.period * loop.times, loop.period)
        return range(node.step + loop.skipped, node.step + loop.skipped + 1)

    def every_ordinal(self, node: Node) -> range:
        """The ordinals of the updates that a live update stands for: one, or in a loop's body one for each run."""
        ordinal, loop = self.ordinal(node), self.loop
        if loop is None or node.step < loop.first:
            return range(ordinal, ordinal + 1)
        rate = loop.rates[node.name]
        if node.step <= loop.last and rate:
            return range(ordinal, ordinal + rate * loop.times, rate)
        last = ordinal + (rate * (loop.times - loop.shown) if node.step >= loop.end else 0)
        return range(last, last + 1)

    def sets_used(self, nodes: Iterable[Node]) -> dict[str, set[int]]:
        """For each area and connection that these updates use, by identifier, the ordinals of those carried out.

        With them go the per-step parameter sets; those of a tied connection count for its owner too.
        """
        used: dict[str, set[int]] = {}
        for node in nodes:
            if node.kind == "update" and self.carried_out(node):
                identifiers = {self.areas.area(node.name).identifier}
                identifiers |= {name for c, _ in self.terms(node) for name in (c.identifier, c.owner or c.identifier)}
                for identifier in identifiers:
                    used.setdefault(identifier, set()).update(self.every_ordinal(node))
        return used

    def whole(self, readout: Readout) -> bool:
        """Whether all steps of a readout lie in the graph, which may be a piece of a stream."""
        at = range(1, self.areas.spec.time.steps + 1) if isinstance(readout.at, str) else readout.at
        return self.info.piece is None or (self.first <= min(at) and max(at) <= self.steps)

    def written(self, node: Node) -> bool:
        """Whether a node is written out: all are, but for the runs of a loop after its first."""
        return self.loop is None or not self.loop.last < node.step < self.loop.end

    def readout_steps(self, name: str) -> tuple[int, ...]:
        """The steps of time of a readout, in the order in which its logits are returned."""
        readout = next(readout for readout in self.areas.readouts if readout.name == name)
        if readout.over_time == "concat" and not self.whole(readout):
            return ()
        if isinstance(readout.at, tuple):
            return tuple(step for step in readout.at if self.first <= step <= self.steps)
        shown = [node for node in self.readouts if node.name == name and self.written(node)]
        return tuple(sorted(step for node in shown for step in self.every_step(node)))


def trained_sets(graph: UnrolledGraph) -> dict[str, set[int]]:
    """The ordinals of the updates that a readout reaches with a gradient, by area and connection (`sets_used`)."""
    return graph.sets_used(node for node in graph.live_past(graph.readouts) if graph.segment(node.step))


# ---- groups, and what is legal ---------------------------------------------------


def groups_of(graph: AreaGraph, order: Order) -> Groups:
    """Groups of area names; within a group every read happens before any write, and groups run one by one.

    `simultaneous` is one group of all areas, `sequential` one group for each area from low to high; an explicit
    order is taken as written, where a bare name is a group of one.
    """
    names = tuple(area.name for area in graph.areas)
    if order == "simultaneous":
        return (names,)
    if order == "sequential":
        return tuple((name,) for name in names)
    return tuple((group,) if isinstance(group, str) else tuple(group) for group in order)


def order_name(order: Order) -> str:
    """The order in words, for headings."""
    if isinstance(order, str):
        return order
    groups = ((group,) if isinstance(group, str) else group for group in order)
    return ", ".join(group[0] if len(group) == 1 else f"({' '.join(group)})" for group in groups)


def verify(graph: UnrolledGraph) -> UnrolledGraph:
    """The graph itself, if it is legal.

    Raises AssertionError, which would be a fault of cortexgraph, for an edge against the order of execution (so that a
    cycle is impossible), an edge whose connections do not join its ends, or, where silence is skipped, a live update
    that reads nothing live.
    """
    position = {node: -1 if node.kind == "zero" else n for n, node in enumerate(graph)}
    for source, target, data in graph.edges(data=True):
        if position[source] >= position[target]:
            raise AssertionError(f"{source} is read by {target} before it is computed")
        for connection in data["connections"]:
            ends = ((connection.source, source), (connection.target, target))
            if any(node.kind != "evaluation" and node.name != name for name, node in ends):
                raise AssertionError(f"{connection.label} does not join {source} and {target}")
    silences = {connection.silence for connection in graph.areas.connections} | {graph.areas.silence}
    for node in graph.live_updates() if silences == {"skip"} else ():
        if not graph.given(node) and not any(graph.live(source) for source in graph.predecessors(node)):
            raise AssertionError(f"{node} is live but reads nothing live")
    return graph
