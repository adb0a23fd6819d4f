"""The area graph: areas and connections with everything inferred, as a networkx multigraph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, cast

import networkx as nx

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.graph.interventions import Placed
from cortexgraph.notebook import Shown
from cortexgraph.ops import Cell, Chain, GlobalPool, Linear, Problem, Shape
from cortexgraph.spec import NetworkSpec, Span
from cortexgraph.spec.fields import pair
from cortexgraph.wording import quoted

NOTHING = Chain((0, 0, 0))


@dataclass(frozen=True)
class Input:
    """What arrives from outside: the image, or one of several inputs.

    Attributes:
        name: as in the spec; `image` where there is only `input`.
        identifier: its name in emitted code.
        shape: channels, height, width.
        present: when it is shown, as in the spec.
    """

    name: str
    identifier: str
    shape: Shape
    present: str | tuple[int, ...] | Span


@dataclass(frozen=True)
class Area:
    """A cortical area, resolved.

    Attributes:
        name: as in the spec.
        identifier: its name in emitted code and in the state dict.
        index: place in the order of declaration.
        channels, size: shape of the state; `size` is None where it could not be inferred.
        level: level in the hierarchy.
        region: the region that it is a part of, if any.
        merge: `sum` or `concat`.
        body: operations after the merge; without memory in the cell, those of `output` as well.
        cell: how the new state follows from the body's result and the old state.
        cell_options: what a spec would have to say for this very cell.
        cell_problems: why the declared cell, which is left out, could not be made.
        output: operations after the cell, as declared.
        start: the state before step 1: `zeros`, `learned`, or None where it is silent.
        start_identifier: name of the module of a learned start state.
    """

    name: str
    identifier: str
    index: int
    channels: int
    size: tuple[int, int] | None
    level: float
    region: str | None
    merge: str
    body: Chain
    cell: Cell
    cell_options: Mapping[str, Any] = field(default_factory=dict, compare=False)
    cell_problems: tuple[Problem, ...] = field(default=(), compare=False)
    output: Chain = NOTHING
    start: str | None = None
    start_identifier: str = ""

    @property
    def shape(self) -> Shape:
        """Channels, height, width of the state (0 × 0 where the size is unknown)."""
        return (self.channels, *(self.size or (0, 0)))

    @property
    def per_step(self) -> bool:
        return self.body.per_step

    @property
    def statistics(self) -> bool:
        """Whether its updates move running statistics in training."""
        return self.body.averages

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one update for one image."""
        return self.body.macs + self.cell.macs()

    def parameters(self, sets: int = 1) -> int:
        """Number of learned numbers with `sets` sets of the per-step operations."""
        start = self.channels if self.start == "learned" else 0
        return start + self.body.parameters(sets) + sum(prod(shape) for shape in self.cell.parameters().values())


