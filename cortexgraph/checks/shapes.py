"""Sizes and channels fit: of transforms, bodies and tied parameters, and within memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import prod
from typing import Literal

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph, Connection
from cortexgraph.graph.transforms import transform, written_body
from cortexgraph.ops import BatchNorm, GroupNorm, Operation, Resize, Spatial
from cortexgraph.spec import ConnectionSpec, ResizeSpec
from cortexgraph.spec.origin import Path
from cortexgraph.unrolling import FLOAT_BYTES, UnrolledGraph, total_parameters
from cortexgraph.wording import by, count_text


def unknown_size(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-size`: an area whose size is not set and cannot be inferred."""
    for area in graph.areas:
        if area.size is None:
            problem = "the area has no `size`, and no feedforward connection from an area of known size gives it one"
            repair = "Give the area a `size`, such as `size: 16`."
            yield graph.spec.diagnostic("unknown-size", ("areas", area.name), problem, repair=repair)


def _operations(graph: AreaGraph) -> Iterator[tuple[Path, str, Operation]]:
    """Every operation: the path of its connection or area, the key under which it is written, and the operation."""
    for connection in graph.connections:
        path, key = ("connections", connection.index), graph.spec.connections[connection.index].transform is None
        for _, link in connection.transform.walk():
            yield path, "groups" if key else "transform", link.operation
    for area in graph.areas:
        key = written_body(graph.spec, graph.spec.areas[area.name]) is None
        for _, link in area.body.walk():
            yield ("areas", area.name), "norm" if key else "body", link.operation
        for _, link in area.output.walk() if area.cell.has_memory else ():
            yield ("areas", area.name), "output", link.operation
    for readout in graph.readouts:
        for _, link in readout.transform.walk() if readout.transform is not None else ():
            yield ("readout", readout.index), "transform", link.operation


