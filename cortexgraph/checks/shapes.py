"""Sizes and channels fit: of transforms, bodies and tied parameters, and within memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import prod
from typing import Literal

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.graph.transforms import transform, written_body
from cortexgraph.ops import (
    BatchNorm,
    Chain,
    GroupNorm,
    Operation,
    Shape,
    Spatial,
)
from cortexgraph.spec import ConnectionSpec, ResizeSpec
from cortexgraph.spec.origin import Path
from cortexgraph.unrolling import FLOAT_BYTES, UnrolledGraph, total_parameters
from cortexgraph.wording import count_text

__all__ = [
    "batch_norm_over_one_value",
    "body_shape",
    "channel_groups",
    "memory",
    "norm_over_one_value",
    "shape_mismatch",
    "ties",
    "unknown_size",
]


def unknown_size(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-size`: an area whose size is neither given nor inferred."""
    for area in graph.areas:
        if area.size is None:
            yield graph.spec.origin.diagnostic(
                "unknown-size",
                ("areas", area.name),
                "the area has no `size`, and no feedforward connection from an area of known size gives it one",
                repair="Give the area a `size`, such as `size: 16`.",
            )


def channel_groups(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`channel-groups`: groups of a convolution or norm that do not divide the channels."""
    for connection in graph.connections:
        key = "groups" if graph.spec.connections[connection.index].transform is None else "transform"
        path: Path = ("connections", connection.index, key)
        yield from _groups(graph, connection.transform, path, connection.label)
    for area in graph.areas:
        key = "norm" if written_body(graph.spec, graph.spec.areas[area.name]) is None else "body"
        yield from _groups(graph, area.body, ("areas", area.name, key))


def _groups(graph: AreaGraph, chain: Chain, path: Path, label: str = "") -> Iterator[Diagnostic]:
    for _, link in chain.walk():
        operation = link.operation
        groups, channels = getattr(operation, "groups", 1), [operation.shape[0]]
        if isinstance(operation, Spatial) and hasattr(operation, "channels"):
            channels.append(operation.channels)
        if any(n % groups for n in channels):
            numbers = " and ".join(map(str, channels))
            yield graph.spec.origin.diagnostic(
                "channel-groups",
                path,
                f"{groups} groups do not divide {numbers} channels",
                repair="Choose a number of groups that divides the channels"
                + (" of both ends." if len(channels) > 1 else " of the area."),
                label=label,
            )


def shape_mismatch(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`shape-mismatch`: a connection whose result differs in size or channels from what its target merges."""
    for connection in graph.connections:
        if 0 in connection.source_shape or 0 in connection.target_shape or not connection.transform.whole:
            continue  # an unknown size, or a bad operation, reported elsewhere
        found, target = connection.output_shape, connection.target_shape
        if min(found) < 1 or found[1:] != target[1:]:
            yield _size_mismatch(graph, connection)
        elif found[0] != _merged_channels(graph, connection):
            yield _channel_mismatch(graph, connection)


def _merged_channels(graph: AreaGraph, connection: Connection) -> int:
    """The channels that a connection must give: those of the sum, or of what it gates; any for a concatenation."""
    area = graph.area(connection.target)
    if area.merge == "concat" and connection.role == "drive":
        return connection.output_shape[0]
    return area.body.shape[0]


def _channel_mismatch(graph: AreaGraph, connection: Connection) -> Diagnostic:
    found, wanted = connection.output_shape[0], _merged_channels(graph, connection)
    doing = "sums" if connection.role == "drive" else "gates"
    return graph.spec.origin.diagnostic(
        "channel-mismatch",
        ("connections", connection.index),
        f"the transform ({connection.transform.summary() or 'nothing'}) gives {found} channels",
        f"{connection.target} {doing} {wanted}",
        f"End the transform with a convolution to {wanted} channels, or change the channels of an area.",
        label=connection.label,
    )


def _size_mismatch(graph: AreaGraph, connection: Connection) -> Diagnostic:
    source, found, target = (
        _size(s) for s in (connection.source_shape, connection.output_shape, connection.target_shape)
    )
    return graph.spec.origin.diagnostic(
        "shape-mismatch",
        ("connections", connection.index),
        f"{_geometry(connection.transform)} maps {source} to {found}",
        f"{connection.target} is {target}",
        _size_repair(graph, connection),
        label=connection.label,
    )


def _size_repair(graph: AreaGraph, connection: Connection) -> str:
    """The first repair, from the smallest change on, with which the sizes fit."""
    declared = graph.spec.connections[connection.index]
    if declared.tie is not None:
        return "Change `stride` or `kernel` of the connection that it is tied to, or the size of an area."
    for text, changes in _size_repairs(connection, declared):
        changed = declared.model_copy(update=changes)
        if (
            transform(graph.spec, changed, connection.source_shape, connection.target_shape).output[1:]
            == (connection.target_shape[1:])
        ):
            return text
    return f"Use `resize`, or make {connection.target} {_size(connection.output_shape)}."


def _size_repairs(connection: Connection, declared: ConnectionSpec) -> Iterator[tuple[str, dict[str, object]]]:
    """Repairs to try, as sentences and as the fields of the connection that they change."""
    spatial = next((operation for operation in connection.transform.operations if isinstance(operation, Spatial)), None)
    up = connection.target_shape[1] > connection.source_shape[1]
    if declared.transform is None and spatial is not None and not all(n % 2 for n in spatial.kernel):
        for by in (1, -1):
            kernel = tuple(n if n % 2 else n + by for n in spatial.kernel)
            if min(kernel) > 0:
                written = list(kernel) if kernel[0] != kernel[1] else kernel[0]
                yield f"An even kernel changes the size: write `kernel: {written}`.", {"kernel": kernel}
    if declared.stride is not None:
        start = "A connection that goes up in size needs `resize`: l" if up else "L"
        yield f"{start}eave out `stride`, which is then the ratio of sizes.", {"stride": None}
    modes: tuple[Literal["nearest", "pool"], ...] = ("nearest",) if up else ("pool", "nearest")
    for mode in modes:
        yield f"Write `resize: {mode}`, or change `stride` or `kernel`.", {"resize": ResizeSpec(mode=mode)}


def _geometry(chain: Chain) -> str:
    spatial = [operation for operation in chain.operations if isinstance(operation, Spatial)]
    if len(chain) == 1 and spatial:
        return f"kernel {_pair(spatial[0].kernel)} with stride {_pair(spatial[0].stride)}"
    return f"the transform ({chain.summary(', ') or 'nothing'})"


def _size(shape: Shape) -> str:
    return _pair(shape[1:])


def _pair(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} × {pair[1]}"


def body_shape(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`body-shape`: a body whose result differs in shape from the area's state."""
    for area in graph.areas:
        if area.size is None or not area.body.whole or area.body.output == area.shape:
            continue
        if any(not c.transform.whole for c in graph.incoming(area.name)):
            continue
        found, wanted = (" × ".join(map(str, shape)) for shape in (area.body.output, area.shape))
        merged = " × ".join(map(str, area.body.shape))
        yield graph.spec.origin.diagnostic(
            "body-shape",
            ("areas", area.name, "body"),
            f"the body ({_listed(area.body.operations)}) makes {found} of the merged {merged}",
            f"the area is {wanted}",
            "End the body with a convolution to the channels of the area, without a stride.",
        )


def _listed(operations: tuple[Operation, ...]) -> str:
    return ", ".join(operation.summary() for operation in operations) or "nothing"


def ties(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`bad-tie`: an unknown or ambiguous connection, a circle, or parameters of different shape."""
    for connection in graph.connections:
        if connection.tie_problem is not None:
            path: Path = ("connections", connection.index, "tie")
            yield graph.spec.origin.diagnostic("bad-tie", path, *connection.tie_problem, label=connection.label)


def norm_over_one_value(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`norm-over-one-value` (a warning): a value minus its own mean is 0, so that only the shift is left."""
    for area in graph.areas:
        yield from _in_chain(graph, area.body, ("areas", area.name))
    for connection in graph.connections:
        yield from _in_chain(graph, connection.transform, ("connections", connection.index), connection.label)


def _in_chain(graph: AreaGraph, chain: Chain, path: Path, label: str = "") -> Iterator[Diagnostic]:
    for _, link in chain.walk():
        norm = link.operation
        if isinstance(norm, GroupNorm) and norm.over_one_value:
            yield graph.spec.origin.diagnostic(
                "norm-over-one-value",
                path,
                f"the {norm.summary()} of {' × '.join(map(str, norm.shape))} normalises each value by itself: "
                "its result does not depend on its input",
                repair="Choose fewer groups, or a batch norm.",
                label=label,
                severity="warning",
            )


def batch_norm_over_one_value(graph: AreaGraph, images: int) -> Iterator[Diagnostic]:
    """`batch-norm-over-one-value`: a batch norm that training with so many images in a batch cannot evaluate."""
    chains: list[tuple[Path, Chain, str]] = [(("areas", area.name), area.body, "") for area in graph.areas]
    chains += [(("connections", c.index), c.transform, c.label) for c in graph.connections]
    for path, chain, label in chains:
        for _, link in chain.walk():
            if isinstance(link.operation, BatchNorm) and images * prod(link.operation.shape[1:]) == 1:
                yield graph.spec.origin.diagnostic(
                    "batch-norm-over-one-value",
                    path,
                    "training has one value for each channel of the batch norm: one image in a batch, of 1 × 1 points",
                    "a batch norm needs at least two",
                    "Train with --batch-size 2 or more, or choose a group norm.",
                    label=label,
                )


def memory(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`memory` (a warning): parameters, or the states of one image in training, exceed this machine's memory.

    An estimate from below: gradients, the optimiser and intermediate results come on top.
    """
    areas = unrolled.areas
    parameters = total_parameters(unrolled)
    states = sum(prod(areas.shape(node.name)) for node in unrolled.live_updates() if unrolled.carried_out(node))
    there = _machine_bytes()
    for what, numbers in (("the parameters", parameters), ("the states of one image", states)):
        if there is not None and numbers * FLOAT_BYTES > there:
            yield areas.spec.origin.diagnostic(
                "memory",
                ("areas",) if what == "the parameters" else ("time", "steps"),
                f"{what} take {count_text(numbers * FLOAT_BYTES)}B as 32-bit numbers",
                f"this machine has {count_text(there)}B of memory",
                "Choose fewer channels, smaller areas or fewer steps.",
                severity="warning",
            )


def _machine_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on this system
        return None
