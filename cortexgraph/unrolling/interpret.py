"""The reference interpreter: section 3 of the design, executed literally on the area graph.

It shares no code with unrolling, passes or emission, optimises nothing, and is the oracle for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import Area, AreaGraph, Connection, Readout
from cortexgraph.ops import Chain
from cortexgraph.ops.evaluate import StatisticsMove, below, draw_mask, evaluate_cell, evaluate_chain, evaluate_operation
from cortexgraph.spec import Span
from cortexgraph.unrolling.model import Order

if TYPE_CHECKING:
    from torch import Tensor, dtype

State = Mapping[str, "Tensor"]

ENDLESS = 10**9
"""More steps than any delay."""


@dataclass
class _Evaluation:
    """One evaluation of a connection's transform, or of an area's body and cell.

    Attributes:
        result: what it gave.
        reads: indices of the evaluations whose results it read.
        moves: how it moves running statistics.
    """

    result: Tensor
    reads: list[int]
    moves: list[StatisticsMove]


@dataclass(frozen=True)
class _Write:
    """What an update wrote, or an image: its (step, group), the value (None where silent), and what identifies it.

    `identity` is the index of the evaluation that made the value, or names the frame; `hidden` is what the cell keeps.
    """

    time: tuple[int, int]
    value: Tensor | None = None
    identity: Hashable = None
    hidden: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass
class _Trial:
    """One run: what every area wrote, when, and what it carries.

    Attributes:
        history: of each area, its writes, from a silent one before step 1 on.
        updates: number of live updates of each area.
        carried_out: of each area, the last live update that was carried out, and the function that it was.
        fired: connections with `active: first` that were live.
        evaluations: all of them, in order.
        evaluated: indices of evaluations of connections, by connection and value read.
    """

    areas: AreaGraph
    state_dict: State
    x: Mapping[str, Tensor]
    training: bool
    history: dict[str, list[_Write]] = field(default_factory=dict)
    updates: Counter[str] = field(default_factory=Counter)
    carried_out: dict[str, tuple[Hashable, _Write]] = field(default_factory=dict)
    fired: set[str] = field(default_factory=set)
    evaluations: list[_Evaluation] = field(default_factory=list)
    evaluated: dict[Hashable, int] = field(default_factory=dict)

    def zeros(self, shape: Sequence[int]) -> Tensor:
        some = next(iter(self.x.values()))
        return some.new_zeros(len(some), *shape)

    def chain(self, chain: Chain, x: Tensor, prefix: str, ordinal: int) -> tuple[Tensor, list[StatisticsMove]]:
        """The result of a chain at a live update, and how it moves running statistics."""
        moves: list[StatisticsMove] = []
        state, training = self.state_dict, self.training
        return evaluate_chain(chain, x, state, prefix, training=training, update=ordinal, moves=moves), moves

    def before(self, area: str, time: tuple[int, int]) -> _Write:
        """What an area wrote last before a group of a step."""
        return next(write for write in reversed(self.history[area]) if write.time < time)


def interpret_graph(
    areas: AreaGraph,
    state_dict: State,
    x: Mapping[str, Tensor],
    *,
    training: bool = False,
    records: Iterable[tuple[str, int]] = (),
    running_statistics: dict[str, Tensor] | None = None,
) -> tuple[Tensor | dict[str, Tensor], dict[tuple[str, int], Tensor]]:
    """Run the network step by step; arguments and results are those of `cortexgraph.interpret`, for an area graph.

    `records` are the recorded states, (area, step): what they depend on moves running statistics.
    """
    trial = _Trial(areas, {**state_dict, **_masks(areas, next(iter(x.values())))}, x, training)
    trial.history = {area.name: [_start(trial, area)] for area in areas.areas}
    states: dict[tuple[str, int], Tensor] = {}
    for t in range(1, areas.spec.time.steps + 1):
        for k, group in enumerate(_groups(areas, areas.spec.time.order)):
            with _without_gradient(t <= areas.spec.time.warmup):
                written = {name: _update(trial, areas.area(name), t, k) for name in group}
            for name, write in written.items():
                trial.history[name].append(write)
        states |= {(name, t): last for name, writes in trial.history.items() if (last := writes[-1].value) is not None}
    if running_statistics is not None:
        running_statistics.update(_running_statistics(trial, records))
    logits = {readout.name: _logits(trial, readout, states) for readout in areas.readouts}
    return (logits if len(logits) > 1 else next(iter(logits.values()))), states


def _masks(areas: AreaGraph, x: Tensor) -> dict[str, Tensor]:
    """What is drawn once for all steps, below the paths of the operations."""
    links = [each for prefix, chain in areas.chains.items() for each in chain.walk(prefix)]
    return {f"{path}.mask": draw_mask(link.operation, x) for path, link in links if link.operation.masks()}


def _start(trial: _Trial, area: Area) -> _Write:
    """What stands for all time before step 1: silence, or a start state."""
    if area.start is None:
        return _Write((-ENDLESS, 0))
    value = trial.zeros(area.shape)
    if area.start == "learned":
        value = value + trial.state_dict[f"{area.start_identifier}.value"].reshape(-1, 1, 1)
    return _Write((-ENDLESS, 0), value, ("start", area.name), {"state": value})


def _without_gradient(warms_up: bool) -> AbstractContextManager[None]:
    import torch

    return torch.no_grad() if warms_up else nullcontext()


def _groups(areas: AreaGraph, order: Order) -> Sequence[Sequence[str]]:
    names = [area.name for area in areas.areas]
    match order:
        case "simultaneous":
            return [names]
        case "sequential":
            return [[name] for name in names]
    return [[group] if isinstance(group, str) else list(group) for group in order]


# ---- reading ------------------------------------------------------------------


def _within(window: str | tuple[int, ...] | Span, t: int) -> bool:
    """Whether step t lies in a list or span of steps; a word says nothing of steps."""
    if isinstance(window, Span):
        return window.first <= t <= (window.last or t)
    return isinstance(window, str) or t in window


def _value(trial: _Trial, c: Connection, t: int, k: int) -> _Write:
    """What the connection reads in group k of step t: its source just before group k of step t − delay."""
    t -= c.delay
    if c.source in trial.x:
        present, x = trial.areas.spec.inputs[c.source].present, trial.x[c.source]
        if not (t == 1 if present == "first" else t >= 1 and _within(present, t)):
            return _Write((t, k))
        if x.dim() == 4:
            return _Write((t, k), x, c.source)  # a static image is one value
        return _Write((t, k), x[:, t - 1], (c.source, t))
    return trial.before(c.source, (t, k))


def _contribution(trial: _Trial, c: Connection, t: int, k: int) -> _Write | None:
    """What an active connection reads, by the rule of its silence; None if it is left out.

    A value of None contributes zeros after the transform.
    """
    if c.active == "never" or not _within(c.active, t) or c.identifier in trial.fired:
        return None
    source = _value(trial, c, t, k)
    if source.value is None and c.silence == "skip":
        return None
    if c.active == "first":
        trial.fired.add(c.identifier)
    if source.value is None and c.silence == "zero_input":
        return _Write((t, k), trial.zeros(c.source_shape), "zeros")
    return source


def _result(trial: _Trial, c: Connection, source: _Write, ordinal: int, warms_up: bool) -> tuple[Tensor, int | None]:
    """The transform of a value, evaluated once for each value, and the index of the evaluation, if there was one.

    With per-step parameters, and where dropout draws new values, it is evaluated for each update.
    """
    if source.value is None:
        silent = trial.zeros(c.output_shape)
        return (silent if c.role == "drive" else silent + 1), None  # every gate is 1 at m = 0
    alone = ordinal if c.per_step or c.transform.random else 0
    key = (c.identifier, source.identity, alone, warms_up)
    if key not in trial.evaluated:
        result, moves = trial.chain(c.transform, source.value, c.identifier, ordinal)
        reads = [source.identity] if isinstance(source.identity, int) else []
        trial.evaluated[key] = len(trial.evaluations)
        trial.evaluations.append(_Evaluation(result, reads, moves))
    number = trial.evaluated[key]
    return trial.evaluations[number].result, number


# ---- updating -----------------------------------------------------------------


def _update(trial: _Trial, area: Area, t: int, k: int) -> _Write:
    """The new state and what the cell keeps hidden: h' = cell(body(merge × gates), h), a held state, or silence."""
    incoming = trial.areas.incoming(area.name)
    reads = [(c, source) for c in incoming if (source := _contribution(trial, c, t, k)) is not None]
    driven = any(c.role == "drive" for c, _ in reads)
    old = trial.history[area.name][-1]
    remembers = old.value is not None and area.cell.has_memory
    if not driven and not remembers and trial.areas.silence == "skip":
        return _Write((t, k))
    trial.updates[area.name] += 1
    changes = [(x, trial.areas.changes(x, t)) for x in (area.identifier, *(c.identifier for c, _ in reads))]
    random = any(placed.change.random for _, every in changes for placed in every)
    function = (t <= trial.areas.spec.time.warmup, *((c.identifier, source.identity) for c, source in reads), *changes)
    chains = [area.body, *(c.transform for c, _ in reads)]
    repeatable = not area.cell.has_memory and not random and not any(chain.random or chain.per_step for chain in chains)
    if repeatable and area.name in trial.carried_out and trial.carried_out[area.name][0] == function:
        return replace(trial.carried_out[area.name][1], time=(t, k))
    write = _carried_out(trial, area, (t, k), reads if driven else [], old)
    trial.carried_out[area.name] = (function if repeatable else None, write)
    return write


