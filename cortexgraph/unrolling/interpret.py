"""The reference interpreter: section 3 of the design, executed literally on the area graph.

It shares no code with unrolling, passes or emission, optimises nothing, and is the oracle for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cortexgraph.graph import Area, AreaGraph, Connection
from cortexgraph.graph.model import Readout
from cortexgraph.ops import Run, Taken, part
from cortexgraph.spec import IMAGE, Span
from cortexgraph.unrolling.schedule import Order

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["interpret_graph"]

State = Mapping[str, "Tensor"]
Logits = "Tensor | dict[str, Tensor]"


@dataclass
class _Evaluation:
    """One evaluation of a connection's transform, or of an area's body and cell.

    Attributes:
        of: what was evaluated: evaluations of the same count once for running averages.
        reads: indices of the evaluations whose results it read.
        taken: statistics that it offered to running averages.
    """

    of: tuple[object, ...]
    reads: list[int]
    taken: list[Taken] = field(default_factory=list)


@dataclass(frozen=True)
class _Write:
    """What an update wrote: its (step, group), the value (None where silent), and the index of its evaluation."""

    time: tuple[int, int]
    value: Tensor | None
    evaluation: int | None


@dataclass
class _Trial:
    """One run: what every area wrote, when, and what it carries.

    Attributes:
        history: of each area, its writes.
        hidden: of each area, the hidden tensors of its cell.
        updates: number of live updates of each area.
        fired: connections with `active: first` that were live.
        evaluations: all of them, in order.
    """

    areas: AreaGraph
    state_dict: State
    x: Tensor
    training: bool
    history: dict[str, list[_Write]] = field(default_factory=dict)
    hidden: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    updates: dict[str, int] = field(default_factory=dict)
    fired: set[str] = field(default_factory=set)
    evaluations: list[_Evaluation] = field(default_factory=list)

    def zeros(self, shape: Sequence[int]) -> Tensor:
        return self.x.new_zeros(len(self.x), *shape)


def interpret_graph(
    areas: AreaGraph,
    state_dict: State,
    x: Tensor,
    *,
    steps: int | None = None,
    order: Order | None = None,
    training: bool = False,
    averages: dict[str, Tensor] | None = None,
) -> tuple[Tensor | dict[str, Tensor], dict[tuple[str, int], Tensor]]:
    """Run the network step by step.

    Args:
        areas: the network.
        state_dict: parameters and buffers under the names of the compiled module.
        x: one image [B, C, H, W], or a video [B, T, C, H, W] whose frame t is the image of step t.
        steps, order: the spec's by default.
        training: whether batch norms take their statistics from the batch.
        averages: filled with the running averages as the run leaves them, under the names of the state dict.

    Returns:
        Logits as the compiled module gives them, and the state of every live area at the end of every step,
        by (area, step).
    """
    time = areas.spec.time
    steps, order = steps or time.steps, order or time.order
    trial = _Trial(areas, state_dict, x, training)
    for area in areas.areas:
        trial.history[area.name], trial.updates[area.name], trial.hidden[area.name] = [], 0, {}
    states: dict[tuple[str, int], Tensor] = {}
    for t in range(1, steps + 1):
        for k, group in enumerate(_groups(areas, order)):
            written = {name: _update(trial, areas.area(name), t, k) for name in group}
            for name, (write, hidden) in written.items():
                trial.history[name].append(write)
                trial.hidden[name] = hidden
        for name, writes in trial.history.items():
            if writes and (last := writes[-1].value) is not None:
                states[name, t] = last
    if averages is not None:
        averages.update(_averages(trial, steps))
    logits = {readout.name: _logits(trial, readout, states, steps) for readout in areas.readouts}
    return (logits if len(logits) > 1 else next(iter(logits.values()))), states


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
    if c.source == IMAGE:
        present = trial.areas.spec.input.present
        shown = t == 1 if present == "first" else t >= 1 and _within(present, t)
        if not shown:
            return _Write((t, k), None, None)
        return _Write((t, k), trial.x if trial.x.dim() == 4 else trial.x[:, t - 1], None)
    before = [write for write in trial.history[c.source] if write.time < (t, k)]
    return before[-1] if before else _Write((t, k), None, None)


def _result(trial: _Trial, c: Connection, t: int, k: int, ordinal: int) -> tuple[Tensor | None, int | None]:
    """The transform of what an active connection reads, by the rule of its silence; None if it is left out.

    Also the index of the evaluation, where there was one.
    """
    if not _within(c.active, t) or c.identifier in trial.fired:
        return None, None
    source = _value(trial, c, t, k)
    if source.value is None and c.silence == "skip":
        return None, None
    if c.active == "first":
        trial.fired.add(c.identifier)
    if source.value is None and c.silence == "zero_drive":
        silent = trial.zeros(c.output_shape)
        return (silent if c.role == "drive" else silent + 1), None  # every gate is 1 at m = 0
    evaluation = _evaluation_of(trial, c, source, t, ordinal)
    value = trial.zeros(c.source_shape) if source.value is None else source.value
    run = Run(trial.training, ordinal, taken=evaluation.taken)
    return c.transform.reference(value, trial.state_dict, c.identifier, run), len(trial.evaluations) - 1


def _evaluation_of(trial: _Trial, c: Connection, source: _Write, t: int, ordinal: int) -> _Evaluation:
    """A new evaluation: equal to an earlier one of the same value, unless it draws anew or has a set of its own."""
    apart = (ordinal,) if c.per_step or c.transform.random else ()
    of: tuple[object, ...] = (c.identifier, *apart)
    if source.value is None:
        of += ("zeros",)
    elif c.source != IMAGE:
        of += (source.evaluation,)
    else:
        of += ("image", t - c.delay if trial.x.dim() == 5 else 0)  # a static image is one value
    reads = [] if source.evaluation is None else [source.evaluation]
    trial.evaluations.append(_Evaluation(of, reads))
    return trial.evaluations[-1]


# ---- updating -----------------------------------------------------------------


def _update(trial: _Trial, area: Area, t: int, k: int) -> tuple[_Write, dict[str, Tensor]]:
    """The new state, and what the cell keeps hidden: h' = cell(body(merge × gates), h), or silence."""
    ordinal = trial.updates[area.name] + 1
    incoming = trial.areas.incoming(area.name)
    results = [(c, *_result(trial, c, t, k, ordinal)) for c in incoming]
    drives = [(c, r) for c, r, _ in results if c.role == "drive"]
    driven = any(r is not None for _, r in drives)
    old = trial.history[area.name][-1] if trial.history[area.name] else _Write((0, 0), None, None)
    remembers = old.value is not None and area.cell.has_memory
    if not driven and not remembers and trial.areas.silence == "skip":
        return _Write((t, k), None, None), {}
    u = _merged(trial, area, drives)
    for c, gate, _ in results if driven else ():
        u = u * gate if c.role == "modulate" and gate is not None else u
    trial.updates[area.name] = ordinal
    reads = [e for _, _, e in results if e is not None and driven] + [old.evaluation] * remembers
    number = len(trial.evaluations)
    evaluation = _Evaluation((area.name, number), [e for e in reads if e is not None])
    trial.evaluations.append(evaluation)
    run = Run(trial.training, ordinal, taken=evaluation.taken)
    body = area.body.reference(u, trial.state_dict, area.identifier, run)
    carried = {name: trial.zeros(area.shape) for name in area.cell.reads}
    if old.value is not None:
        carried |= {"h": old.value} | trial.hidden[area.name]
    own = part(trial.state_dict, f"{area.identifier}.cell")
    new = area.cell.reference(body, carried, own, trial.training)
    return _Write((t, k), new["h"], number), {name: new[name] for name in area.cell.hidden}


