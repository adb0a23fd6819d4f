"""Numbers of a network: `summarise` gives all of them, `totals` quickly the few by which networks are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import prod

from cortexgraph.analysis.reach import Paths, receptive_fields, steps_to_readouts, window_of
from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import lower
from cortexgraph.passes import statuses
from cortexgraph.spec import SpecLike
from cortexgraph.unrolling import (
    FLOAT_BYTES,
    Node,
    Order,
    UnrolledGraph,
    evaluations,
    macs_of,
    numbers_of,
    parameters_by_part,
    total_parameters,
    trained_parameters,
)
from cortexgraph.wording import by, count_text, step_ranges

Pair = tuple[int, int]


@dataclass(frozen=True)
class KnownNetwork:
    """A network that readers know, for orientation: its parameters, and multiply-adds for one image."""

    name: str
    parameters: int
    macs: int


RESNET18 = (
    KnownNetwork("ResNet-18 on 224 × 224 images, 1000 classes", 11_689_512, 1_814_073_344),
    KnownNetwork("ResNet-18 on 32 × 32 images, 10 classes (3 × 3 stem, no pooling)", 11_173_962, 555_422_720),
)
"""He et al. 2016, and its usual form for CIFAR-10; the numbers are those of torchvision's, which a test counts."""


@dataclass(frozen=True)
class AreaSummary:
    """An area over T steps.

    Attributes:
        name, level, channels, size: of the area.
        parameters: learned numbers of the area itself (body and cell), all per-step sets counted.
        macs: multiply-adds of its body and cell in one update, for one image.
        state_bytes: of one state of one image, as 32-bit numbers.
        first_response: first step at which the area is live; None if it never is.
        executed: steps of the updates that are computed.
        shared: steps of the updates that equal an earlier one, for a static image in evaluation, and are not.
        silent: steps of the updates that are silent.
        unread: steps of the live updates that no readout or record needs.
        receptive_field_px: height and width of the field of one unit, by step, of the last live update in the step; of
            several inputs, in the first.
        receptive_fields_px: the same in each input, by its name.
        steps_to_readout: for each readout, the steps of the shortest and the longest path to it.
    """

    name: str
    level: float
    channels: int
    size: Pair
    parameters: int
    macs: int
    state_bytes: int
    first_response: int | None
    executed: tuple[int, ...]
    shared: tuple[int, ...]
    silent: tuple[int, ...]
    unread: tuple[int, ...]
    receptive_field_px: Mapping[int, Pair] = field(default_factory=dict)
    receptive_fields_px: Mapping[str, Mapping[int, Pair]] = field(default_factory=dict)
    steps_to_readout: Mapping[str, Pair] = field(default_factory=dict)


@dataclass(frozen=True)
class ConnectionSummary:
    """A connection over T steps.

    Attributes:
        source, target, kind, delay: of the connection.
        transform: its operations, in words.
        size: height and width of the result.
        window: height and width of what one place of the result reads of the source's state.
        parameters: learned numbers.
        macs: multiply-adds of one evaluation for one image.
        output_bytes: of one result of one image, as 32-bit numbers.
        evaluated: steps at which it is evaluated in one forward pass of a static image.
        first_response: first step at which it carries a signal; None if it never does.
        steps_to_readout: as of an area, from the state that it reads.
    """

    source: str
    target: str
    kind: str
    delay: int
    transform: str
    size: Pair
    window: Pair
    parameters: int
    macs: int
    output_bytes: int
    evaluated: tuple[int, ...]
    first_response: int | None
    steps_to_readout: Mapping[str, Pair] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.source} → {self.target}"

    @property
    def evaluations(self) -> int:
        """Number of evaluations in one forward pass of a static image."""
        return len(self.evaluated)

    @property
    def flops(self) -> int:
        """Floating-point operations in one forward pass of one image: two for each multiply-add."""
        return 2 * self.macs * self.evaluations


@dataclass(frozen=True)
class StepSummary:
    """What one step executes for one image: updates, multiply-adds, and bytes of states and transform results."""

    step: int
    updates: int
    macs: int
    activation_bytes: int