def _carried_out(
    trial: _Trial, area: Area, time: tuple[int, int], reads: Sequence[tuple[Connection, _Write]], old: _Write
) -> _Write:
    ordinal = trial.updates[area.name]
    warms_up = time[0] <= trial.areas.spec.time.warmup
    results = {c.identifier: _result(trial, c, source, ordinal, warms_up) for c, source in reads}
    values = {name: _changed(trial, name, time[0], value) for name, (value, _) in results.items()}
    u = _merged(trial, area, values)
    for c, _ in reads:
        u = u * values[c.identifier] if c.role == "modulate" else u
    body, moves = trial.chain(area.body, u, area.identifier, ordinal)
    carried = {name: trial.zeros(area.shape) for name in area.cell.reads}
    if old.value is not None:
        carried |= {"h": old.value, **old.hidden}
    new = evaluate_cell(area.cell, body, carried, below(trial.state_dict, f"{area.identifier}.cell"), trial.training)
    new = {**new, "h": _changed(trial, area.identifier, time[0], new["h"])}
    before = [old.identity] if old.value is not None and area.cell.has_memory else []
    numbers = [number for number in (*(number for _, number in results.values()), *before) if isinstance(number, int)]
    trial.evaluations.append(_Evaluation(new["h"], numbers, moves))
    return _Write(time, new["h"], len(trial.evaluations) - 1, {name: new[name] for name in area.cell.hidden})


