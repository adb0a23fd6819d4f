"""The reference interpreter: section 3 of the design, executed literally on the area graph.

It shares no code with unrolling, passes or emission, optimises nothing, and is the oracle for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cortexgraph.graph import Area, AreaGraph, Connection
from cortexgraph.ops import Operation
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling.schedule import Order

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["interpret_graph"]

State = Mapping[str, "Tensor"]
History = dict[str, list[tuple[tuple[int, int], "Tensor | None"]]]  # (step, group) of each write, and the value


def interpret_graph(
    areas: AreaGraph,
    state_dict: State,
    x: Tensor,
    *,
    steps: int | None = None,
    order: Order | None = None,
    training: bool = False,
) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
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
    history: History = {area.name: [] for area in areas.areas}
    live_updates = dict.fromkeys(history, 0)
    states: dict[tuple[str, int], Tensor] = {}
    for t in range(1, steps + 1):
        for k, group in enumerate(_groups(areas, order)):
            written: dict[str, Tensor | None] = {}
            for name in group:
                drives = [
                    _chain(c.transform, value, _part(state_dict, c.identifier), 0, training)
                    for c in areas.incoming(name)
                    if (value := _value(areas, history, c, x, t, k)) is not None
                ]
                if drives:
                    live_updates[name] += 1
                    written[name] = _update(areas.area(name), drives, state_dict, live_updates[name], training)
                else:
                    written[name] = None
            for name, state in written.items():
                history[name].append(((t, k), state))
        for name, writes in history.items():
            if writes and (last := writes[-1][1]) is not None:
                states[name, t] = last
    return _logits(areas, state_dict, states, steps, training), states


def _groups(areas: AreaGraph, order: Order) -> Sequence[Sequence[str]]:
    names = [area.name for area in areas.areas]
    match order:
        case "simultaneous":
            return [names]
        case "sequential":
            return [[name] for name in names]
    return [[group] if isinstance(group, str) else list(group) for group in order]


def _value(areas: AreaGraph, history: History, c: Connection, x: Tensor, t: int, k: int) -> Tensor | None:
    """What the connection reads in group k of step t: its source just before group k of step t − delay."""
    t -= c.delay
    if c.source == IMAGE:
        present = areas.spec.input.present
        shown = {"always": t >= 1, "first": t == 1}[present] if isinstance(present, str) else t in present
        return (x if x.dim() == 4 else x[:, t - 1]) if shown and t >= 1 else None
    before = [value for time, value in history[c.source] if time < (t, k)]
    return before[-1] if before else None


def _update(area: Area, drives: list[Tensor], state_dict: State, ordinal: int, training: bool) -> Tensor:
    """h = body(sum of drives)."""
    total = drives[0]
    for drive in drives[1:]:
        total = total + drive
    return _chain(area.body, total, _part(state_dict, area.identifier), ordinal, training)


def _chain(chain: Sequence[Operation], x: Tensor, state: State, ordinal: int, training: bool) -> Tensor:
    for operation in chain:
        own = _part(state, operation.role)
        if operation.per_step:  # beyond the last set, the last is reused
            sets = 1 + max(int(name.split(".")[0]) for name in own)
            own = _part(own, str(min(ordinal, sets) - 1))
        x = operation.reference(x, own, training=training)
    return x


def _part(state: State, prefix: str) -> State:
    return {name[len(prefix) + 1 :]: value for name, value in state.items() if name.startswith(prefix + ".")}


def _logits(
    areas: AreaGraph, state_dict: State, states: Mapping[tuple[str, int], Tensor], steps: int, training: bool
) -> Tensor:
    import torch

    readout = areas.readout
    chain, own = (readout.pool, readout.linear), _part(state_dict, readout.identifier)
    at = readout.at
    if at == "last":
        return _chain(chain, states[readout.source, steps], own, 0, training)
    read = [t for t in range(1, steps + 1) if (readout.source, t) in states] if isinstance(at, str) else at
    return torch.stack([_chain(chain, states[readout.source, t], own, 0, training) for t in read], 1)