@dataclass(frozen=True, repr=False)
class NetworkSummary:
    """A network over T steps; `macs_unpruned` is the cost without passes, of every live update.

    `input_sizes` are the heights and widths of the inputs by name, `image_size` those of the first.

    Notebooks show it as tables; `cortexgraph show` prints more of it.
    """

    areas: tuple[AreaSummary, ...]
    connections: tuple[ConnectionSummary, ...]
    steps: tuple[StepSummary, ...]
    image_size: Pair
    input_sizes: Mapping[str, Pair]
    readout_parameters: int
    readout_macs: int
    macs_unpruned: int
    trained_parameters: int

    @property
    def parameters(self) -> int:
        """Learned numbers, all per-step sets counted; `trained_parameters` are those that a readout depends on."""
        own = sum(area.parameters for area in self.areas)
        return own + sum(connection.parameters for connection in self.connections) + self.readout_parameters

    @property
    def macs(self) -> int:
        """Multiply-adds of one forward pass of one static image, in convolutions, cells and readouts."""
        return sum(step.macs for step in self.steps) + self.readout_macs

    @property
    def flops(self) -> int:
        """Floating-point operations: two for each multiply-add."""
        return 2 * self.macs

    @property
    def activation_bytes(self) -> int:
        """What training keeps of one image at least: executed states and transform results, as 32-bit numbers."""
        return sum(step.activation_bytes for step in self.steps)

    def __repr__(self) -> str:
        numbers = f"{self.parameters:,} parameters, {count_text(self.macs)} multiply-adds for an image"
        parts = f"{len(self.areas)} areas, {len(self.connections)} connections"
        return f"<NetworkSummary: {parts}, {len(self.steps)} steps, {numbers}>"

    def _repr_html_(self) -> str:
        last = ["size", "parameters", "first response", "executed at steps"]
        areas: list[list[object]] = [["area", "channels", *last]]
        for a in reversed(self.areas):
            steps = step_ranges(a.executed)
            areas.append([a.name, a.channels, by(a.size), a.parameters, a.first_response, steps])
        connections: list[list[object]] = [["connection", "kind", "transform", *last]]
        for c in self.connections:
            steps = step_ranges(c.evaluated)
            connections.append([c.name, c.kind, c.transform, by(c.size), c.parameters, c.first_response, steps])
        tables = _html_table(areas) + _html_table(connections)
        return f'<div class="cortexgraph">{tables}<p>{escape(repr(self)[1:-1])}</p></div>'


def _html_table(rows: Sequence[Sequence[object]]) -> str:
    """The rows as a table, the first as its heading."""
    cells = [["" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in r] for r in rows]
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in cells]
    lines[0] = lines[0].replace("td>", "th>")
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


# ---- all numbers -----------------------------------------------------------------


def summarise(full: UnrolledGraph, kept: UnrolledGraph) -> NetworkSummary:
    """Summary of a network from its unrolled graph before and after passes, as `lower` gives them."""
    parameters, (of_areas, of_connections) = parameters_by_part(full), steps_to_readouts(full)
    readout_macs = sum(macs_of(kept, node) for node in kept.readouts)
    return NetworkSummary(
        areas=tuple(_areas(full, kept, parameters, of_areas)),
        connections=tuple(_connections(full, kept, parameters, of_connections)),
        steps=tuple(_steps(kept)),
        image_size=full.areas.inputs[0].shape[1:],
        input_sizes={each.name: each.shape[1:] for each in full.areas.inputs},
        readout_parameters=sum(parameters[readout.identifier] for readout in full.areas.readouts),
        readout_macs=readout_macs,
        macs_unpruned=sum(step.macs for step in _steps(full)) + readout_macs,
        trained_parameters=trained_parameters(full),
    )


@arguments_explained
def summarise_spec(spec: SpecLike, steps: int | None = None, order: Order | None = None) -> NetworkSummary:
    """The numbers of a spec: sizes, parameters, multiply-adds, receptive fields, executed updates, paths.

    Args:
        spec: the network, or its path or zoo name.
        steps: number of steps T; that of the spec by default.
        order: order of updates; that of the spec by default.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout of a silent area.

    Examples:
        >>> import cortexgraph as cg
        >>> v4 = cg.summarise("ventral").areas[2]
        >>> v4.receptive_field_px[3], v4.steps_to_readout
        ((11, 11), {'IT': (1, 3)})
    """
    return summarise(*lower(spec, steps, order))