def channel_groups(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`channel-groups`: groups of a convolution or norm that do not divide the channels."""
    for path, key, operation in _operations(graph):
        groups, channels = getattr(operation, "groups", 1), [operation.shape[0]]
        if isinstance(operation, Spatial) and hasattr(operation, "channels"):
            channels.append(operation.channels)
        if any(n % groups for n in channels):
            problem = f"{groups} groups do not divide {' and '.join(map(str, channels))} channels"
            largest = max(n for n in range(1, groups) if not any(count % n for count in channels))
            of = "both ends" if len(channels) > 1 else "the area"
            repair = f"Write `groups: {largest}`, or another number that divides the channels of {of}."
            yield graph.spec.diagnostic("channel-groups", (*path, key), problem, repair=repair)


def shape_mismatch(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`shape-mismatch`: a connection whose result differs in size or channels from what its target merges."""
    for connection in graph.connections:
        if 0 in connection.source_shape or 0 in connection.target_shape or not connection.transform.whole:
            continue  # an unknown size, or a bad operation, reported elsewhere
        output, target = connection.output_shape, connection.target_shape
        if min(output) < 1 or output[1:] != target[1:]:
            yield _size_mismatch(graph, connection)
        elif output[0] != _merged_channels(graph, connection):
            yield _channel_mismatch(graph, connection)


def _merged_channels(graph: AreaGraph, connection: Connection) -> int:
    """The channels that a connection must give: those of the sum, or of what it gates; any for a concatenation."""
    area = graph.area(connection.target)
    if area.merge == "concat" and connection.role == "drive":
        return connection.output_shape[0]
    return area.body.shape[0]


def _channel_mismatch(graph: AreaGraph, connection: Connection) -> Diagnostic:
    channels, merged = connection.output_shape[0], _merged_channels(graph, connection)
    problem = f"the transform ({connection.transform.summary() or 'nothing'}) gives {channels} channels"
    expected = f"{connection.target} {'sums' if connection.role == 'drive' else 'gates'} {merged}"
    repair = f"End the transform with a convolution to {merged} channels, or change the channels of an area."
    return graph.spec.diagnostic("channel-mismatch", ("connections", connection.index), problem, expected, repair)


def _size_mismatch(graph: AreaGraph, connection: Connection) -> Diagnostic:
    source, output, target = (
        _side(shape[1:]) for shape in (connection.source_shape, connection.output_shape, connection.target_shape)
    )
    spatial = [operation for operation in connection.transform.operations if isinstance(operation, Spatial)]
    geometry = f"the transform ({connection.transform.summary(', ') or 'nothing'})"
    if len(connection.transform) == 1 and spatial:
        geometry = f"kernel {_side(spatial[0].kernel)} with stride {_side(spatial[0].stride)}"
    path, repair = ("connections", connection.index), _size_repair(graph, connection)
    problem, expected = f"{geometry} maps {source} to {output}", f"{connection.target} is {target}"
    return graph.spec.diagnostic("shape-mismatch", path, problem, expected, repair)


def _size_repair(graph: AreaGraph, connection: Connection) -> str:
    """The first repair, from the smallest change on, with which the sizes fit."""
    declared = graph.spec.connections[connection.index]
    if declared.tie is not None:
        return "Change `stride` or `kernel` of the connection that it is tied to, or the size of an area."
    for text, changes in _size_repairs(connection, declared):
        changed = declared.model_copy(update=changes)
        repaired = transform(graph.spec, changed, connection.source_shape, connection.target_shape)
        if repaired.output[1:] == connection.target_shape[1:]:
            return text
    return f"Use `resize`, or make {connection.target} {_side(connection.output_shape[1:])}."


def _odd_kernels(connection: Connection) -> Iterator[tuple[str, dict[str, object]]]:
    """The odd kernels next to an even one, as sentences and as the field of the connection."""
    spatial = next((operation for operation in connection.transform.operations if isinstance(operation, Spatial)), None)
    for step in (1, -1) if spatial is not None and not all(n % 2 for n in spatial.kernel) else ():
        assert spatial is not None
        kernel = tuple(n if n % 2 else n + step for n in spatial.kernel)
        if min(kernel) > 0:
            written = list(kernel) if kernel[0] != kernel[1] else kernel[0]
            yield f"An even kernel changes the size: write `kernel: {written}`.", {"kernel": kernel}


def _size_repairs(connection: Connection, declared: ConnectionSpec) -> Iterator[tuple[str, dict[str, object]]]:
    """Repairs to try, as sentences and as the fields of the connection that they change."""
    up = connection.target_shape[1] > connection.source_shape[1]
    if declared.transform is None:
        yield from _odd_kernels(connection)
    if declared.stride is not None:
        repair = "Remove `stride`: by default it is the ratio of sizes."
        yield "A connection that goes up in size needs `resize`: remove `stride`." if up else repair, {"stride": None}
    modes: tuple[Literal["nearest", "pool"], ...] = ("nearest",) if up else ("pool", "nearest")
    in_chain = declared.model_fields_set <= {"source", "target"}
    for mode in modes:
        repair = f"Write `resize: {mode}`, or change `stride` or `kernel`."
        if in_chain:
            mapping = f"{{from: {declared.source}, to: {declared.target}, resize: {mode}}}"
            repair = f"Write it as a separate entry: `{mapping}`, or change the size of an area."
        yield repair, {"resize": ResizeSpec(mode=mode)}


def uneven_resize(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`uneven-resize` (a warning): an even kernel that loses a pixel at the border before its result is resized.

    The sizes of source and target have a whole ratio, but what is resized has none: places no longer lie on each other.
    """
    for connection in graph.connections:
        resizes = [operation for operation in connection.transform.operations if isinstance(operation, Resize)]
        shapes = (connection.source_shape, connection.target_shape)
        if any(0 in shape for shape in shapes) or not connection.transform.whole or not resizes:
            continue
        ends = zip(*(shape[1:] for shape in shapes), strict=True)
        inner = zip(resizes[-1].shape[1:], connection.target_shape[1:], strict=True)
        if all(_whole_ratio(*sizes) for sizes in ends) and not all(_whole_ratio(*sizes) for sizes in inner):
            source, resized, target = (_side(shape[1:]) for shape in (shapes[0], resizes[-1].shape, shapes[1]))
            problem, expected = f"the transform maps {source} to {resized}", f"that is then resized to {target}"
            path = ("connections", connection.index)
            for repair, _ in [*_odd_kernels(connection)][:1]:
                yield graph.spec.diagnostic("uneven-resize", path, problem, expected, repair, severity="warning")


def _whole_ratio(size: int, other: int) -> bool:
    return not size % other or not other % size


def wide_kernel(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`wide-kernel` (a warning): a kernel so wide that some of its weights never see anything but the border.

    Not for the usual 3 × 3 on a single pixel.
    """
    for path, _, operation in _operations(graph):
        if not isinstance(operation, Spatial) or 0 in operation.shape:
            continue
        reach = [d * (k - 1) + 1 for d, k in zip(operation.dilation, operation.kernel, strict=True)]
        if any(extent > 2 * size + 1 for extent, size in zip(reach, operation.shape[1:], strict=True)):
            size, extent = _side(operation.shape[1:]), _side((reach[0], reach[1]))
            problem = f"the kernel spans {extent} pixels of {size}: some of its weights see only zeros around them"
            repair = f"Choose a kernel of at most {2 * min(operation.shape[1:]) - 1}."
            yield graph.spec.diagnostic("wide-kernel", path, problem, repair=repair, severity="warning")


def _side(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else by(pair)


def body_shape(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`body-shape`: a body whose result differs in shape from the area's state."""
    for area in graph.areas:
        if area.size is None or not area.body.whole or area.body.output == area.shape:
            continue
        if any(not c.transform.whole for c in graph.incoming(area.name)):
            continue
        output, state, merged = (
            " × ".join(map(str, shape)) for shape in (area.body.output, area.shape, area.body.shape)
        )
        operations = ", ".join(operation.summary() for operation in area.body.operations) or "nothing"
        problem = f"the body ({operations}) maps the merged {merged} to {output}"
        repair = "End the body with a convolution to the channels of the area, without a stride."
        yield graph.spec.diagnostic("body-shape", ("areas", area.name, "body"), problem, f"the area is {state}", repair)


def outputs(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`bad-output`: operations that cannot follow a cell with memory."""
    for area in graph.areas:
        if area.size is None or not area.cell.has_memory or not area.output.whole:
            continue
        path = ("areas", area.name, "output")
        for link in area.output:
            operation = link.operation
            if link.per_step or operation.averages or operation.random or operation.chains():
                problem = f"{operation.summary()} cannot follow a cell with memory"
                expected = (
                    "these operations have no running statistics, inner chains or sets per step, and draw nothing"
                )
                repair = "Put it into `body`, or into the transforms of the connections that read the area."
                yield graph.spec.diagnostic("bad-output", path, problem, expected, repair)
        if area.output.links and area.output.output != area.shape:
            output, state = (" × ".join(map(str, shape)) for shape in (area.output.output, area.shape))
            problem, repair = f"the output maps the state to {output}", "Put what changes the shape into `body`."
            yield graph.spec.diagnostic("bad-output", path, problem, f"the area is {state}", repair)


def readout_transforms(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`bad-readout`: a transform of another shape than the logits, or with operations that a readout cannot have."""
    for readout in graph.readouts:
        chain, path = readout.transform, ("readout", readout.index, "transform")
        if chain is None or not chain.whole or 0 in readout.source_shape:
            continue
        for _, link in chain.walk():
            if link.per_step or link.operation.averages:
                problem = f"a readout cannot have a {link.operation.summary()}"
                expected = "its operations have no running statistics and no sets per step"
                repair = "Put it into the `body` of an area, or choose a group norm."
                yield graph.spec.diagnostic("bad-readout", path, problem, expected, repair)
        channels, *size = chain.output
        if readout.is_map and channels != readout.classes:
            problem = f"the transform ({chain.summary(', ') or 'nothing'}) gives {channels} channels"
            repair, expected = f"Write `classes: {channels}`.", f"the readout has {readout.classes} for each place"
            yield graph.spec.diagnostic("bad-readout", path, problem, expected, repair)
        elif not readout.is_map and chain.output != (readout.classes, 1, 1):
            problem = f"the transform ({chain.summary(', ') or 'nothing'}) gives {' × '.join(map(str, chain.output))}"
            repair = f"Write `classes: {channels}`." if size == [1, 1] else "End the transform with `{pool: 1}`."
            yield graph.spec.diagnostic("bad-readout", path, problem, f"logits are {readout.classes} × 1 × 1", repair)


def ties(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`bad-tie`: an unknown or ambiguous connection, a circle, or parameters of different shape."""
    for connection in graph.connections:
        if connection.tie_problem is not None:
            yield graph.spec.diagnostic("bad-tie", ("connections", connection.index, "tie"), *connection.tie_problem)


def norm_over_one_value(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`norm-over-one-value` (a warning): a value minus its own mean is 0, so that only the shift is left."""
    for path, _, norm in _operations(graph):
        if isinstance(norm, GroupNorm) and norm.over_one_value:
            shape = " × ".join(map(str, norm.shape))
            problem = (
                f"the {norm.summary()} of {shape} normalises each value by itself: its result does not depend on "
                "its input"
            )
            repair = "Choose fewer groups, or a batch norm."
            yield graph.spec.diagnostic("norm-over-one-value", path, problem, repair=repair, severity="warning")


def batch_norm_over_one_value(graph: AreaGraph, images: int) -> Iterator[Diagnostic]:
    """`batch-norm-over-one-value`: a batch norm that training cannot evaluate with this number of images in a batch."""
    for path, _, norm in _operations(graph):
        if isinstance(norm, BatchNorm) and images * prod(norm.shape[1:]) == 1:
            yield graph.spec.diagnostic(
                "batch-norm-over-one-value",
                path,
                "with one image in a batch and a size of 1 × 1, the batch norm sees one value for each channel",
                "it needs at least two in training",
                "Train with --batch-size 2 or more, or choose a group norm.",
            )


def memory(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`memory` (a warning): parameters, or the states of one image in training, exceed this machine's memory.

    An estimate from below: gradients, the optimiser and intermediate results come on top.
    """
    areas, available = unrolled.areas, _machine_bytes()
    states = sum(prod(areas.shape(node.name)) for node in unrolled.live_updates() if unrolled.carried_out(node))
    costs: tuple[tuple[str, Path, int], ...] = (
        ("the parameters", ("areas",), total_parameters(unrolled)),
        ("the states of one image", ("time", "steps"), states),
    )
    for what, path, numbers in costs:
        if available is not None and numbers * FLOAT_BYTES > available:
            problem = f"{what} take {count_text(numbers * FLOAT_BYTES)}B as 32-bit numbers"
            expected = f"this machine has {count_text(available)}B of memory"
            repair = "Choose fewer channels, smaller areas or fewer steps."
            yield areas.spec.diagnostic("memory", path, problem, expected, repair, severity="warning")


def _machine_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on this system
        return None
