"""The area graph: areas and connections with everything inferred, as a networkx multigraph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import networkx as nx

from cortexgraph.ops import GlobalPool, Linear, Operation, Shape
from cortexgraph.spec import IMAGE, NetworkSpec

__all__ = ["Area", "AreaGraph", "Connection", "Readout"]


def chain_output(chain: tuple[Operation, ...], shape: Shape) -> Shape:
    """Shape after the chain."""
    for operation in chain:
        shape = operation.output(shape)
    return shape


def chain_macs(chain: tuple[Operation, ...], shape: Shape) -> int:
    """Multiply-accumulate operations of the chain for one image."""
    total = 0
    for operation in chain:
        total += operation.macs(shape)
        shape = operation.output(shape)
    return total


def chain_parameters(chain: tuple[Operation, ...], sets: int = 1) -> int:
    """Number of learned numbers; a per-step operation counts `sets` times."""
    return sum(
        _size(shape) * (sets if operation.per_step else 1)
        for operation in chain
        for shape in operation.parameters().values()
    )


def _size(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


@dataclass(frozen=True)
class Area:
    """A cortical area, resolved.

    Attributes:
        name: as in the spec.
        identifier: its name in emitted code and in the state dict.
        index: place in the order of declaration.
        channels, size: shape of the state; `size` is None where it could not be inferred.
        level: level in the hierarchy.
        body: operations after the merge.
    """

    name: str
    identifier: str
    index: int
    channels: int
    size: tuple[int, int] | None
    level: float
    body: tuple[Operation, ...]

    @property
    def shape(self) -> Shape:
        """Channels, height, width of the state (0 × 0 where the size is unknown)."""
        return (self.channels, *(self.size or (0, 0)))

    @property
    def per_step(self) -> bool:
        return any(operation.per_step for operation in self.body)

    def parameters(self, sets: int = 1) -> int:
        """Number of learned numbers in the body with `sets` sets of the per-step operations."""
        return chain_parameters(self.body, sets)


@dataclass(frozen=True)
class Connection:
    """A connection, resolved.

    Attributes:
        identifier: its name in emitted code and in the state dict.
        index: place in the spec's list of connections, after expansion of shorthand.
        source, target: names of areas; the source may be the image.
        kind: feedforward, lateral or feedback.
        delay: extra steps.
        source_shape, target_shape: shapes of the states; zeros where unknown.
        transform: operations from the source's state to the target's shape.
    """

    identifier: str
    index: int
    source: str
    target: str
    kind: str
    delay: int
    source_shape: Shape
    target_shape: Shape
    transform: tuple[Operation, ...]

    @property
    def label(self) -> str:
        return f"{self.source} -> {self.target}"

    @property
    def output_shape(self) -> Shape:
        """Shape that the transform makes of the source's state."""
        return chain_output(self.transform, self.source_shape)

    @property
    def parameters(self) -> int:
        return chain_parameters(self.transform)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one evaluation for one image."""
        return chain_macs(self.transform, self.source_shape)


@dataclass(frozen=True)
class Readout:
    """A linear classifier on one area's pooled state; see `ReadoutSpec`."""

    identifier: str
    source: str
    classes: int
    at: str | tuple[int, ...]
    source_shape: Shape
    pool: GlobalPool
    linear: Linear

    @property
    def parameters(self) -> int:
        return chain_parameters((self.linear,))

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one evaluation for one image."""
        return self.linear.macs(self.source_shape)


class AreaGraph(nx.MultiDiGraph):  # type: ignore[misc]
    """Areas and connections of a spec.

    Nodes are the names of the areas and `image`; a node's data holds `area` (an `Area`; absent for the image).
    Edges are keyed by the connection's identifier and hold `connection` (a `Connection`). A connection that
    names an unknown area is no edge: the checks report it.

    Examples:
        >>> import cortexgraph as cg
        >>> graph = cg.build(cg.load("ventral"))
        >>> graph.area("V1").shape
        (32, 32, 32)
        >>> sorted(graph.predecessors("V1"))
        ['V1', 'V2', 'image']
    """

    @property
    def spec(self) -> NetworkSpec:
        spec: NetworkSpec = self.graph["spec"]
        return spec

    @property
    def readout(self) -> Readout:
        readout: Readout = self.graph["readout"]
        return readout

    @property
    def image_shape(self) -> Shape:
        shape: Shape = self.graph["image_shape"]
        return shape

    @property
    def areas(self) -> tuple[Area, ...]:
        """Areas from low to high; ties within a level in the order of declaration."""
        found = [data["area"] for _, data in self.nodes(data=True) if "area" in data]
        return tuple(sorted(found, key=lambda area: (area.level, area.index)))

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Connections in the order of declaration."""
        found: Iterator[Any] = (data["connection"] for _, _, data in self.edges(data=True))
        return tuple(sorted(found, key=lambda connection: connection.index))

    def area(self, name: str) -> Area:
        """The area of this name.

        Raises:
            KeyError: if there is none.
        """
        area: Area = self.nodes[name]["area"]
        return area

    def incoming(self, name: str) -> tuple[Connection, ...]:
        """Connections into an area: feedforward, lateral, then feedback; each in the order of declaration."""
        rank = {"feedforward": 0, "lateral": 1, "feedback": 2}
        found = [data["connection"] for _, _, data in self.in_edges(name, data=True)]
        return tuple(sorted(found, key=lambda connection: (rank[connection.kind], connection.index)))

    def is_area(self, name: str) -> bool:
        return name in self and name != IMAGE
