"""The reference interpreter: section 3 of the design, executed literally on the area graph.

It shares no code with unrolling, passes or emission, optimises nothing, and is the oracle for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cortexgraph.graph import Area, AreaGraph, Connection
from cortexgraph.graph.model import Readout
from cortexgraph.ops import Run, part
from cortexgraph.spec import IMAGE, Span
from cortexgraph.unrolling.schedule import Order

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["interpret_graph"]

State = Mapping[str, "Tensor"]
Logits = "Tensor | dict[str, Tensor]"


@dataclass
class _Trial:
    """One run: what every area wrote, when, and what it carries.

    Attributes:
        history: of each area, (step, group) of each write and the value, None where silent.
        hidden: of each area, the hidden tensors of its cell.
        updates: number of live updates of each area.
        fired: connections with `active: first` that were live.
    """

    areas: AreaGraph
    state_dict: State
    x: Tensor
    training: bool
    history: dict[str, list[tuple[tuple[int, int], Tensor | None]]] = field(default_factory=dict)
    hidden: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    updates: dict[str, int] = field(default_factory=dict)
    fired: set[str] = field(default_factory=set)

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
) -> tuple[Tensor | dict[str, Tensor], dict[tuple[str, int], Tensor]]:
    """Run the network step by step.

    Args:
        areas: the network.
        state_dict: parameters and buffers under the names of the compiled module.
        x: one image [B, C, H, W], or a video [B, T, C, H, W] whose frame t is the image of step t.
        steps, order: the spec's by default.
        training: whether batch norms take their statistics from the batch.

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
            for name, (state, hidden) in written.items():
                trial.history[name].append(((t, k), state))
                trial.hidden[name] = hidden
        for name, writes in trial.history.items():
            if writes and (last := writes[-1][1]) is not None:
                states[name, t] = last
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


def _value(trial: _Trial, c: Connection, t: int, k: int) -> Tensor | None:
    """What the connection reads in group k of step t: its source just before group k of step t − delay."""
    t -= c.delay
    if c.source == IMAGE:
        present = trial.areas.spec.input.present
        shown = t == 1 if present == "first" else t >= 1 and _within(present, t)
        if not shown:
            return None
        return trial.x if trial.x.dim() == 4 else trial.x[:, t - 1]
    before = [value for time, value in trial.history[c.source] if time < (t, k)]
    return before[-1] if before else None


def _result(trial: _Trial, c: Connection, t: int, k: int, ordinal: int) -> Tensor | None:
    """The transform of what an active connection reads, by the rule of its silence; None if it is left out."""
    if not _within(c.active, t) or c.identifier in trial.fired:
        return None
    value = _value(trial, c, t, k)
    if value is None and c.silence == "skip":
        return None
    if c.active == "first":
        trial.fired.add(c.identifier)
    if value is None and c.silence == "zero_drive":
        silent = trial.zeros(c.output_shape)
        return silent if c.role == "drive" else silent + 1  # every gate is 1 at m = 0
    value = trial.zeros(c.source_shape) if value is None else value
    return c.transform.reference(value, trial.state_dict, c.identifier, Run(trial.training, ordinal))


# ---- updating -----------------------------------------------------------------


def _update(trial: _Trial, area: Area, t: int, k: int) -> tuple[Tensor | None, dict[str, Tensor]]:
    """The new state, and what the cell keeps hidden: h' = cell(body(merge × gates), h), or silence."""
    ordinal = trial.updates[area.name] + 1
    incoming = trial.areas.incoming(area.name)
    results = [(c, _result(trial, c, t, k, ordinal)) for c in incoming]
    drives = [(c, r) for c, r in results if c.role == "drive"]
    old = trial.history[area.name][-1][1] if trial.history[area.name] else None
    remembers = old is not None and area.cell.has_memory
    if all(r is None for _, r in drives) and not remembers and trial.areas.silence == "skip":
        return None, {}
    u = _merged(trial, area, drives)
    if any(r is not None for _, r in drives):
        for c, gate in results:
            u = u * gate if c.role == "modulate" and gate is not None else u
    trial.updates[area.name] = ordinal
    body = area.body.reference(u, trial.state_dict, area.identifier, Run(trial.training, ordinal))
    carried = {name: trial.zeros(area.shape) for name in area.cell.reads}
    if old is not None:
        carried |= {"h": old} | trial.hidden[area.name]
    own = part(trial.state_dict, f"{area.identifier}.cell")
    new = area.cell.reference(body, carried, own, trial.training)
    return new["h"], {name: new[name] for name in area.cell.hidden}


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


def _logits(trial: _Trial, readout: Readout, states: Mapping[tuple[str, int], Tensor], steps: int) -> Tensor:
    import torch

    def read(t: int) -> Tensor:
        pooled = readout.pool.reference(states[readout.source, t], {}, Run(trial.training))
        return readout.linear.reference(
            pooled, part(trial.state_dict, f"{readout.identifier}.linear"), Run(trial.training)
        )

    if readout.at == "last":
        return read(steps)
    every = [t for t in range(1, steps + 1) if (readout.source, t) in states]
    return torch.stack([read(t) for t in (every if isinstance(readout.at, str) else readout.at)], 1)
