"""The pipeline, from top to bottom: spec → area graph → unrolled graph → passes → source → module."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import ValidationError

from cortexgraph.checkpoints import Checkpoint, runs_of
from cortexgraph.checks import check_graph, check_structure
from cortexgraph.checks.behaviour import record_sinks, silent_sinks
from cortexgraph.checks.shapes import memory
from cortexgraph.codegen import Backend, MemoryFormat, apply_backend, emit_source, load_source
from cortexgraph.errors import CompileError, Diagnostic, GraphError
from cortexgraph.graph import AreaGraph, assemble
from cortexgraph.passes import chosen, run_passes
from cortexgraph.passes.steady import cut, find_loop, short_clocks, stretched
from cortexgraph.spec import NetworkSpec
from cortexgraph.spec.model import TimeSpec
from cortexgraph.unrolling import Order, UnrolledGraph, groups_of, interpret_graph, mark_read, unroll_graph
from cortexgraph.unrolling.verify import verify

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["build", "check", "compile_spec", "emit", "interpret", "lower", "unroll", "wants_loop"]

Roll = Literal["auto", "always", "never"]
"""Whether to write the steady state as a loop."""

STRAIGHT_UPDATES = 256
"""With more updates than these, `auto` writes the steady state as a loop: longer source is no pleasure to read."""

Record = Mapping[str, str | int | Sequence[int]]
"""States to return: for each area `all` (every step at which it is live), `last`, or a list of steps."""


def check(spec: NetworkSpec) -> list[Diagnostic]:
    """Every finding about a spec, errors before warnings."""
    return check_graph(assemble(spec))


def build(spec: NetworkSpec) -> AreaGraph:
    """The area graph of a spec.

    Raises:
        GraphError: with all findings, if it does not make a network.
    """
    graph = assemble(spec)
    errors = [finding for finding in check_structure(graph) if finding.severity == "error"]
    if errors:
        raise GraphError(errors)
    return graph


def unroll(
    spec: NetworkSpec, steps: int | None = None, order: Order | None = None, record: Record | None = None
) -> UnrolledGraph:
    """The unrolled graph of a spec, silent and unread updates included.

    Args:
        spec: the network.
        steps: number of steps T; the spec's by default.
        order: `simultaneous`, `sequential` or groups of areas; the spec's by default.
        record: states to keep, such as ``{"V4": "all", "IT": [3, 8]}``.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: if `record` names an unknown area or a step outside 1 … T.
    """
    return _unrolled(build(retimed(spec, steps, order)), record or {})


def lower(
    spec: NetworkSpec,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    roll: Roll = "never",
) -> tuple[UnrolledGraph, UnrolledGraph]:
    """The unrolled graph before and after passes.

    Where it is rolled, both are: a network of many steps is unrolled only until its steady state shows.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area, an unknown pass, or a bad `record` or `roll`.
    """
    names = chosen(passes)
    areas = build(retimed(spec, steps, order))
    with uncollected():
        return _lowered(areas, record or {}, names, roll)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: a graph of many nodes is no garbage, and would be searched again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _lowered(areas: AreaGraph, record: Record, names: list[str], roll: Roll) -> tuple[UnrolledGraph, UnrolledGraph]:
    if not wants_loop(areas, roll):
        names = [name for name in names if name != "roll"]
    rolled = _steady(areas, record, names) if "roll" in names else None
    if rolled is not None:
        return rolled
    full = _unrolled(areas, record)
    if silent := list(silent_sinks(full)):
        raise CompileError(silent)
    return full, verify(run_passes(full, names))


def wants_loop(areas: AreaGraph, roll: Roll) -> bool:
    """Whether the network is to be rolled.

    Raises:
        CompileError: for a word that `roll` does not know.
    """
    check_choice("roll", roll, get_args(Roll))
    time = areas.spec.time
    in_step = sum(len(group) for group in groups_of(areas, time.order))
    return roll == "always" or (roll == "auto" and in_step * time.steps > STRAIGHT_UPDATES)


def _steady(areas: AreaGraph, record: Record, names: list[str]) -> tuple[UnrolledGraph, UnrolledGraph] | None:
    """The rolled graph before and after passes, from as few steps as show the steady state; None if few do not."""
    listed = [[at] if isinstance(at, int) else at for at in record.values()]
    recorded = [step for at in listed if isinstance(at, list | tuple) for step in at if isinstance(step, int)]
    total = areas.spec.time.steps
    for clock in short_clocks(areas, recorded):
        found = _rolled(areas, record, names, clock)
        period = found[1].loop.period if found is not None and found[1].loop is not None else 0
        if period and (total - clock) % period:  # the rest must be a whole number of periods
            found = _rolled(areas, record, names, clock + (total - clock) % period)
        if found is not None and found[1].loop is not None and found[1].loop.period == period:
            full, kept = (stretched(graph, total) for graph in found)
            return verify(full), verify(run_passes(kept, [name for name in names if name == "release"]))
    return None


def _rolled(
    areas: AreaGraph, record: Record, names: list[str], steps: int
) -> tuple[UnrolledGraph, UnrolledGraph] | None:
    try:
        full = _unrolled(areas, record, steps)
    except CompileError:  # of a state that is silent so far
        return None
    if any(silent_sinks(full)):
        return None
    kept = run_passes(full, [name for name in names if name not in {"roll", "release"}])
    loop = find_loop(full, kept)
    return None if loop is None else (cut(full, loop), cut(kept, loop))


def _unrolled(areas: AreaGraph, record: Record, steps: int | None = None) -> UnrolledGraph:
    return verify(mark_read(record_sinks(unroll_graph(areas, steps), record)))


def emit(
    spec: NetworkSpec,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    roll: Roll = "auto",
    memory_format: MemoryFormat = "channels_last",
    checkpoint: Checkpoint | None = None,
) -> str:
    """Source of a Python module with the compiled network; it imports only torch.

    Takes and raises what `compile_spec` does, and does not import torch.
    """
    check_choice("memory_format", memory_format, get_args(MemoryFormat))
    full, graph = lower(spec, steps, order, record, passes, roll if checkpoint is None else "always")
    return emit_source(full, graph, memory_format, runs_of(graph, checkpoint))


def compile_spec(
    spec: NetworkSpec,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    roll: Roll = "auto",
    memory_format: MemoryFormat = "channels_last",
    backend: Backend = "eager",
    checkpoint: Checkpoint | None = None,
) -> nn.Module:
    """Compile a spec to a torch module.

    Args:
        spec: the network.
        steps: number of steps T; the spec's by default.
        order: `simultaneous`, `sequential` or groups of areas; the spec's by default.
        record: states to return, such as ``{"V4": "all", "IT": [3, 8]}``.
        passes: names of the passes to run; all by default.
        roll: whether to write the steady state as a loop: `always`, `never`, or `auto`: where there are more than 256
            updates.
        memory_format: layout of kernels and states in memory, `channels_last` or `contiguous`; it changes the speed,
            and the strides of recorded states, but no value, shape or key.
        backend: `eager`, or `inductor` to have `torch.compile` turn the source into kernels at the first call, with
            CUDA graphs where there is a GPU.
        checkpoint: segments of steps of whose states training keeps only the first, to compute the others again in
            the backward pass: `sqrt` (of the number of steps: memory grows with its root), a number of segments, or
            a `MemoryBudget`, from which the least number of segments that keeps to it follows. Implies a loop.

    Returns:
        A module whose ``forward(x)`` takes images [B, C, H, W] or videos [B, T, C, H, W] and returns logits
        [B, classes], or [B, n, classes] for n readout steps (of several readouts by name); with `record`, a pair of
        the logits and the states by (area, step). It carries `.source`, `.spec` and `.unrolled`.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area, an unknown pass, memory format or backend, or a bad
            `record`, `roll` or `checkpoint`.
    """
    check_choice("memory_format", memory_format, get_args(MemoryFormat))
    check_choice("backend", backend, get_args(Backend))
    if checkpoint is not None and backend != "eager":
        found = "a checkpoint and the backend inductor were given"
        raise CompileError(Diagnostic("checkpoint", "checkpoint", found, "torch.compile chooses itself", "Give one."))
    full, graph = lower(spec, steps, order, record, passes, roll if checkpoint is None else "always")
    if too_large := [replace(finding, severity="error") for finding in memory(full) if finding.place == "areas"]:
        raise CompileError(too_large)
    source = emit_source(full, graph, memory_format, runs_of(graph, checkpoint))
    module: Any = load_source(source, spec.name)
    module.source = source
    module.spec = graph.areas.spec
    module.unrolled = graph
    return apply_backend(module, backend)


def check_choice(place: str, given: str, choices: Sequence[str]) -> None:
    """Say of an argument that is none of its words which there are.

    Raises:
        CompileError: if it is none of them.
    """
    if given not in choices:
        expected = f"it is {' or '.join(choices)}"
        raise CompileError(Diagnostic("unknown-choice", place, f"{given!r} was given", expected, "Give one of these."))


def interpret(
    spec: NetworkSpec,
    state_dict: Mapping[str, Tensor],
    x: Tensor,
    steps: int | None = None,
    order: Order | None = None,
    *,
    training: bool = False,
    averages: dict[str, Tensor] | None = None,
) -> tuple[Tensor | dict[str, Tensor], dict[tuple[str, int], Tensor]]:
    """Run a spec by the reference interpreter: what `docs/semantics.md` defines, step by step, with no optimisation.

    Args:
        spec: the network.
        state_dict: parameters and buffers under the names of the compiled module.
        x: images [B, C, H, W], or videos [B, T, C, H, W] whose frame t is the image of step t.
        steps, order: as for `compile_spec`.
        training: whether batch norms take their statistics from the batch.
        averages: filled with the running averages as the run leaves them, under the names of the state dict.

    Returns:
        Logits as the compiled module gives them, and the state [B, C, H, W] of every live area at the end of every
        step, by (area, step).

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout of a silent area.
    """
    graph = build(retimed(spec, steps, order))
    if silent := list(silent_sinks(unroll_graph(graph))):
        raise CompileError(silent)
    return interpret_graph(graph, state_dict, x, training=training, averages=averages)


def retimed(spec: NetworkSpec, steps: int | None, order: Order | None) -> NetworkSpec:
    """The spec with another number of steps or order.

    Raises:
        CompileError: if they are not of the language.
    """
    if steps is None and order is None:
        return spec
    changes = {"steps": steps, "order": order}
    time = spec.time.model_dump() | {key: value for key, value in changes.items() if value is not None}
    try:
        return spec.with_time(TimeSpec.model_validate(time), [key for key in changes if changes[key] is not None])
    except ValidationError as error:
        problems = error.errors()
        raise CompileError(
            Diagnostic(
                "bad-time",
                str(problems[0]["loc"][0]),
                f"{problems[0]['input']!r} was given",
                "steps is a whole number from 1, order is simultaneous, sequential or a list of groups of areas",
            )
        ) from None
