"""The pipeline, from top to bottom: spec → area graph → unrolled graph → settled → passes → source → module."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING, SupportsIndex

from pydantic import ValidationError

from cortexgraph.arguments import arguments_explained
from cortexgraph.checks import check_graph, check_structure
from cortexgraph.checks.behaviour import Record, named_steps, record_sinks, silent_sinks
from cortexgraph.checks.shapes import memory
from cortexgraph.codegen import Checkpoint, MemoryFormat, emit_source, runs_of
from cortexgraph.errors import CompileError, DataError, Diagnostic, Findings, GraphError
from cortexgraph.graph import AreaGraph, assemble
from cortexgraph.graph.names import renamed
from cortexgraph.passes import lowered, run_passes
from cortexgraph.program import Backend, CompileOptions, Program, Roll
from cortexgraph.spec import NetworkSpec, SpecLike, resolve
from cortexgraph.spec.model import TimeSpec
from cortexgraph.unrolling import (
    Moment,
    Order,
    UnrolledGraph,
    interpret_graph,
    settle,
    state_problems,
    unroll_graph,
    unroll_piece,
    verify,
    with_state,
)

if TYPE_CHECKING:
    from torch import Tensor

    from cortexgraph.loading import Images
    from cortexgraph.network import CompiledNetwork, Compilers

# ---- the pipeline ------------------------------------------------------------------


@arguments_explained
def check(spec: SpecLike) -> Findings:
    """Every finding about a spec (or its path or zoo name), errors before warnings.

    Returns:
        A list of `Diagnostic`, which prints as `cortexgraph check` prints it.

    Examples:
        >>> import cortexgraph as cg
        >>> cg.check("ventral")
        no findings
    """
    return Findings(check_graph(assemble(resolve(spec))))


@arguments_explained
def build(spec: SpecLike) -> AreaGraph:
    """The area graph of a spec (or of its path or zoo name).

    Raises:
        SpecError: if the spec cannot be read.
        GraphError: with all findings, if it does not make a network.
    """
    graph = assemble(resolve(spec))
    errors = [finding for finding in check_structure(graph) if finding.severity == "error"]
    if errors:
        raise GraphError(errors)
    return graph


@arguments_explained
def unroll(
    spec: SpecLike,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    *,
    video: bool | Sequence[str] = False,
) -> UnrolledGraph:
    """The unrolled graph of a spec, silent, held and unread updates included.

    Args:
        spec: the network, or its path or zoo name.
        steps: number of steps T; the spec's by default.
        order: `simultaneous`, `sequential` or groups of areas; the spec's by default.
        record: states to keep, such as ``{"V4": "all", "IT": [3, 8]}``, as for `cortexgraph.compile`.
        video: whether each step reads its own frame, or of which inputs it does; otherwise the image is static.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: if `record` names an unknown area or a step outside 1 … T.
    """
    return _unrolled(build(retimed(spec, steps, order)), record or {}, video=video)


def lower(
    spec: SpecLike,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    roll: Roll = "never",
    *,
    video: bool | Sequence[str] = False,
) -> tuple[UnrolledGraph, UnrolledGraph]:
    """The unrolled graph before and after passes.

    Where it is rolled, a network of many steps is unrolled only until its steady state shows.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area, an unknown pass, or a bad `record` or `roll`.
    """
    options = CompileOptions(record, passes, roll, video=video)
    options.check()
    return _lowered(build(retimed(spec, steps, order)), options)


def program(spec: NetworkSpec, options: CompileOptions) -> Program:
    """The emitted network of a spec. Raises GraphError, CompileError as `cortexgraph.compile`."""
    options.check()
    full, kept = _lowered(build(spec).under(options.interventions), options)
    emitted = emit_source(full, kept, options.memory_format, runs_of(kept, options.checkpoint))
    return Program(spec, options, full, kept, emitted)


def piece_of_stream(
    areas: AreaGraph, options: CompileOptions, moment: Moment, steps: int, *, same: bool = False
) -> tuple[Program, Moment]:
    """The emitted next piece of a stream, and the moment at its end.

    Recorded states of the options are those of the piece; `same` says whether the static image is that of the piece
    before.
    """
    full, end = unroll_piece(areas, moment, steps, video=options.video, same=same)
    full = verify(record_sinks(full, options.record or {}))
    settled, end = with_state(settle(full), end)
    kept = run_passes(verify(settled), options.pass_names)
    end = replace(end, constant=frozenset(kept.info.constant & end.nodes.keys()))
    return Program(areas.spec, options, full, kept, emit_source(full, kept, options.memory_format)), end


def _lowered(areas: AreaGraph, options: CompileOptions) -> tuple[UnrolledGraph, UnrolledGraph]:
    record, names = options.record or {}, options.pass_names

    def lower(steps: int) -> tuple[UnrolledGraph, UnrolledGraph]:
        full = _unrolled(areas, record, steps, video=options.video, tbptt=options.tbptt)
        if silent := list(silent_sinks(full)):
            raise CompileError(silent)
        return full, run_passes(verify(settle(full)), names)

    collecting = gc.isenabled()
    gc.disable()  # a large graph holds no garbage, and each collection would scan all of it
    try:
        return lowered(lower, areas, names, named_steps(record))
    finally:
        if collecting:
            gc.enable()


def _unrolled(
    areas: AreaGraph,
    record: Record,
    steps: int | None = None,
    *,
    video: bool | Sequence[str] = False,
    tbptt: int | None = None,
) -> UnrolledGraph:
    return verify(record_sinks(unroll_graph(areas, steps, video=video, tbptt=tbptt), record))


# ---- what users call ---------------------------------------------------------------


@arguments_explained
def emit(
    spec: SpecLike,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    roll: Roll = "auto",
    memory_format: MemoryFormat = "contiguous",
    checkpoint: Checkpoint | None = None,
    *,
    video: bool | Sequence[str] = False,
) -> str:
    """Source of a Python module with the compiled network; it imports only torch.

    Arguments and exceptions are those of `compile_spec`; torch is not imported.
    """
    options = CompileOptions(record, passes, roll, memory_format, checkpoint=checkpoint, video=video)
    return program(retimed(spec, steps, order), options).source


@arguments_explained
def compile_spec(
    spec: SpecLike,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    roll: Roll = "auto",
    memory_format: MemoryFormat = "contiguous",
    backend: Backend = "eager",
    checkpoint: Checkpoint | None = None,
    *,
    video: bool | Sequence[str] = False,
    tbptt: int | None = None,
) -> CompiledNetwork:
    """Compile a spec to a torch module.

    Args:
        spec: the network, or its path or zoo name.
        steps: number of steps T; the spec's by default.
        order: `simultaneous`, `sequential` or groups of areas; the spec's by default.
        record: states to return, such as ``{"V4": "all", "IT": [3, 8]}``; ``"V4"`` or ``["V4", "IT"]`` for all steps of
            areas, and ``"all"`` for all steps of all areas.
        passes: names of the passes to run; all by default.
        roll: whether to write the steady state as a loop where a period repeats three times: `auto`, which is also
            called `always`, or `never`.
        memory_format: layout of kernels and states in memory, `contiguous` or `channels_last`, in which convolutions
            are fastest; it changes the speed and the strides, but no value, shape or key.
        backend: `eager`, or `inductor` to have `torch.compile` turn the source into kernels at the first call, with
            CUDA graphs where there is a GPU.
        checkpoint: segments of steps of whose states training keeps only the first, to recompute the others in
            the backward pass: `sqrt` (of the number of steps: memory grows with its root), a number of segments, or
            a `MemoryBudget`, from which the least number of segments that keeps to it follows. Implies a loop.
        video: whether the emitted source is for videos, with a frame for each step, not for static images; or the names
            of the inputs for which it is. The network takes both; the source for others is compiled on first use.
        tbptt: after how many steps gradients are cut: truncated back-propagation through time. By default they flow
            through all steps after the warm-up.

    Returns:
        A module whose ``forward(x)`` takes images [B, C, H, W] or videos [B, T, C, H, W] (of several inputs a mapping
        of their names to these) and returns logits [B, classes], or [B, n, classes] for n readout steps (of several
        readouts by name); with `record`, a pair of the logits and the states by (area, step). It carries `.source`,
        `.spec`, `.options` and `.unrolled`.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area, an unknown pass, memory format or backend, or a bad
            `record`, `roll` or `checkpoint`.
    """
    options = CompileOptions(record, passes, roll, memory_format, backend, checkpoint, video, tbptt)
    return compile_with(retimed(spec, steps, order), options)


def compile_with(spec: NetworkSpec, options: CompileOptions) -> CompiledNetwork:
    """Compile a spec with options that are given as one; see `compile_spec`."""
    compiled = program(spec, options)
    if too_large := [replace(f, severity="error") for f in memory(compiled.full) if f.place == "areas"]:
        raise CompileError(too_large)
    from cortexgraph.network import make_network
    from cortexgraph.own_operations import check_own_operations

    network = make_network(compiled, _compilers())
    check_own_operations(network)
    return network


def restored_network(spec: NetworkSpec, options: CompileOptions, source: str) -> CompiledNetwork:
    """A network of this source, whose state a pickle fills in."""
    from cortexgraph.network import empty_network

    return empty_network(program(spec, options), source, _compilers())


def _compilers() -> Compilers:
    from cortexgraph.network import Compilers

    return Compilers(program, piece_of_stream, restored_network)


@arguments_explained
def interpret(
    spec: SpecLike,
    state_dict: Mapping[str, Tensor],
    x: Images,
    steps: int | None = None,
    order: Order | None = None,
    *,
    training: bool = False,
    record: Record | None = None,
    running_statistics: dict[str, Tensor] | None = None,
) -> tuple[Tensor | dict[str, Tensor], dict[tuple[str, int], Tensor]]:
    """Run a spec by the reference interpreter: what `docs/semantics.md` defines, step by step, with no optimisation.

    Args:
        spec: the network, or its path or zoo name.
        state_dict: parameters and buffers under the names of the compiled module.
        x: images [B, C, H, W], or videos [B, T, C, H, W] whose frame t is the image of step t; of several inputs a
            mapping of their names to these.
        steps: as for `cortexgraph.compile`.
        order: as for `cortexgraph.compile`.
        training: whether batch norms take their statistics from the batch.
        record: the states that are recorded: what they depend on moves running statistics.
        running_statistics: filled with the running statistics after the run, under the names of the state dict.

    Returns:
        Logits as the compiled module gives them, and the state [B, C, H, W] of every live area at the end of every
        step, by (area, step).

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout of a silent area.
        DataError: for images that are not floats or have another size, and for a state dict that lacks parameters.
    """
    graph = build(retimed(spec, steps, order))
    from cortexgraph.loading import by_input
    from cortexgraph.network import States

    images = by_input(x, graph.input_names)
    _check_frames(graph, images)
    dtype = next(iter(images.values())).dtype
    if not isinstance(state_dict, Mapping) or not all(hasattr(each, "dtype") for each in state_dict.values()):
        found, expected = f"a {type(state_dict).__name__} was given", "tensors by their names are needed"
        raise DataError(Diagnostic("bad-state-dict", "state_dict", found, expected, "Give `network.state_dict()`."))
    entries = renamed(graph, state_dict)
    if problems := list(state_problems(graph, entries, dtype)):
        raise DataError(problems)
    unrolled = _unrolled(graph, record or {})
    if silent := list(silent_sinks(unrolled)):
        raise CompileError(silent)
    records = [(node.name, node.step) for node in unrolled.records]
    logits, states = interpret_graph(
        graph, entries, images, training=training, records=records, running_statistics=running_statistics
    )
    return logits, States(states)


def _check_frames(graph: AreaGraph, images: Mapping[str, Tensor]) -> None:
    """Reject images of another size, and videos that are too short."""
    from cortexgraph.loading import check_images, input_place

    steps = graph.spec.time.steps
    for each in graph.inputs:
        x, place = images[each.name], input_place(each.name, graph.input_names)
        check_images(x, place=place)
        if tuple(x.shape[-3:]) != each.shape or x.ndim not in (4, 5) or (x.ndim == 5 and x.shape[1] < steps):
            image = ", ".join(map(str, each.shape))
            frames = f"a frame for each of {steps} steps"
            expected = f"[B, {image}], or [B, T, {image}] of a video with {frames}, is expected"
            raise DataError(Diagnostic("bad-images", place, f"{place} is {[*x.shape]}", expected))


def retimed(spec: SpecLike, steps: int | None, order: Order | None) -> NetworkSpec:
    """The spec with another number of steps or order. Raises CompileError if they are not of the language."""
    spec = resolve(spec)
    if steps is None and order is None:
        return spec
    asked = {"steps": index(steps) if isinstance(steps, SupportsIndex) and steps is not True else steps, "order": order}
    changes = {key: value for key, value in asked.items() if value is not None}
    try:
        return spec.with_time(TimeSpec.model_validate(spec.time.model_dump() | changes), [*changes])
    except ValidationError as error:
        expected = {
            "steps": "steps is a whole number from 1",
            "order": "order is simultaneous, sequential or a list of groups of areas",
        }
        examples = {"steps": "8", "order": '"sequential"'}
        places = {str(problem["loc"][0]): problem["input"] for problem in error.errors()}
        raise CompileError(
            Diagnostic("bad-time", place, f"{given!r} was given", expected[place], f"Give {place}={examples[place]}.")
            for place, given in places.items()
        ) from None
