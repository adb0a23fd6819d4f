"""Normalisation.

All but the local response norm compute y = γ (x − μ) / √(σ² + ε) + β and differ in the set over which μ and
σ² are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from cortexgraph.ops.base import Fault, Operation, Options, Place, StandIn, call, option
from cortexgraph.ops.registry import register_operation
from cortexgraph.spec.area import misplaced_options
from cortexgraph.spec.fields import Count, Flag, Number, Positive, Share

EPS, MOMENTUM = 1e-5, 0.1
"""The defaults of ε and of the weight of the newest batch, as torch has them."""


def default_groups(channels: int) -> int:
    """32 groups (Wu & He 2018) where they divide the channels, otherwise the largest divisor below 32."""
    return next(n for n in range(min(32, channels), 0, -1) if channels % n == 0)


@dataclass(frozen=True)
class Norm(Operation):
    """Base of the norms: a scale γ and a shift β for each channel."""

    role: ClassVar[str] = "norm"

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": self.shape[:1], "bias": self.shape[:1]}

    @classmethod
    def shifts(cls, options: Options) -> bool | None:
        return True


@dataclass(frozen=True)
class BatchNorm(Norm):
    """Per channel over batch and space (Ioffe & Szegedy 2015); in evaluation with running statistics.

    Each evaluation in training moves them: μ̄ ← (1 − m) μ̄ + m μ, σ̄² ← (1 − m) σ̄² + m n/(n − 1) σ², over n values,
    with m the momentum.
    """

    averages: ClassVar[bool] = True

    eps: float = EPS
    momentum: float = MOMENTUM

    def summary(self) -> str:
        return "batch norm"

    def constructor(self) -> str:
        return call("nn.BatchNorm2d", self.shape[0], eps=(self.eps, EPS), momentum=(self.momentum, MOMENTUM))


@dataclass(frozen=True)
class GroupNorm(Norm):
    """Per image and group of channels, over the group and space (Wu & He 2018)."""

    groups: int = 1
    eps: float = EPS

    @property
    def over_one_value(self) -> bool:
        """Whether each value is normalised by itself; torch refuses that for a batch of one."""
        return self.shape[0] // self.groups * self.shape[1] * self.shape[2] == 1

    def summary(self) -> str:
        kind = {1: "layer", self.shape[0]: "instance"}.get(self.groups, f"group ({self.groups})")
        return f"{kind} norm"

    def constructor(self) -> str:
        return call("nn.GroupNorm", self.groups, self.shape[0], eps=(self.eps, EPS))


@register_operation("local_response")
@dataclass(frozen=True)
class LocalResponseNorm(Norm):
    """Divides by the activity of neighbouring channels (Krizhevsky et al. 2012).

    As a norm it has α = 1e-4, β = 0.75, k = 1, n = 5; as the operation `local_response` any values.
    """

    equation: ClassVar[str] = "y[c] = x[c] / (k + α/n Σ_{|d−c| ≤ n/2} x[d]²)^β"

    neighbours: Count = option(5, "n, the number of channels summed, centred on the channel itself; odd.", main=True)
    alpha: Number = option(1e-4, "α, divided by n as torch does.")
    beta: Number = option(0.75, "The exponent β.")
    k: Positive = option(1.0, "The constant k.")

    def faults(self) -> Iterator[Fault]:
        if self.neighbours % 2 == 0:
            found = f"`neighbours` is {self.neighbours}, so that no channel is in the middle"
            yield found, "Give an odd number, such as 5."

    @classmethod
    def shifts(cls, options: Options) -> bool | None:
        return False

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {}

    def summary(self) -> str:
        return "local response norm"

    def constructor(self) -> str:
        constants = {"alpha": (self.alpha, 1e-4), "beta": (self.beta, 0.75), "k": (self.k, 1.0)}
        return call("nn.LocalResponseNorm", self.neighbours, **constants)


@register_operation("norm")
@dataclass(frozen=True)
class NormByKind(StandIn):
    """Normalisation over the batch, over a group of channels, over all of them (layer) or over each (instance).

    The kind local_response divides by the activity of neighbouring channels instead (Krizhevsky et al. 2012).
    """

    equation: ClassVar[str] = "y = γ (x − μ) / √(σ² + ε) + β"

    kind: str = option("batch", "batch, group, layer, instance or local_response.", main=True)
    per_step: Flag = option(False, "One set of parameters and statistics for each live update.")
    groups: Count | None = option(
        None, "Number of channel groups of `group`; default: 32, or the largest divisor below."
    )
    eps: Positive | None = option(None, "ε; default 1e-5.")
    momentum: Share | None = option(
        None, "Weight of the newest batch in the running statistics of `batch`; default 0.1."
    )

    def placed(self, place: Place) -> Operation:
        return self if any(self.faults()) else NORMS[self.kind](self)

    def faults(self) -> Iterator[Fault]:
        if self.kind not in NORMS:
            yield f"no norm is called `{self.kind}`", f"Choose one of {', '.join(NORMS)}."
        else:
            yield from ((found, repair) for found, repair, _ in misplaced_options(self))

    @classmethod
    def shifts(cls, options: Options) -> bool | None:
        return options.get("kind") != "local_response"


def _batch(norm: NormByKind) -> Norm:
    return BatchNorm(norm.shape, norm.eps or EPS, MOMENTUM if norm.momentum is None else norm.momentum)


def _over_groups(norm: NormByKind) -> Norm:
    channels = norm.shape[0]
    groups = {"layer": 1, "instance": channels}.get(norm.kind) or norm.groups or default_groups(channels)
    return GroupNorm(norm.shape, groups, norm.eps or EPS)


NORMS: Mapping[str, Callable[[NormByKind], Norm]] = {
    "batch": _batch,
    "group": _over_groups,
    "layer": _over_groups,
    "instance": _over_groups,
    "local_response": lambda norm: LocalResponseNorm(norm.shape),
}
"""Makes the norm of each kind."""
