"""A stream: a network that runs in pieces, each of which takes over what the one before leaves.

A piece is an unrolled graph from one step to another. What earlier pieces made stands in it as `given` nodes. A
`Moment` is what is known between two pieces: which values there are, and how they came about.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.spec import Span
from cortexgraph.unrolling.model import Groups, Node, NodeInfo, Part, UnrolledGraph


@dataclass(frozen=True)
class Moment:
    """What is known of a stream at the end of a step.

    Attributes:
        step: the step; 0 before a stream begins.
        window: the states and frames that later steps may read, silent ones included, in an order of their own.
        nodes: these and the nodes that make their values, in the order of execution.
        latest: the latest update of each area.
        carried: the latest update of each area that was carried out, and its function.
        fired: connections of `active: first` that were live.
        ordinals: number of live updates of each area so far.
        since: the step since which the static images have been shown; None after videos alone.
        parts: the values that the stream carries, in an order of their own.
        constant: those that are the same for every image.
        evaluations: the connection and the value of each evaluation among them.
    """

    step: int = 0
    window: tuple[Node, ...] = ()
    nodes: Mapping[Node, NodeInfo] = field(default_factory=dict)
    latest: Mapping[str, Node] = field(default_factory=dict)
    carried: Mapping[str, tuple[Node, Hashable]] = field(default_factory=dict)
    fired: frozenset[str] = frozenset()
    ordinals: Mapping[str, int] = field(default_factory=dict)
    since: int | None = None
    parts: tuple[Part, ...] = ()
    constant: frozenset[Node] = frozenset()
    evaluations: Mapping[Node, tuple[Connection, Node]] = field(default_factory=dict)

    def put_into(self, graph: UnrolledGraph) -> None:
        """Add what is known to the graph of the next piece."""
        for node, info in self.nodes.items():
            graph.add_node(node, info=info)
            if node in self.evaluations:
                connection, source = self.evaluations[node]
                graph.add_read(source, node, (connection,))

    def signature(self, areas: AreaGraph, sets: Mapping[str, int], end: int) -> Hashable:
        """Equal for two moments after which a network goes on alike, whatever the number of the step.

        `sets` are the numbers of parameter sets of areas and connections, of which all later updates use the last;
        after `end`, the last step that something names, all steps are alike.
        """
        numbers = {node: n for n, node in enumerate(dict.fromkeys(node for node, _ in self.parts))}

        def numbered(value: Hashable) -> Hashable:
            if isinstance(value, Node):
                return value if value.kind == "zero" else numbers.get(value, "gone")
            return tuple(map(numbered, value)) if isinstance(value, tuple) else value

        window = [
            (*node._replace(step=self.step - node.step), info.live, info.live and numbered(info.held or node))
            for node, info in ((node, self.nodes[node]) for node in self.window)
        ]
        carried = [(name, numbered(node), numbered(what)) for name, (node, what) in self.carried.items()]
        parts = [(numbers[node], *node[:2], part, node in self.constant) for node, part in self.parts]
        reads = [(numbers[node], numbered(source)) for node, (_, source) in self.evaluations.items()]
        most = {area.name: max((sets[part] for part in areas.stepwise(area.name)), default=0) for area in areas.areas}
        most |= {area.name: self.step for area in areas.areas if areas.draws_by_update(area.name)}
        ordinals = [min(number, self.ordinals.get(name, 0)) for name, number in most.items()]
        image = None if self.since is None else min(self.since, end)
        structure = (window, carried, parts, reads, ordinals)
        return (min(self.step, end), image, self.fired, *(tuple(part) for part in structure))


def named_steps(areas: AreaGraph) -> Iterator[int]:
    """The steps that the spec names: after the last of them, all steps are alike."""
    spec = areas.spec
    yield spec.time.warmup
    yield from (step for placed in areas.interventions for step in placed.steps or ())
    for window in (
        *(each.present for each in areas.inputs),
        *(c.active for c in areas.connections),
        *(r.at for r in areas.readouts),
    ):
        if isinstance(window, Span):
            yield window.last or window.first
        elif not isinstance(window, str):
            yield from window


# ---- what a piece leaves ---------------------------------------------------------


def moment_of(
    graph: UnrolledGraph,
    latest: Mapping[str, Node],
    carried: Mapping[str, tuple[Node, Hashable]],
    fired: frozenset[str],
    ordinals: Mapping[str, int],
) -> Moment:
    """The moment at the end of a piece, without its evaluations, which are known once the graph is settled."""
    window = tuple(_window(graph.areas, graph.groups, graph.steps))
    kept = dict.fromkeys(graph.origin(node) for node in window if graph.live(node))
    moving = len(graph.videos) == len(graph.areas.inputs)
    since = None if moving or graph.info.piece is None else graph.info.piece.since
    if since is not None:
        shown = (each for each in graph.images if graph.static(each) and each.step >= since and graph.live(each))
        kept |= dict.fromkeys(map(graph.origin, shown))
    for node, function in carried.values():
        reads = [value for _, value in function] if isinstance(function, tuple) and function != node else [node]
        if all(value is None or value.kind == "zero" or value in kept for value in reads):
            kept[node] = None  # the area may come back to it
    infos = {node: graph.node_info(node) for node in (*kept, *window)}
    infos |= {node: replace(infos[node], held=_earlier(graph, node)) for node in window}
    nodes = {node: infos[node] for node in sorted(infos, key=_when)}
    parts = tuple((node, part) for node in kept for part in _parts(graph.areas, node))
    return Moment(graph.steps, window, nodes, latest, carried, fired, ordinals, since, parts)


def _window(areas: AreaGraph, groups: Groups, step: int) -> Iterator[Node]:
    """What steps after this one may read of the time up to it: as far back as the longest delay of a connection."""
    delays: dict[str, int] = {}
    for connection in areas.connections:
        delays[connection.source] = max(connection.delay, delays.get(connection.source, 0))
    for name in [area.name for area in areas.areas]:
        updated = [index for index, group in enumerate(groups) if name in group]
        furthest = delays.get(name, 0)
        for back in range(min(furthest, step - 1), -1, -1):
            yield from (Node("update", name, step - back, k) for k in (updated if back < furthest else updated[-1:]))
    for name in areas.input_names:
        yield from (Node("image", name, at) for at in range(max(1, step + 1 - delays.get(name, 0)), step + 1))


def _earlier(graph: UnrolledGraph, node: Node) -> Node | None:
    """The earlier node that makes a node's value, if there is one."""
    origin = graph.origin(node) if graph.live(node) else node
    return None if origin == node else origin