def _areas(
    full: UnrolledGraph, kept: UnrolledGraph, parameters: Mapping[str, int], paths: Mapping[str, Paths]
) -> Iterator[AreaSummary]:
    fields, status = {name: receptive_fields(full, name) for name in full.areas.input_names}, statuses(full, kept)
    for area in full.areas.areas:
        updates = [*full.updates(area.name)]
        steps: dict[str, tuple[int, ...]] = {}
        for node in updates:
            word = "shared" if status[node].word == "held" else status[node].word
            steps[word] = (*steps.get(word, ()), node.step)
        extents = {name: {node.step: of[node] for node in updates if node in of} for name, of in fields.items()}
        yield AreaSummary(
            name=area.name,
            level=area.level,
            channels=area.channels,
            size=area.shape[1:],
            parameters=parameters[area.identifier],
            macs=area.macs,
            state_bytes=prod(area.shape) * FLOAT_BYTES,
            first_response=full.first_response(area.name),
            **{word: steps.get(word, ()) for word in ("executed", "shared", "silent", "unread")},
            receptive_field_px=next(iter(extents.values())),
            receptive_fields_px=extents,
            steps_to_readout=paths.get(area.name, {}),
        )


def _connections(
    full: UnrolledGraph, kept: UnrolledGraph, parameters: Mapping[str, int], paths: Mapping[str, Paths]
) -> Iterator[ConnectionSummary]:
    labels = {c.identifier: c.label.replace("->", "→") for c in full.areas.connections}
    evaluated: dict[str, list[int]] = {identifier: [] for identifier in labels}
    for node in _carried_out(kept):
        for connection in evaluations(kept, node):
            evaluated[connection.identifier].append(node.step)
    onset: dict[str, int] = {}
    for node in full.live_updates():
        for connection, source in full.terms(node):
            if source.kind != "zero":
                onset.setdefault(connection.identifier, node.step)
    for c in full.areas.connections:
        tied = f", tied to {labels[c.owner]}" if c.owner else ""
        yield ConnectionSummary(
            source=c.source,
            target=c.target,
            kind=c.kind,
            delay=c.delay,
            transform=(c.transform.summary() or "as it is") + tied,
            size=c.output_shape[1:],
            window=window_of(c),
            parameters=parameters[c.identifier],
            macs=c.macs,
            output_bytes=prod(c.output_shape) * FLOAT_BYTES,
            evaluated=tuple(evaluated[c.identifier]),
            first_response=onset.get(c.identifier),
            steps_to_readout=paths.get(c.identifier, {}),
        )


def _steps(graph: UnrolledGraph) -> Iterator[StepSummary]:
    """What each step executes."""
    updates, macs, numbers = Counter[int](), Counter[int](), Counter[int]()
    for node in _carried_out(graph):
        updates[node.step] += node.kind == "update"
        macs[node.step] += macs_of(graph, node)
        numbers[node.step] += numbers_of(graph, node)
    for step in range(1, graph.steps + 1):
        yield StepSummary(step, updates[step], macs[step], numbers[step] * FLOAT_BYTES)


def _carried_out(graph: UnrolledGraph) -> Iterator[Node]:
    return (node for node in graph if node.kind in {"update", "evaluation"} and graph.carried_out(node))


# ---- the few numbers by which networks are compared ------------------------------


@dataclass(frozen=True)
class Totals:
    """A network in short.

    Attributes:
        areas: number of areas.
        connections: number of driving connections of each kind, and of `modulating` ones.
        steps: number of steps T.
        responds_at: first step at which the state that the first readout reads can depend on the image; None if none.
        parameters: learned numbers, all per-step sets counted.
        flops: floating-point operations of one forward pass of one image, two for each multiply-add.
    """

    areas: int
    connections: dict[str, int]
    steps: int
    responds_at: int | None
    parameters: int
    flops: int


def totals(full: UnrolledGraph, kept: UnrolledGraph) -> Totals:
    """The numbers of a network from its unrolled graph before and after passes, as `lower` gives them."""
    graph, seen = full.areas, full.from_image()
    kinds = Counter("modulating" if c.role == "modulate" else c.kind for c in graph.connections)
    readout_macs = sum(macs_of(kept, node) for node in kept.readouts)
    return Totals(
        areas=len(graph.areas),
        connections={kind: kinds[kind] for kind in ("feedforward", "lateral", "feedback", "modulating") if kinds[kind]},
        steps=full.steps,
        responds_at=next((n.step for n in full.live_updates(graph.readouts[0].source) if n in seen), None),
        parameters=total_parameters(full),
        flops=2 * (sum(step.macs for step in _steps(kept)) + readout_macs),
    )
