"""Receptive fields: which pixels of the image an update can depend on.

Along each axis the field of a place is a set of pixels, kept as the bits of an integer. Sets are exact where
intervals would not be: a dilated or transposed convolution leaves gaps. A field is the hull of its set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["Extent", "receptive_fields", "window_of"]

Extent = tuple[int, int]
"""Height and width."""

Masks = tuple[int, ...]
"""For each place along an axis, the pixels that it depends on: bit n for pixel n."""

Wiring = tuple[tuple[int, ...], ...]
"""For each place of a result along an axis, the places of the input that it reads."""


def receptive_fields(graph: UnrolledGraph) -> dict[Node, Extent]:
    """Height and width in pixels of the receptive field of every live update, over all frames of a video.

    That of the unit which sees most, so that borders, where a field is cut, do not count; (0, 0) where the state
    cannot depend on the image. An upper bound: weights that are zero can make the real field smaller. The
    statistics of a norm over space, which see the whole image, are left out, as is usual.
    """
    rows, columns = (_Axis(graph.areas, axis).run(graph) for axis in (0, 1))
    return {node: (_largest(rows[node]), _largest(columns[node])) for node in rows if node.kind == "update"}


def window_of(connection: Connection) -> Extent:
    """Height and width of what one place of the target reads of the source's state, away from its borders."""
    rows, columns = (_wiring(connection, axis) for axis in (0, 1))
    return max(map(_hull, map(_bits, rows)), default=0), max(map(_hull, map(_bits, columns)), default=0)


def _wiring(connection: Connection, axis: int) -> Wiring:
    places = range(connection.output_shape[1 + axis])
    return tuple(tuple(sorted(connection.transform.field(axis, place))) for place in places)


def _bits(places: Iterable[int]) -> int:
    return reduce(or_, (1 << place for place in places), 0)


def _hull(mask: int) -> int:
    """From the first to the last pixel of a set."""
    return mask.bit_length() - ((mask & -mask).bit_length() - 1) if mask else 0


def _largest(masks: Masks) -> int:
    return max(map(_hull, set(masks)), default=0)


class _Axis:
    """Fields along one axis. Equal inputs of an area give the same object, so a steady state costs nothing more."""

    def __init__(self, areas: AreaGraph, axis: int) -> None:
        self.axis = axis
        self.pixels = tuple(1 << pixel for pixel in range(areas.image_shape[1 + axis]))
        self.connections = {c.identifier: _wiring(c, axis) for c in areas.connections}
        self.bodies: dict[str, Wiring] = {}
        self.windows: dict[str, tuple[int, int]] = {}
        for area in areas.areas:
            places = range(area.body.output[1 + axis])
            self.bodies[area.name] = tuple(tuple(sorted(area.body.field(axis, place))) for place in places)
            of_x, of_state = area.cell.windows()
            self.windows[area.name] = of_x[axis], of_state[axis]
        self.known: dict[object, Masks] = {}
        self.same: dict[Masks, Masks] = {}

    def run(self, graph: UnrolledGraph) -> dict[Node, Masks]:
        found: dict[Node, Masks] = {}
        for node in graph:
            if not graph.live(node):
                continue
            if node.kind == "image":
                found[node] = self.pixels
            elif node.kind == "zero":
                found[node] = (0,) * graph.areas.shape(node.name)[1 + self.axis]
            elif node.kind == "update":
                origin = graph.held(node)
                found[node] = self._update(graph, node, found) if origin is None else found[origin]
        return found

    def _update(self, graph: UnrolledGraph, node: Node, found: dict[Node, Masks]) -> Masks:
        before = graph.memory(node)
        terms = [(connection.identifier, found[source]) for connection, source in graph.terms(node)]
        state = None if before is None else found[before]
        key = node.name, tuple((name, id(masks)) for name, masks in terms), id(state)
        if key not in self.known:
            masks = self._new(graph.areas, node.name, terms, state)
            self.known[key] = self.same.setdefault(masks, masks)
        return self.known[key]

    def _new(self, areas: AreaGraph, name: str, terms: Sequence[tuple[str, Masks]], state: Masks | None) -> Masks:
        area = areas.area(name)
        merged = [0] * area.body.shape[1 + self.axis]
        for identifier, masks in terms:
            for place, sources in enumerate(self.connections[identifier]):
                merged[place] |= reduce(or_, (masks[source] for source in sources), 0)
        after = tuple(reduce(or_, (merged[source] for source in sources), 0) for sources in self.bodies[name])
        of_x, of_state = self.windows[name]
        fields = _widened(after, of_x)
        if state is None:
            return fields
        return tuple(a | b for a, b in zip(fields, _widened(state, of_state), strict=True))


def _widened(masks: Masks, window: int) -> Masks:
    """The fields of places that each read a centred window."""
    reach = window // 2
    if not reach:
        return masks
    return tuple(reduce(or_, masks[max(0, n - reach) : n + reach + 1]) for n in range(len(masks)))