@dataclass(frozen=True)
class Connection:
    """A connection, resolved.

    Attributes:
        identifier: its name in emitted code and in the state dict.
        index: place in the spec's list of connections, after expansion of shorthand.
        source, target: names of areas; the source may be an input.
        kind: feedforward, lateral or feedback.
        role: `drive`, or `modulate`.
        delay: extra steps.
        active: when it is read: `always`, `first`, `never`, steps, or a span of steps.
        silence: what a silent source counts as: `skip`, `zero_input` or `zero_drive`.
        init: how its convolutions start.
        source_shape, target_shape: shapes of the states; zeros where unknown.
        transform: operations from the source's state to the target's merge, gain and gate included.
        owner: identifier of the connection whose parameters it uses, if it is tied.
        tie_problem: why its tie cannot be made: found, expected, repair; as of `Diagnostic`.
        strength: measured strength of the projection, if the spec notes one; no effect on the network.
    """

    identifier: str
    index: int
    source: str
    target: str
    kind: str
    role: str
    delay: int
    active: str | tuple[int, ...] | Span
    silence: str
    init: str
    source_shape: Shape
    target_shape: Shape
    transform: Chain
    owner: str | None = None
    strength: float | None = None
    tie_problem: tuple[str, str, str] | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        return f"{self.source} -> {self.target}"

    @property
    def output_shape(self) -> Shape:
        """Shape that the transform makes of the source's state."""
        return self.transform.output

    @property
    def per_step(self) -> bool:
        return self.transform.per_step

    @property
    def statistics(self) -> bool:
        """Whether its evaluations move running statistics in training."""
        return self.transform.averages

    def parameters(self, sets: int = 1) -> int:
        """Number of learned numbers of its own, with `sets` sets of the per-step operations."""
        return self.transform.parameters(sets)

    @property
    def alone(self) -> bool:
        """Whether each update evaluates it again, also where others have read the same value."""
        return self.per_step or self.transform.random

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one evaluation for one image."""
        return self.transform.macs

    def active_at(self, step: int) -> bool:
        """Whether an update of this step may read it; `first` is decided by what it read before."""
        if isinstance(self.active, Span):
            return self.active.first <= step and (self.active.last is None or step <= self.active.last)
        return self.active != "never" if isinstance(self.active, str) else step in self._steps

    @cached_property
    def _steps(self) -> frozenset[int]:
        return frozenset(self.active) if isinstance(self.active, tuple) else frozenset()


@dataclass(frozen=True)
class Readout:
    """What is read of one area: see `ReadoutSpec`. With a `transform`, `pool` and `linear` are not used.

    Under `over_time: concat` the `source_shape` is that of the states of all steps together. With `is_map` it answers
    for each place, always by a `transform`.
    """

    name: str
    identifier: str
    index: int
    source: str
    classes: int
    at: str | tuple[int, ...]
    source_shape: Shape
    pool: GlobalPool
    linear: Linear
    transform: Chain | None = None
    over_time: str = "each"
    is_map: bool = False

    @property
    def outputs(self) -> tuple[int, ...]:
        """The shape of an image's logits at a step: [classes], or [classes, H, W] with an answer for each place."""
        return self.transform.output if self.is_map and self.transform is not None else (self.classes,)

    @property
    def parameters(self) -> int:
        if self.transform is not None:
            return self.transform.parameters()
        return sum(prod(shape) for shape in self.linear.parameters().values())

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one image and step; where states are read together, its share."""
        macs = self.linear.macs() if self.transform is None else self.transform.macs
        return macs // len(self.at) if self.over_time == "concat" else macs


class AreaGraph(Shown, nx.MultiDiGraph):  # type: ignore[misc]
    """Areas and connections of a spec.

    Nodes are the names of the inputs (`image`) and areas; a node's data holds `area` (an `Area`; absent for inputs).
    Edges are keyed by the connection's identifier and hold `connection` (a `Connection`). A connection that
    names an unknown area is not an edge: the checks report it.

    Examples:
        >>> import cortexgraph as cg
        >>> graph = cg.build(cg.load("ventral"))
        >>> graph.area("V1").shape
        (16, 32, 32)
        >>> sorted(graph.predecessors("V1"))
        ['V1', 'V2', 'image']
    """

    def __repr__(self) -> str:
        return f"<AreaGraph {self.name}: {len(self.areas)} areas, {self.number_of_edges()} connections>"

    @property
    def spec(self) -> NetworkSpec:
        return cast(NetworkSpec, self.graph["spec"])

    @property
    def readouts(self) -> tuple[Readout, ...]:
        """Readouts in the order of declaration."""
        return cast(tuple[Readout, ...], self.graph["readouts"])

    @property
    def silence(self) -> str:
        """What a silent source counts as: `skip`, `zero_input` or `zero_drive`."""
        return self.spec.time.silence

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs in the order of declaration; of a spec with `input` the one called `image`."""
        return cast("tuple[Input, ...]", self.graph["inputs"])

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(self.spec.inputs)

    @property
    def identifiers(self) -> dict[str, str]:
        """The identifiers of inputs and areas, by name."""
        parts: tuple[Input | Area, ...] = (*self.inputs, *self.areas)
        return {part.name: part.identifier for part in parts}

    @property
    def image_shape(self) -> Shape:
        """Channels, height, width of the only input.

        Raises:
            SpecError: if there are several.
        """
        return (self.spec.input.channels, *pair(self.spec.input.size))

    def videos(self, video: bool | Sequence[str]) -> frozenset[str]:
        """The inputs of which each step reads a frame of its own: all, none, or those of these names.

        Raises:
            CompileError: for a name that is none of theirs.
        """
        names = self.input_names
        videos = frozenset(names * video if isinstance(video, bool) else [video] if isinstance(video, str) else video)
        if unknown := sorted(videos.difference(names)):
            found, expected = f"{quoted(unknown)} was given", f"the inputs are {quoted(names)}"
            raise CompileError(Diagnostic("unknown-choice", "video", found, expected, "Name inputs, or give True."))
        return videos

    @property
    def areas(self) -> tuple[Area, ...]:
        """Areas from low to high; ties within a level in the order of declaration."""
        areas = [data["area"] for _, data in self.nodes(data=True) if "area" in data]
        return tuple(sorted(areas, key=lambda area: (area.level, area.index)))

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Connections in the order of declaration."""
        connections = [data["connection"] for _, _, data in self.edges(data=True)]
        return tuple(sorted(connections, key=lambda connection: connection.index))

    @property
    def chains(self) -> dict[str, Chain]:
        """The bodies, transforms and readout transforms, by their path in the state dict."""
        chains = {area.identifier: area.body for area in self.areas}
        chains |= {connection.identifier: connection.transform for connection in self.connections}
        return chains | {r.identifier: r.transform for r in self.readouts if r.transform is not None}

    @property
    def labels(self) -> dict[str, str]:
        """What a user calls each area, connection and readout, by identifier."""
        parts: tuple[Area | Readout, ...] = (*self.areas, *self.readouts)
        names = {part.identifier: part.name for part in parts if part.identifier != "readout"}
        return names | {c.identifier: c.label for c in self.connections}

    def area(self, name: str) -> Area:
        """The area of this name.

        Raises:
            KeyError: if none has this name.
        """
        return cast(Area, self.nodes[name]["area"])

    def stepwise(self, name: str) -> list[str]:
        """Of an area and the connections that it reads, the identifiers of those with parameters per step."""
        parts: list[Area | Connection] = [self.area(name), *self.incoming(name)]
        return [part.identifier for part in parts if part.per_step]

    def draws_by_update(self, name: str) -> bool:
        """Whether noise of an area or of the connections that it reads depends on the number of the update."""
        chains = [self.area(name).body, *(connection.transform for connection in self.incoming(name))]
        return any(chain.random and chain.counts for chain in chains)

    @property
    def interventions(self) -> tuple[Placed, ...]:
        """What is done to states and connections at some steps."""
        return cast("tuple[Placed, ...]", self.graph.get("interventions", ()))

    def under(self, interventions: Iterable[Placed]) -> AreaGraph:
        """The same graph under interventions."""
        if not (placed := tuple(interventions)):
            return self
        other = self.copy()
        other.graph["interventions"] = placed
        return cast(AreaGraph, other)

    def changes(self, target: str, step: int) -> tuple[Placed, ...]:
        """The interventions on an area or connection, by its identifier, at a step."""
        return tuple(placed for placed in self.interventions if placed.at(target, step))

    def incoming(self, name: str) -> tuple[Connection, ...]:
        """Connections into an area: feedforward, lateral, then feedback; each in the order of declaration."""
        rank = {"feedforward": 0, "lateral": 1, "feedback": 2}
        connections = [data["connection"] for _, _, data in self.in_edges(name, data=True)]
        return tuple(sorted(connections, key=lambda connection: (rank[connection.kind], connection.index)))

    def connection(self, identifier: str) -> Connection:
        """The connection of this identifier.

        Raises:
            KeyError: if none has this name.
        """
        return {connection.identifier: connection for connection in self.connections}[identifier]

    def shape(self, name: str) -> Shape:
        """Shape of an area's state, or of an input."""
        return next((each.shape for each in self.inputs if each.name == name), None) or self.area(name).shape

    def is_area(self, name: str) -> bool:
        return "area" in self.nodes.get(name, {})
