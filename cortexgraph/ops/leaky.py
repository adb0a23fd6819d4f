"""Cells without gates: none (`simple`), and leaky integration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from cortexgraph.ops.base import CONTEXT, Cell, Context, Fault, Options, Shape, call, option
from cortexgraph.ops.elementwise import ACTIVATIONS, unknown_activation
from cortexgraph.ops.registry import register_cell
from cortexgraph.ops.torch_names import Tensor, nn, torch
from cortexgraph.spec.fields import Flag, Milliseconds, Number

__all__ = ["LeakyCell", "Simple"]


@register_cell("simple")
@dataclass(frozen=True)
class Simple(Cell):
    """No memory: the new state is the body's output."""

    equation: ClassVar[str] = "h' = x"
    reads: ClassVar[tuple[str, ...]] = ()

    def summary(self) -> str:
        return ""

    def constructor(self) -> str:
        return "nn.Identity()"


DECAY = 0.5
"""Decay of a cell that sets neither `decay` nor `tau_ms`."""


def _decay(decay: float | None, tau_ms: float | None, dt_ms: float | None) -> float:
    """a, where the Euler step of τ dh/dt = x − h gives 1 − dt/τ."""
    if tau_ms is not None and dt_ms is not None:
        return 1 - dt_ms / tau_ms
    return DECAY if decay is None else decay


class Leaky(nn.Module):
    """h' = f(a h + g x), where g = 1, or g = 1 − a: then x is where the state comes to rest.

    A learned a, one for each of `channels`, is σ(α).
    """

    def __init__(
        self, decay: float, rest: bool = False, channels: int | None = None, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.decay = decay
        self.rest = rest
        start = math.log(decay / (1 - decay)) if channels else 0.0
        self.alpha = nn.Parameter(torch.full((channels,), start)) if channels else None
        self.activation = nn.Identity() if activation is None else activation

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        a = self.decay if self.alpha is None else torch.sigmoid(self.alpha)[:, None, None]
        u = (1 - a) * x if self.rest else x
        new: Tensor = self.activation(u if h is None else a * h + u)
        return new


@register_cell("leaky")
@dataclass(frozen=True)
class LeakyCell(Cell):
    """A leaky integrator: h' = f(a h + g x).

    With `tau_ms`, a = 1 − dt/τ and g = 1 − a = dt/τ: the Euler step h' = h + dt/τ (x − h) of τ dh/dt = x − h
    (Dayan & Abbott 2001, section 7.2), which comes to rest at x. With `decay`, g = 1 and a constant x sums up to
    x / (1 − a). A learned a is σ(α), one α for each channel.
    """

    equation: ClassVar[str] = "h' = f(a h + g x)"

    decay: Number | None = option(
        None, "a, the part of the old state that stays, from 0 to 1; default 0.5.", main=True, example=0.5
    )
    learned: Flag = option(False, "Learn a, one for each channel, starting from `decay` or `tau_ms`.")
    tau_ms: Milliseconds | None = option(None, "Time constant τ: a = 1 − dt/τ.")
    input: Literal["full", "rest"] | None = option(
        None, "g: `full` is 1, `rest` is 1 − a; default `rest` with `tau_ms`, otherwise `full`."
    )
    activation: str = option("identity", "f, the activation after the sum.")
    dt_ms: Milliseconds = option(CONTEXT, "Duration of a step; default: the spec's `time.dt_ms`.")

    @property
    def start(self) -> float:
        """a, or where a learned a starts."""
        return _decay(self.decay, self.tau_ms, self.dt_ms)

    @property
    def rests(self) -> bool:
        """Whether g is 1 − a."""
        return self.tau_ms is not None if self.input is None else self.input == "rest"

    def summary(self) -> str:
        decay = f"leaky {self.start:g}" if self.tau_ms is None else f"leaky, τ = {self.tau_ms:g} ms"
        return f"{decay}, learned" if self.learned else decay

    def constructor(self) -> str:
        return call(
            "Leaky",
            self.start,
            rest=(self.rests, False),
            channels=(self.shape[0] if self.learned else None, None),
            activation=(ACTIVATIONS[self.activation], "nn.Identity()"),
        )

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"alpha": self.shape[:1]} if self.learned else {}

    @classmethod
    def problem(cls, options: Options, shape: Shape, context: Context) -> Fault | None:
        decay, tau, dt = options["decay"], options["tau_ms"], options["dt_ms"]
        if decay is not None and tau is not None:
            return "`decay` and `tau_ms` both say how fast the state decays", "Leave one of them out."
        if decay is not None and not 0 <= decay <= 1:
            return f"`decay` is {decay:g}, but it must be from 0 to 1", "Give the part of the old state that stays."
        if tau is not None and dt is None:
            return "`tau_ms` needs the duration of a step", "Give `dt_ms` under `time`."
        if tau is not None and tau < dt:
            found = f"`tau_ms` is {tau:g}, shorter than a step of {dt:g} ms: the old state would turn negative"
            return found, f"Give `tau_ms` at least {dt:g}, or make `dt_ms` smaller."
        start = _decay(decay, tau, dt)
        if options["learned"] and start in (0, 1):
            repair = "Start between 0 and 1." if tau is None else "Give a longer `tau_ms`."
            return f"a learned decay cannot start at {start:g}, which σ never reaches", repair
        return unknown_activation(options["activation"])