def _changed(trial: _Trial, target: str, t: int, value: Tensor) -> Tensor:
    """A state, or what a connection carries, after the interventions of a step."""
    for placed in trial.areas.changes(target, t):
        value = placed.change.apply(value)
    return value


def _merged(trial: _Trial, area: Area, results: Mapping[str, Tensor]) -> Tensor:
    """The sum of the drives, or their concatenation with zeros for those that are left out."""
    import torch

    drives = [c for c in trial.areas.incoming(area.name) if c.role == "drive"]
    if area.merge == "concat" and drives:
        parts = [results[c.identifier] if c.identifier in results else trial.zeros(c.output_shape) for c in drives]
        return torch.cat(parts, 1)
    u = trial.zeros(area.body.shape)
    for c in drives:
        u = u + results[c.identifier] if c.identifier in results else u
    return u


# ---- reading out ----------------------------------------------------------------


def _read_at(trial: _Trial, readout: Readout) -> list[int]:
    """The steps at which an area is read out: under `all` those at whose end it is live."""
    steps = trial.areas.spec.time.steps
    if readout.at == "last":
        return [steps]
    if isinstance(readout.at, str):
        return [t for t in range(1, steps + 1) if trial.before(readout.source, (t + 1, 0)).value is not None]
    return list(readout.at)


