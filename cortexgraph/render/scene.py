"""What a drawing of an unrolled graph shows: which nodes, in which columns, and the state of each."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from math import sqrt
from typing import Literal

from cortexgraph.passes import statuses
from cortexgraph.render.style import elide, is_inhibitory, residual_blocks, text_width
from cortexgraph.render.update_layout import NAME_SIZE, Grid
from cortexgraph.unrolling import Loop, Node, UnrolledGraph, response_path

LONGEST_PERIOD = 6
BESIDE_SIZE = 8.5
"""Of names at the left of rows."""


@dataclass(frozen=True)
class Span:
    """A column of the drawing: one step, or several that repeat with a period."""

    first: int
    last: int
    period: int = 1

    @property
    def folded(self) -> bool:
        return self.last > self.first

    @property
    def repeats(self) -> int:
        return (self.last - self.first) // self.period + 1

    @property
    def key(self) -> str:
        """Its steps as ids and classes give them: `3`, or `7-99`."""
        return str(self).replace("–", "-")

    def __str__(self) -> str:
        return f"{self.first}–{self.last}" if self.folded else str(self.first)


def _columns(
    graph: UnrolledGraph, status: Mapping[Node, str], nodes: Sequence[Node], least: int | None
) -> tuple[Span, ...]:
    """The columns of a drawing of some nodes, from their first to their last step.

    A run of steps in which the same is computed from the same keeps its first and its last repetition; those between
    are folded into one column, if there are at least `least` of them (None: nothing is folded).
    """
    first, last = min(node.step for node in nodes), max(node.step for node in nodes)
    if least is None:
        return tuple(Span(step, step) for step in range(first, last + 1))
    looks = _looks(graph, status, nodes)
    signs = [looks.get(step, frozenset()) for step in range(first, last + 1)]
    spans: list[Span] = []
    at = 0
    while at < len(signs):
        period, repeats = _run(signs, at, least + 2)
        head, tail = at + period, at + period * (repeats - 1)
        if repeats >= least + 2:
            spans += [Span(first + n, first + n) for n in range(at, head)]
            spans.append(Span(first + head, first + tail - 1, period))
            spans += [Span(first + n, first + n) for n in range(tail, tail + period)]
            at = tail + period
        else:
            spans.append(Span(first + at, first + at))
            at += 1
    return tuple(spans)


def _run(signs: Sequence[Hashable], start: int, enough: int) -> tuple[int, int]:
    """Period and number of repetitions of the run that begins here: the shortest period that repeats enough."""
    for period in range(1, LONGEST_PERIOD + 1):
        end = start + period
        while end < len(signs) and signs[end] == signs[end - period]:
            end += 1
        if (end - start) // period >= enough:
            return period, (end - start) // period
    return 1, 1


def _looks(
    graph: UnrolledGraph, status: Mapping[Node, str], nodes: Sequence[Node]
) -> dict[int, frozenset[tuple[Hashable, ...]]]:
    """What is drawn in each step, relative to the step: nodes with their status, and what each reads."""
    shown, looks = set(nodes), dict[int, set[tuple[Hashable, ...]]]()
    for node in nodes:
        look = looks.setdefault(node.step, set())
        look.add((node.kind, node.name, node.group, status[node]))
        for source, _, data in graph.in_edges(node, data=True):
            if source in shown:
                read = tuple(connection.identifier for connection in data["connections"])
                ends = (source.kind, source.name, source.group, node.step - source.step, node.kind, node.name)
                look.add((*ends, node.group, status[source], read, data["memory"]))
    return {step: frozenset(look) for step, look in looks.items()}


Fold = Literal["auto", "always", "never"]
FOLDS = {"auto": 3, "always": 1, "never": None}
"""How many repetitions must be hidden at least for a fold."""

MANY_READS = 36
"""For each column; with more, lines are thinner."""

WIDEST = 900.0
"""In points: a wider drawing would be illegible on a page, so its steps are folded."""


@dataclass(frozen=True)
class Read:
    """An arrow: what kind of read it is, by which connections, and whether it is evaluated.

    Attributes:
        kind: of the first connection, or `memory`, or `readout`.
        connections: their identifiers.
        modulating: whether one of them is a gate.
        inhibitory: whether all of them have a negative gain.
        executed: whether it is evaluated.
        response: whether it carries the first response.
    """

    kind: str
    connections: tuple[str, ...]
    modulating: bool
    inhibitory: bool
    executed: bool
    response: bool


@dataclass(frozen=True)
class Scene:
    """Nodes with their places: `shown` is a graph like an unrolled one, whose steps are the columns of the drawing.

    Attributes:
        full: the graph that is drawn, with its true steps.
        shown: the graph of what is drawn; a node's step is its column, from 1.
        columns: the steps of each column.
        status: of each node of `full`: `executed`, `shared`, `silent` or `unread`.
        origin: for each node of `shown` the node of `full` that it stands for; in a folded column the first of them.
        reads: for each edge of `shown` what it is.
        response: the nodes of `shown` that carry the first response of a readout's area.
        after_passes: whether `status` says what the passes left of the graph; if not, every live update is `executed`.
        room: how wide the drawing may be, in points.
    """

    full: UnrolledGraph
    shown: UnrolledGraph
    columns: tuple[Span, ...]
    status: Mapping[Node, str]
    origin: Mapping[Node, Node]
    reads: Mapping[tuple[Node, Node], Read]
    response: Collection[Node]
    after_passes: bool
    room: float | None = None

    def status_of(self, node: Node) -> str:
        return self.status[self.origin[node]]

    def span(self, node: Node) -> Span:
        return self.columns[node.step - 1]

    @cached_property
    def thin(self) -> float:
        """Share of the usual line width: less than 1 where arrows are many."""
        share = MANY_READS * len(self.columns) / max(1, len(self.reads))
        return max(0.5, min(1.0, sqrt(share)))

    @cached_property
    def residual(self) -> set[str]:
        """The areas with residual blocks."""
        areas = self.full.areas
        return {area.name for area in areas.areas if residual_blocks(areas, area.name)}

    @cached_property
    def beside(self) -> dict[str, list[str]]:
        """The names, in lines, of rows whose boxes do not show them: too long, or silent at every step."""
        seen = [node for node in self.shown if self.status_of(node) != "silent" and not self.span(node).folded]
        shown = {node.name for node in seen if node.kind in {"image", "update"}}
        rows, width = Grid(self.shown).rows, Grid(self.shown).width - 4
        hidden = [name for name in rows if name not in shown or elide(name, NAME_SIZE, width) != name]
        return {name: textwrap.wrap(name, 16) for name in hidden}

    @cached_property
    def grid(self) -> Grid:
        """Where everything stands: in as few lines as fit into the room, evenly filled."""
        grid = Grid(self.shown, headings=2 if any(span.folded for span in self.columns) else 1)
        if self.room is None:
            return grid
        lines = [text_width(line, BESIDE_SIZE) + 6 for name in self.beside.values() for line in name]
        space, groups = self.room - max(lines, default=0.0), grid.groups
        if space >= grid.step_pitch:
            return replace(grid, starts=_starts(len(self.columns), int(space // grid.step_pitch), groups))
        fitting = max(1, int((space - 2 * grid.border) // grid.group_pitch) + 1) if groups > 1 else 1
        parts = _starts(groups, fitting, 1)
        return replace(grid, starts=tuple(n * groups + part for n in range(len(self.columns)) for part in parts))


def _starts(count: int, most: int, size: int) -> tuple[int, ...]:
    """Where lines start, each of at most this many items: as few lines as possible, evenly filled."""
    lines = -(-count // most)
    return tuple(range(0, count * size, -(-count // lines) * size))


def scene_of(
    full: UnrolledGraph,
    kept: UnrolledGraph | None,
    only: Collection[Node] | None = None,
    fold: Fold = "auto",
    pitch: float | None = None,
    room: float | None = None,
) -> Scene:
    """Choose the nodes that are drawn, of all or of these, and their columns.

    Without `kept`, the graph after passes, every live update counts as executed. Runs of steps that look alike are
    drawn once as `fold` says: `auto` where columns of this pitch (by default the grid's) would be too wide. A graph
    that is rolled already is drawn as it is. The drawing has this room in points.
    """
    full, loop = _without_helpers(full), full.loop
    status: dict[Node, str] = {node: state.word for node, state in statuses(full, kept).items()}
    nodes = [node for node in full if (only is None or node in only) and full.written(node)]
    spans = _columns(full, status, nodes, None if fold == "auto" or loop else FOLDS[fold])
    if loop is not None:
        spans = tuple(span for span in spans if not loop.last < span.first < loop.end)
    elif fold == "auto" and (pitch or Grid(full).step_pitch) * len(spans) > WIDEST:
        spans = _columns(full, status, nodes, FOLDS["auto"])
    column = {step: n for n, span in enumerate(spans, start=1) for step in range(span.first, span.last + 1)}
    place = {node: node._replace(step=column[node.step]) for node in nodes}
    origin = {place[node]: node for node in reversed(nodes)}
    shown = UnrolledGraph.of(replace(full.info, steps=len(spans)))
    shown.add_nodes_from((place[node], full.nodes[node]) for node in nodes if origin[place[node]] == node)
    paths = [response_path(full, readout.source) for readout in full.areas.readouts if readout.source in full.areas]
    links = {link for path in paths for link in pairwise(path)}
    reads: dict[tuple[Node, Node], Read] = {}
    for source, head, data in full.edges(data=True):
        tail = source if full.written(source) or loop is None else _in_first_run(source, loop)
        if tail not in place or head not in place:
            continue
        ends = place[tail], place[head]
        inside = ends[0].step == ends[1].step and tail.step != head.step  # from one folded step to another
        if inside or ends in reads:
            continue
        shown.add_edge(*ends, **data)
        executed = status[head] == "executed" and status[tail] in {"executed", "held", "shared"}
        reads[ends] = _read(data, executed, (tail, head) in links)
    response = {place[node] for path in paths for node in path if node in place}
    true = spans if loop is None else tuple(_true(span.first, loop) for span in spans)
    return Scene(full, shown, true, status, origin, reads, response, kept is not None, room)


def _in_first_run(node: Node, loop: Loop) -> Node:
    """The node of a loop's first run that stands for this one."""
    return node._replace(step=loop.first + (node.step - loop.first) % loop.period)


def _true(step: int, loop: Loop) -> Span:
    """The true steps of a column of a rolled graph: one of the loop's body stands for all its runs."""
    if loop.first <= step <= loop.last:
        return Span(step, step + loop.period * (loop.times - 1), loop.period)
    step += loop.skipped if step > loop.last else 0
    return Span(step, step)


def _read(data: Mapping[str, object], executed: bool, response: bool) -> Read:
    connections = data["connections"]
    assert isinstance(connections, tuple)
    kind = connections[0].kind if connections else "memory" if data["memory"] else "readout"
    gates = any(connection.role == "modulate" for connection in connections)
    inhibitory = bool(connections) and all(is_inhibitory(connection) for connection in connections)
    return Read(kind, tuple(c.identifier for c in connections), gates, inhibitory, executed, response)


def _without_helpers(full: UnrolledGraph) -> UnrolledGraph:
    """The graph without states of zeros, which would only crowd the drawing, and without evaluations as nodes.

    What reads an evaluation (`drive`) reads, in the drawing, the value that was evaluated.
    """
    shown: UnrolledGraph = full.copy()
    for drive in [node for node in full if node.kind == "evaluation"]:
        for source, target in product(full.predecessors(drive), full.successors(drive)):
            connections = full.edges[drive, target]["connections"]
            if connections and full.edges[source, drive]["connections"]:
                edge = shown.edges[source, target] if shown.has_edge(source, target) else {"connections": ()}
                merged = {"memory": False} | edge | {"connections": (*edge["connections"], *connections)}
                shown.add_edge(source, target, **merged)
    shown.remove_nodes_from([node for node in full if node.kind in {"zero", "evaluation"}])
    return shown