def _when(node: Node) -> tuple[int, int, str]:
    """Images come before evaluations, and these before updates."""
    return node.step, node.group, {"image": "0", "evaluation": "1"}.get(node.kind, "2")


def _parts(areas: AreaGraph, node: Node) -> tuple[str, ...]:
    return ("h", *(areas.area(node.name).cell.hidden if node.kind == "update" else ()))


def with_state(settled: UnrolledGraph, moment: Moment) -> tuple[UnrolledGraph, Moment]:
    """The settled graph of a piece with two nodes `state`, which read all that it leaves, and the whole moment."""
    assert settled.info.piece is not None
    kept = dict.fromkeys(node for node, _ in moment.parts)
    read = {node: settled.evaluated(node) for node in settled if node.kind == "evaluation"}
    evaluations = {
        node: (c, source)
        for node, (c, source) in read.items()
        if (source in kept or source.kind == "zero") and not c.alone
    }
    added = [*evaluations, *(source for _, source in evaluations.values() if source.kind == "zero")]
    infos = {**moment.nodes, **{node: settled.node_info(node) for node in added}}
    nodes = {node: infos[node] for node in sorted(infos, key=_when)}
    parts = (*moment.parts, *((node, "h") for node in evaluations))
    graph = settled.noted(piece=replace(settled.info.piece, leaves=parts))
    for name, memory in (("visible", False), ("hidden", True)):
        sink = Node("state", name, settled.steps + 1)
        graph.add_node(sink, info=NodeInfo())
        for node, part in parts:
            if (part != "h") == memory:
                graph.add_read(node, sink, memory=memory)
    return graph, replace(moment, nodes=nodes, parts=parts, evaluations=evaluations)