def _merged(trial: _Trial, area: Area, drives: Sequence[tuple[Connection, Tensor | None]]) -> Tensor:
    """The sum of the drives, or their concatenation with zeros for those that are left out."""
    import torch

    if area.merge == "concat" and drives:
        return torch.cat([trial.zeros(c.output_shape) if r is None else r for c, r in drives], 1)
    u = trial.zeros(area.body.shape)
    for _, result in drives:
        u = u if result is None else u + result
    return u


# ---- reading out ----------------------------------------------------------------


def _read_at(trial: _Trial, readout: Readout, steps: int) -> list[int]:
    """The steps at which an area is read out: under `all` those at whose end it is live."""
    if readout.at == "last":
        return [steps]
    if isinstance(readout.at, str):
        return [t for t in range(1, steps + 1) if _at_end(trial, readout.source, t).value is not None]
    return list(readout.at)


def _at_end(trial: _Trial, area: str, t: int) -> _Write:
    """What the area wrote last in steps 1 … t."""
    writes = [write for write in trial.history[area] if write.time[0] <= t]
    return writes[-1] if writes else _Write((t, 0), None, None)


def _logits(trial: _Trial, readout: Readout, states: Mapping[tuple[str, int], Tensor], steps: int) -> Tensor:
    import torch

    def read(t: int) -> Tensor:
        pooled = readout.pool.reference(states[readout.source, t], {}, Run(trial.training))
        return readout.linear.reference(
            pooled, part(trial.state_dict, f"{readout.identifier}.linear"), Run(trial.training)
        )

    every = [read(t) for t in _read_at(trial, readout, steps)]
    return every[0] if readout.at == "last" else torch.stack(every, 1)


def _averages(trial: _Trial, steps: int) -> dict[str, Tensor]:
    """The running averages after the run: moved once by each evaluation on which a readout depends, in order."""
    ends = [(readout.source, t) for readout in trial.areas.readouts for t in _read_at(trial, readout, steps)]
    waiting = [write.evaluation for area, t in ends if (write := _at_end(trial, area, t)).evaluation is not None]
    needed: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number is not None and number not in needed:
            needed.add(number)
            waiting += trial.evaluations[number].reads
    found: dict[str, Tensor] = {}
    counted: set[tuple[object, ...]] = set()
    for evaluation in (trial.evaluations[n] for n in sorted(needed)):
        for taken in evaluation.taken if evaluation.of not in counted else ():
            old = part(trial.state_dict, taken.path) | part(found, taken.path)
            found |= {f"{taken.path}.{name}": value for name, value in taken.averaged(old).items()}
        counted.add(evaluation.of)
    return found