def _logits(trial: _Trial, readout: Readout, states: Mapping[tuple[str, int], Tensor]) -> Tensor:
    import torch

    def read(*steps: int) -> Tensor:
        state = torch.cat([states[readout.source, t] for t in steps], 1)
        if readout.transform is not None:
            result = trial.chain(readout.transform, state, readout.identifier, 1)[0]
            return result if readout.is_map else result.flatten(1)
        pooled, _ = evaluate_operation(readout.pool, state, {}, trial.training)
        own = below(trial.state_dict, f"{readout.identifier}.linear")
        return evaluate_operation(readout.linear, pooled.flatten(1), own, trial.training)[0]

    if readout.over_time == "concat":
        return read(*_read_at(trial, readout))
    every = [read(t) for t in _read_at(trial, readout)]
    if readout.over_time != "each":
        sums = [torch.stack(every[: n + 1]).sum(0) for n in range(len(every))]
        every = [total / (n + 1 if readout.over_time == "mean" else 1) for n, total in enumerate(sums)]
    return every[0] if readout.at == "last" else torch.stack(every, 1)


def _running_statistics(trial: _Trial, records: Iterable[tuple[str, int]]) -> dict[str, Tensor]:
    """The running statistics after the run: moved, in order, by each evaluation that a readout or record depends on."""
    ends = [(readout.source, t) for readout in trial.areas.readouts for t in _read_at(trial, readout)]
    waiting = [trial.before(area, (t + 1, 0)).identity for area, t in (*ends, *records)]
    needed: set[int] = set()
    while waiting:
        number = waiting.pop()
        if isinstance(number, int) and number not in needed:
            needed.add(number)
            waiting += trial.evaluations[number].reads
    moved: dict[str, Tensor] = {}
    for evaluation in (trial.evaluations[n] for n in sorted(needed)):
        for move in evaluation.moves:
            moved |= move({**trial.state_dict, **moved})
    return moved


# ---- the state dict ---------------------------------------------------------------


def state_problems(areas: AreaGraph, state_dict: State, dtype: dtype) -> Iterator[Diagnostic]:
    """Parameters that a state dict lacks, or has in another shape or, all of them, in another type than the images."""
    types = {str(t.dtype).removeprefix("torch.") for t in state_dict.values() if t.is_floating_point()}
    images = str(dtype).removeprefix("torch.")
    if len(types) == 1 and images not in types:
        (parameters,) = types
        repair = f"Give `x.to(torch.{parameters})`."
        yield Diagnostic("bad-images", "x", f"x is {images}", f"the parameters are {parameters}", repair)
    for name, shape in _parameters(areas):
        tensor = state_dict.get(name)
        found = "it is missing" if tensor is None else f"it is {list(tensor.shape)}"
        if tensor is None or tuple(tensor.shape) != shape:
            expected = f"the network has a parameter {list(shape)} there"
            repair = "Give the `state_dict()` of a network of this spec."
            yield Diagnostic("bad-state-dict", name, found, expected, repair)


def _parameters(areas: AreaGraph) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each parameter; of a per-step operation, those of its first set."""
    for prefix, chain in areas.chains.items():
        for path, link in chain.walk(prefix):
            start = f"{path}.0" if link.per_step else path
            if link.owner is None:
                yield from ((f"{start}.{name}", shape) for name, shape in link.operation.parameters().items())
    for area in areas.areas:
        if area.start == "learned":
            yield f"{area.start_identifier}.value", (area.channels,)
        yield from ((f"{area.identifier}.cell.{name}", shape) for name, shape in area.cell.parameters().items())
    for readout in areas.readouts:
        if readout.transform is None:
            yield from ((f"{readout.identifier}.linear.{n}", s) for n, s in readout.linear.parameters().items())
