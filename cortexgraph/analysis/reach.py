"""What updates depend on, and what depends on them: receptive fields, and paths to the readouts.

Along each axis a receptive field is a set of pixels, kept as the bits of an integer. Sets are exact where intervals
would not be: a dilated or transposed convolution leaves gaps. A field is the hull of its set.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_

from cortexgraph.graph import Area, Connection
from cortexgraph.ops import Chain
from cortexgraph.unrolling import Node, UnrolledGraph

Masks = tuple[int, ...]
"""For each place along an axis, the pixels that it depends on: bit n for pixel n."""

Wiring = tuple[tuple[int, ...], ...]
"""For each place of a result along an axis, the places of the input that it reads."""


def receptive_fields(graph: UnrolledGraph, source: str) -> dict[Node, tuple[int, int]]:
    """Height and width in pixels of the receptive field of every live update in an input, over all frames of a video.

    That of the unit which sees most, so that borders, where a field is cut, do not count; (0, 0) where the state
    cannot depend on that input. An upper bound: weights that are zero can make the real field smaller. The
    statistics of a norm over space, which see the whole image, are left out, as is usual.
    """
    rows, columns = (_fields(graph, source, axis) for axis in (0, 1))
    return {node: (_largest(rows[node]), _largest(columns[node])) for node in rows if node.kind == "update"}


def window_of(connection: Connection) -> tuple[int, int]:
    """Height and width of what one place of the target reads of the source's state, away from its borders."""
    wirings = [_wiring(connection.transform, size, axis) for axis, size in enumerate(connection.output_shape[1:])]
    rows, columns = (_largest(_joined(1 << place for place in places) for places in wiring) for wiring in wirings)
    return rows, columns


def _wiring(chain: Chain, size: int, axis: int) -> Wiring:
    return tuple(tuple(sorted(chain.field(axis, place))) for place in range(size))


def _joined(masks: Iterable[int]) -> int:
    return reduce(or_, masks, 0)


def _largest(masks: Iterable[int]) -> int:
    """The largest extent of a set, from its first to its last pixel."""
    return max((mask.bit_length() - (mask & -mask).bit_length() + 1 for mask in {*masks} if mask), default=0)


def _fields(graph: UnrolledGraph, of: str, axis: int) -> dict[Node, Masks]:
    """Fields along one axis. Equal inputs of an area give the same object, so a steady state costs nothing more."""
    areas = graph.areas
    into = {c.identifier: _wiring(c.transform, c.output_shape[1 + axis], axis) for c in areas.connections}
    bodies = {area.name: _wiring(area.body, area.body.output[1 + axis], axis) for area in areas.areas}
    known: dict[object, Masks] = {}
    same: dict[Masks, Masks] = {}
    fields: dict[Node, Masks] = {}
    for node in filter(graph.live, graph):
        if node.kind == "image":
            pixels = tuple((node.name == of) << pixel for pixel in range(areas.shape(node.name)[1 + axis]))
            fields[node] = same.setdefault(pixels, pixels)
        elif node.kind == "zero":
            fields[node] = (0,) * areas.shape(node.name)[1 + axis]
        elif node.kind == "update" and (origin := graph.held(node)) is not None:
            fields[node] = fields[origin]
        elif node.kind == "update":
            before = graph.memory(node)
            terms = {connection.identifier: fields[source] for connection, source in graph.terms(node)}
            state = None if before is None else fields[before]
            key = node.name, tuple((identifier, id(masks)) for identifier, masks in terms.items()), id(state)
            if key not in known:
                drive = [0] * areas.area(node.name).body.shape[1 + axis]
                for identifier, masks in terms.items():
                    for place, sources in enumerate(into[identifier]):
                        drive[place] |= _joined(masks[source] for source in sources)
                after = tuple(_joined(drive[source] for source in sources) for sources in bodies[node.name])
                masks = _after_cell(areas.area(node.name), axis, after, state)
                known[key] = same.setdefault(masks, masks)
            fields[node] = known[key]
    return fields


def _after_cell(area: Area, axis: int, x: Masks, state: Masks | None) -> Masks:
    """The fields of a new state: each place reads a centred window of the body's result, and of the old state."""
    parts = zip((x, state), area.cell.windows(), strict=True)
    reach = [(masks, window[axis] // 2) for masks, window in parts if masks is not None]
    return tuple(
        _joined(mask for masks, n in reach for mask in masks[max(0, at - n) : at + n + 1]) for at in range(len(x))
    )


# ---- paths to the readouts ----------------------------------------------------------

Paths = dict[str, tuple[int, int]]
"""For each readout, by name, the steps of the shortest and of the longest path to it."""


def steps_to_readouts(graph: UnrolledGraph) -> tuple[dict[str, Paths], dict[str, Paths]]:
    """Shortest and longest path to each readout, of every area and of every connection.

    A path starts at a live state: for an area, at one of its own; for a connection, at one that it reads. Its
    length is the number of steps from that state to a readout that depends on it, 0 if they are of one step. The
    longest path that T steps have room for counts; an area or connection that no readout depends on has no path.

    Returns:
        The paths by name of the area, and by identifier of the connection.
    """
    areas: dict[str, Paths] = {}
    connections: dict[str, Paths] = {}
    for readout in dict.fromkeys(node.name for node in graph.readouts):
        nearest: dict[Node, int] = {}  # first and last step of a readout that depends on the node
        farthest: dict[Node, int] = {}
        for node in reversed([*filter(graph.live, graph)]):  # inserted in the order of execution
            after = [head for head in graph.successors(node) if head in nearest]
            if node.kind == "readout" and node.name == readout:
                nearest[node] = farthest[node] = node.step
            elif after:
                nearest[node], farthest[node] = min(nearest[h] for h in after), max(farthest[h] for h in after)
        for node, last in farthest.items():
            if node.kind == "update":
                _extend(areas.setdefault(node.name, {}), readout, nearest[node] - node.step, last - node.step)
                for connection, source in graph.terms(node):
                    if source.kind != "zero":
                        paths, step = connections.setdefault(connection.identifier, {}), source.step
                        _extend(paths, readout, nearest[node] - step, last - step)
    return areas, connections


def _extend(paths: Paths, readout: str, shortest: int, longest: int) -> None:
    known = paths.get(readout, (shortest, longest))
    paths[readout] = min(known[0], shortest), max(known[1], longest)
