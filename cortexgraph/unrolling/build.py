"""From an area graph to its unrolled graph: section 3 of the design, as edges."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from cortexgraph.graph import Area, AreaGraph, Connection
from cortexgraph.spec import Span
from cortexgraph.unrolling.model import Node, NodeInfo, Order, Piece, UnrolledGraph, UnrolledInfo, groups_of
from cortexgraph.unrolling.stream import Moment, moment_of


def unroll_graph(
    areas: AreaGraph,
    steps: int | None = None,
    order: Order | None = None,
    *,
    video: bool | Sequence[str] = False,
    tbptt: int | None = None,
) -> UnrolledGraph:
    """Unroll an area graph over time: with every update, silent and held ones included, and the readouts of the spec.

    T and the order are the spec's by default. `video` says whether each step reads its own frame, or of which inputs;
    otherwise the image is static. Gradients are cut after `tbptt` steps. With ``at: all`` readouts are at the steps at
    whose end the area is live.
    """
    graph = _updates_of(replace(_info(areas, steps, order, video=video), tbptt=tbptt)).graph
    _add_readouts(graph)
    return graph


def unroll_piece(
    areas: AreaGraph, moment: Moment, steps: int, *, video: bool | Sequence[str] = False, same: bool = False
) -> tuple[UnrolledGraph, Moment]:
    """Unroll the next piece of a stream, of some steps: its graph, and the moment at its end (see `with_state`).

    The stream stands at a moment; `same` says whether it goes on with the static images of the piece before. The graph
    has the readouts that are live in it.
    """
    first = moment.step + 1
    since = moment.since if same and moment.since is not None else first
    info = replace(_info(areas, moment.step + steps, None, video=video), constant=moment.constant)
    clock = _updates_of(replace(info, piece=Piece(first, since, moment.parts)), moment)
    _add_readouts(clock.graph)
    return clock.graph, moment_of(clock.graph, clock.latest, clock.carried, frozenset(clock.fired), clock.ordinals)


def _info(areas: AreaGraph, steps: int | None, order: Order | None, *, video: bool | Sequence[str]) -> UnrolledInfo:
    time = areas.spec.time
    steps, order = time.steps if steps is None else steps, time.order if order is None else order
    return UnrolledInfo(areas, steps, order, groups_of(areas, order), areas.videos(video))


def _updates_of(info: UnrolledInfo, moment: Moment | None = None) -> _Clock:
    """The unrolled graph without its readouts, and what its updates came to."""
    graph = UnrolledGraph.of(info)
    moment = moment or Moment()
    moment.put_into(graph)
    for step in range(graph.first, info.steps + 1):
        for each in info.areas.inputs:
            graph.add_node(Node("image", each.name, step), info=NodeInfo(live=_shown(each.present, step)))
    clock = _Clock(graph, dict(moment.latest), dict(moment.carried), set(moment.fired), dict(moment.ordinals))
    counts = {name: [count] * moment.step for name, count in clock.ordinals.items()}
    for step in range(graph.first, info.steps + 1):
        for group, names in enumerate(graph.groups):
            clock.update([Node("update", name, step, group) for name in names])
        for name, count in clock.ordinals.items():
            counts[name].append(count)
    clock.graph = graph.noted(live_updates={name: tuple(numbers) for name, numbers in counts.items()})
    return clock


def parameter_counts(areas: AreaGraph) -> dict[str, int]:
    """Learned numbers of each area and connection, by identifier; per-step operations have a set for each live update.

    The graph is unrolled only where an operation is per step, and readouts of silent areas do not matter.
    """
    parts: list[Area | Connection] = [*areas.areas, *areas.connections]
    sets = _updates_of(_info(areas, None, None, video=False)).graph.sets if any(part.per_step for part in parts) else {}
    return {part.identifier: part.parameters(sets.get(part.identifier, 1)) for part in parts}


def _shown(present: str | tuple[int, ...] | Span, step: int) -> bool:
    if isinstance(present, Span):
        return present.first <= step and (present.last is None or step <= present.last)
    return (present == "always" or step == 1) if isinstance(present, str) else step in present


# ---- updates -------------------------------------------------------------------


@dataclass
class _Clock:
    """Adds the updates of a graph, group by group.

    Attributes:
        latest: the latest update of each area.
        carried: the latest update of each area that was carried out, and its function (`_function`).
        fired: connections of `active: first` that were live.
        ordinals: number of live updates of each area so far.
    """

    graph: UnrolledGraph
    latest: dict[str, Node] = field(default_factory=dict)
    carried: dict[str, tuple[Node, Hashable]] = field(default_factory=dict)
    fired: set[str] = field(default_factory=set)
    ordinals: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        areas = self.graph.areas
        self.incoming = {area.name: areas.incoming(area.name) for area in areas.areas}
        self.areas = {area.name: area for area in areas.areas}
        self.positions = {
            name: [index for index, group in enumerate(self.graph.groups) if name in group] for name in self.areas
        }
        self.ordinals = dict.fromkeys(self.incoming, 0) | self.ordinals

    def update(self, group: list[Node]) -> None:
        """Add the updates of one group: all read before any writes."""
        for node in group:
            self._add(node)
        self.latest |= {node.name: node for node in group}

    def _add(self, node: Node) -> None:
        graph, area = self.graph, self.areas[node.name]
        reads = [(c, *self._source(c, node)) for c in self.incoming[node.name] if self._active(c, node)]
        driven = any(counts and connection.role == "drive" for connection, _, counts in reads)
        for connection, _, counts in reads:
            if counts and connection.active == "first":
                self.fired.add(connection.identifier)
        before = self.latest.get(node.name) or self._start(node.name) if area.cell.has_memory else None
        if before is not None and not graph.live(before):
            before = None
        live = driven or before is not None or graph.areas.silence != "skip"
        self.ordinals[node.name] += live
        held = self._held(area, node, reads) if live else None
        graph.add_node(node, info=NodeInfo(live, self.ordinals[node.name] if live else 0, held))
        if held is not None:
            graph.add_read(held, node)
            return
        for connection, source, _ in reads:
            if source is not None and (driven or connection.role == "drive"):  # otherwise it has no drive to gate
                graph.add_read(source, node, (connection,))
        if before is not None:
            graph.add_read(before, node, memory=True)

    def _active(self, connection: Connection, node: Node) -> bool:
        return connection.active_at(node.step) and connection.identifier not in self.fired

    def _source(self, connection: Connection, node: Node) -> tuple[Node | None, bool]:
        """What a connection reads, and whether it counts as a drive: a silent source may stand for zeros."""
        source = self._read(connection, node.step, node.group) or self._start(connection.source)
        if source is not None and self.graph.live(source):
            return source, True
        if connection.silence == "zero_input":
            zero = Node("zero", connection.source, 0)
            self.graph.add_node(zero, info=NodeInfo())
            return zero, True
        return (None, True) if connection.silence == "zero_drive" else (source, False)

    def _read(self, connection: Connection, step: int, group: int) -> Node | None:
        """The value that a connection reads: its source as it stood just before this group of step − delay.

        None where that lies before step 1.
        """
        step -= connection.delay
        if connection.source not in self.areas:
            return Node("image", connection.source, step) if step >= 1 else None
        updated = self.positions[connection.source]
        if not updated:
            return None
        before = bisect_left(updated, group)
        if before == 0:
            step -= 1
        return Node("update", connection.source, step, updated[before - 1]) if step >= 1 else None

    def _start(self, area: str) -> Node | None:
        """The state of an area before step 1, if it has one."""
        if area not in self.areas or self.areas[area].start is None:
            return None
        start = Node("zero", area, 0, part="start")
        self.graph.add_node(start, info=NodeInfo())
        return start

    # ---- held states -------------------------------------------------------------

    def _held(self, area: Area, node: Node, reads: list[tuple[Connection, Node | None, bool]]) -> Node | None:
        """The area's last update that was carried out, if this one is the same function of the same values."""
        graph, contributing = self.graph, [(connection, source) for connection, source, counts in reads if counts]
        changing = [area.body, *(connection.transform for connection, _ in contributing)]
        identifiers = [area.identifier, *(c.identifier for c, _ in contributing)] if graph.areas.interventions else []
        changes = [placed for each in identifiers for placed in graph.areas.changes(each, node.step)]
        random = any(placed.change.random for placed in changes)
        if area.cell.has_memory or random or any(chain.per_step or chain.random for chain in changing):
            function: Hashable = node
        else:
            function = tuple((c.identifier, source and graph.origin(source)) for c, source in contributing)
            function = (*function, *((placed, None) for placed in changes))
        earlier, known = self.carried.get(node.name, (node, None))
        if known == function and graph.segment(earlier.step) == graph.segment(node.step):
            return earlier
        self.carried[node.name] = (node, function)
        return None


# ---- readouts and records ------------------------------------------------------


def _add_readouts(graph: UnrolledGraph) -> None:
    for readout in graph.areas.readouts:
        if graph.areas.is_area(readout.source):
            at = graph.live_steps(readout.source) if readout.at == "all" else readout.at
            if readout.over_time == "concat" and not graph.whole(readout):
                continue
            for step in (graph.steps,) if isinstance(at, str) else at:
                add_sink(graph, Node("readout", readout.name, int(step)), readout.source)


def add_sink(graph: UnrolledGraph, node: Node, area: str) -> None:
    """Add a readout or record of an area's state at the end of a step (silent if it has none).

    In a piece of a stream, those of silent states and of steps outside it are left out.
    """
    state = graph.state(area, node.step)
    live = state is not None and graph.live(state)
    if graph.info.piece is not None and not (live and node.step >= graph.first):
        return
    graph.add_node(node, info=NodeInfo(live=live))
    if state is not None:
        graph.add_read(state, node)
