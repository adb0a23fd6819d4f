"""The unrolled graph: one node for each update of an area, as a networkx DAG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Literal, NamedTuple

import networkx as nx

from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.notebook import Shown
from cortexgraph.unrolling.schedule import Groups, Order

__all__ = ["Loop", "Node", "Repeat", "UnrolledGraph"]

RANK = {"feedforward": 0, "lateral": 1, "feedback": 2}


class Node(NamedTuple):
    """A node of the unrolled graph.

    Attributes:
        kind: `image` (the frame of a step), `zero` (a state of zeros, as which a silent source counts under
            `zero_input`; its step is 0), `update` (of an area, in one group of one step), `drive` (what a connection
            makes of a value, for several updates to read; only after the pass `share`), `readout`, or `record` (an
            area's state at the end of a step, asked for by the user).
        name: the image, the area, the readout, or the identifier of the drive's connection.
        step: from 1; of a drive, that of the first update that reads it.
        group: index of the group within the step, for updates and drives.
    """

    kind: Literal["image", "zero", "update", "drive", "readout", "record"]
    name: str
    step: int
    group: int = 0

    def __str__(self) -> str:
        text = f"{self.name}@{self.step}"
        return text if self.kind in {"image", "zero", "update"} else f"{self.kind} {text}"


@dataclass(frozen=True)
class Repeat:
    """That an update or drive has the value of an earlier one, under conditions.

    Attributes:
        of: the earlier one.
        still: only where the image is static: the frames of a video differ.
        evaluation: only in evaluation: in training, each evaluation moves running averages.
    """

    of: Node
    still: bool = False
    evaluation: bool = False


@dataclass(frozen=True)
class Loop:
    """That some steps of a graph stand for a steady state that goes on: it was rolled into a loop.

    Attributes:
        first: the first step of the loop's body; steps before are as they are.
        period: number of steps in the body.
        times: how often the body runs. Steps after it stand in the graph as if it ran once.
        reach: number of steps back up to which a value is read by its distance in time. What is read from further
            back lies before the loop and is the same one each time.
        rates: number of live updates of each area in one run of the body.
    """

    first: int
    period: int
    times: int
    reach: int
    rates: Mapping[str, int]

    @property
    def last(self) -> int:
        """The last step of the body."""
        return self.first + self.period - 1

    @property
    def skipped(self) -> int:
        """Number of steps that the body stands for besides its own."""
        return self.period * (self.times - 1)


class UnrolledGraph(Shown, nx.DiGraph):  # type: ignore[misc]
    """Updates of areas over time, acyclic; an edge runs from a value to the update that reads it.

    Node data: `live` (False where the value is silent, ⊥) and, for updates, `ordinal` (1 for the area's first
    live update, and so on; 0 where silent). Edge data: `connections`, the active connections read along the edge, a
    tuple of `Connection`, and `memory`, whether the update continues from the old state; neither into readouts and
    records. Nodes are inserted in the order of execution. Passes add to this; see `docs/compiler.md`.

    Examples:
        >>> import cortexgraph as cg
        >>> unrolled = cg.unroll(cg.load("ventral"), steps=4)
        >>> [str(node) for node in unrolled.live_updates("IT")]
        ['IT@4']
    """

    @property
    def areas(self) -> AreaGraph:
        areas: AreaGraph = self.graph["areas"]
        return areas

    @property
    def steps(self) -> int:
        steps: int = self.graph["steps"]
        return steps

    @property
    def order(self) -> Order:
        order: Order = self.graph["order"]
        return order

    @property
    def groups(self) -> Groups:
        groups: Groups = self.graph["groups"]
        return groups

    @property
    def ordinals(self) -> dict[str, int]:
        """Number of live updates of each area up to T, before any pass."""
        ordinals: dict[str, int] = self.graph["ordinals"]
        return ordinals

    @property
    def sets(self) -> dict[str, int]:
        """Number of per-step parameter sets of each area and connection, by identifier: one for each live update.

        At least one, so that a state dict has the same parts whatever T is; of a connection to which others are
        tied, as many as the one that is read most often has updates.
        """
        sets: dict[str, int] = self.graph["sets"]
        return sets

    @property
    def readouts(self) -> tuple[Node, ...]:
        return tuple(node for node in self if node.kind == "readout")

    @property
    def records(self) -> tuple[Node, ...]:
        return tuple(node for node in self if node.kind == "record")

    def live(self, node: Node) -> bool:
        return bool(self.nodes[node]["live"])

    def ordinal(self, node: Node) -> int:
        ordinal: int = self.nodes[node].get("ordinal", 0)
        return ordinal

    @property
    def loop(self) -> Loop | None:
        """The steps that the pass `roll` made one; None for a graph that is not rolled."""
        loop: Loop | None = self.graph.get("loop")
        return loop

    def actual_step(self, step: int) -> int:
        """The step of time that a step of the graph is (of a loop's body, in its first run)."""
        return step if self.loop is None or step <= self.loop.last else step + self.loop.skipped

    def every_ordinal(self, node: Node) -> range:
        """The ordinals of all the updates that a live update stands for: one, or one for each run of a loop."""
        ordinal, loop = self.ordinal(node), self.loop
        if loop is None or node.step < loop.first:
            return range(ordinal, ordinal + 1)
        rate = loop.rates[node.name]
        if node.step > loop.last:
            ordinal += rate * (loop.times - 1)
            return range(ordinal, ordinal + 1)
        return range(ordinal, ordinal + rate * loop.times, rate)

    @property
    def shared(self) -> dict[Node, Node]:
        """Updates that the pass `share` found equal to an earlier one and left out, each with that one."""
        shared: dict[Node, Node] = self.graph.get("shared", {})
        return shared

    def repeat(self, node: Node) -> Repeat | None:
        """The earlier value that an update or drive equals under conditions, if there is one."""
        found: Repeat | None = self.nodes[node].get("repeat")
        return found

    def read(self, node: Node) -> bool:
        """Whether a readout depends on an update, whatever is recorded."""
        return bool(self.nodes[node].get("read", False))

    def counted(self, node: Node) -> frozenset[str]:
        """The connections whose evaluation for an update, or as a drive, moves running averages in training."""
        found: frozenset[str] = self.nodes[node].get("counted", frozenset())
        return found

    def counted_again(self, node: Node) -> frozenset[str]:
        """Those counted that read an image after the first: if it is static, they count no more."""
        found: frozenset[str] = self.nodes[node].get("again", frozenset())
        return found

    def folded(self, node: Node) -> bool:
        """Whether a value is computed for a batch of one, since it is the same for every image."""
        return node in self.graph.get("folded", ())

    def last_read(self, node: Node) -> int | None:
        """The last step that reads a value, after which it is let go; None if it is kept."""
        found: int | None = self.graph.get("last_read", {}).get(node)
        return found

    def noted(self, **notes: object) -> UnrolledGraph:
        """The same nodes and edges, with other notes about them."""
        other = copy(self)
        other.graph = self.graph | notes
        return other

    def updates(self, area: str | None = None) -> Iterator[Node]:
        """Updates of one area, or of all, in the order of execution."""
        return (node for node in self if node.kind == "update" and area in {None, node.name})

    def live_updates(self, area: str | None = None) -> Iterator[Node]:
        """Updates whose value is not silent."""
        return (node for node in self.updates(area) if self.live(node))

    def state(self, area: str, step: int) -> Node | None:
        """The update that holds the area's state at the end of a step, if it is in the graph."""
        groups = [index for index, group in enumerate(self.groups) if area in group]
        node = Node("update", area, step, groups[-1]) if groups else None
        return node if node in self else None

    def live_steps(self, area: str) -> tuple[int, ...]:
        """Steps at whose end the area is live."""
        states = (self.state(area, step) for step in range(1, self.steps + 1))
        return tuple(state.step for state in states if state is not None and self.live(state))

    def terms(self, node: Node) -> tuple[tuple[Connection, Node], ...]:
        """The connections that an update reads, drives and modulators, each with the live value that it reads.

        That value is a state, zeros or the image, or a `drive`: then the connection is evaluated already.
        """
        terms = [
            (connection, source)
            for source, _, data in self.in_edges(node, data=True)
            if self.live(source)
            for connection in data["connections"]
        ]
        return tuple(sorted(terms, key=lambda term: (RANK[term[0].kind], term[0].index)))

    def evaluation(self, drive: Node) -> tuple[Connection, Node]:
        """The connection that a drive evaluates, and the value that it reads."""
        for source, _, data in self.in_edges(drive, data=True):
            if data["connections"]:
                return data["connections"][0], source
        raise AssertionError(f"{drive} evaluates nothing")

    def memory(self, node: Node) -> Node | None:
        """The update whose state this update continues from; None if the area has no memory, or was silent."""
        for source, _, data in self.in_edges(node, data=True):
            if data.get("memory") and self.live(source):
                found: Node = source
                return found
        return None

    def read_area(self, node: Node) -> str:
        """The area that a readout or record reads."""
        if node.kind == "readout":
            return next(readout.source for readout in self.areas.readouts if readout.name == node.name)
        return node.name

    def live_past(self, ends: Iterable[Node]) -> set[Node]:
        """The live nodes among these, and all live ones on which their values depend: the backward light cone."""
        return self._live_cone(ends, self.predecessors)

    def live_future(self, starts: Iterable[Node]) -> set[Node]:
        """The live nodes among these, and all live ones that their values reach: the forward light cone."""
        return self._live_cone(starts, self.successors)

    def _live_cone(self, start: Iterable[Node], near: Callable[[Node], Iterator[Node]]) -> set[Node]:
        waiting = [node for node in start if self.live(node)]
        found = set(waiting)
        while waiting:
            fresh = [node for node in near(waiting.pop()) if node not in found and self.live(node)]
            found.update(fresh)
            waiting += fresh
        return found

    def from_image(self) -> set[Node]:
        """All nodes whose value can depend on the image."""
        shown = [node for node in self if node.kind == "image" and self.live(node)]
        found = set(shown)
        for node in self:
            if node not in found and any(source in found for source in self.predecessors(node)):
                found.add(node)
        return found

    def readout_steps(self, name: str) -> tuple[int, ...]:
        """The steps of time of a readout, in the order in which its logits are returned."""
        found: list[int] = []
        for node in self.readouts:
            if node.name == name:
                runs = (
                    self.loop.times if self.loop is not None and self.loop.first <= node.step <= self.loop.last else 1
                )
                period = self.loop.period if self.loop is not None else 0
                found += [self.actual_step(node.step) + run * period for run in range(runs)]
        return tuple(found if self.loop is None else sorted(found))

    def first_response(self, area: str) -> int | None:
        """First step at which the area is live; None if it stays silent up to T."""
        return next((node.step for node in self.live_updates(area)), None)
