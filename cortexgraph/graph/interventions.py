"""Interventions: what is done to the state of an area, or to what a connection carries, at some steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import TYPE_CHECKING, Any, Literal

from cortexgraph.arguments import arguments_explained
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.wording import shortened

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor


Unit = int | tuple[int, int, int]
"""A channel, or a place (channel, row, column)."""


@dataclass(frozen=True, eq=False)
class Change:
    """What an intervention does to a tensor [B, C, H, W].

    Attributes:
        kind: `ablate`, `scale`, `noise`, `clamp` or `patch`.
        options: its numbers and words.
        units: the units that it changes; None for all.
        tensor: the values of a patch.
    """

    kind: Literal["ablate", "scale", "noise", "clamp", "patch"]
    options: Mapping[str, Any] = field(default_factory=dict)
    units: tuple[Unit, ...] | None = None
    tensor: Tensor | None = None

    @property
    def random(self) -> bool:
        """Whether it draws new values each time."""
        return self.kind == "noise" or self.options.get("to") == "resample"

    def constructor(self) -> str:
        """The expression that makes its module in the emitted file."""
        values = {**self.options, **({"shape": tuple(self.tensor.shape)} if self.tensor is not None else {})}
        values |= {"units": [*self.units]} if self.units is not None else {}
        written = (
            f'{name}="{value}"' if isinstance(value, str) else f"{name}={value}" for name, value in values.items()
        )
        return f"{CLASSES[self.kind]}({', '.join(written)})"

    def apply(self, value: Tensor) -> Tensor:
        """The changed value, as the reference interpreter computes it."""
        new, result = self._new(value).expand(value.shape), value.clone()
        for unit in range(value.shape[1]) if self.units is None else self.units:
            if isinstance(unit, tuple):
                channel, row, column = unit
                result[:, channel, row, column] = new[:, channel, row, column]
            else:
                result[:, unit] = new[:, unit]
        return result

    def _new(self, value: Tensor) -> Tensor:
        import torch

        match self.kind, self.options:
            case "ablate", {"to": "mean"}:
                return value.sum(0, keepdim=True) / len(value)
            case "ablate", {"to": "resample"}:
                return value[torch.randperm(len(value))]
            case "ablate", _:
                return 0 * value
            case "scale", {"factor": factor}:
                return torch.mul(value, factor)
            case "noise", {"std": std}:
                return torch.add(value, torch.randn_like(value), alpha=std)
            case "clamp", {"low": low, "high": high}:
                value = value if low is None else torch.where(value < low, low, value)
                return value if high is None else torch.where(value > high, high, value)
        assert self.tensor is not None
        return self.tensor.to(value)


CLASSES = {
    "ablate": "AblatedUnits",
    "scale": "ScaledUnits",
    "noise": "NoisyUnits",
    "clamp": "ClampedUnits",
    "patch": "PatchedUnits",
}
"""The class of each kind in the emitted file."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A change at its place.

    Attributes:
        target: identifier of the area or connection.
        label: how the spec writes it.
        steps: the steps; None for all.
        change: what is done.
        name: of its module in the emitted file.
    """

    target: str
    label: str
    steps: frozenset[int] | None
    change: Change
    name: str = ""

    def at(self, target: str, step: int) -> bool:
        return self.target == target and (self.steps is None or step in self.steps)


# ---- what users call -------------------------------------------------------------


@arguments_explained
def ablate(units: Sequence[Unit] | None = None, to: Literal["zero", "mean", "resample"] = "zero") -> Change:
    """Silence units: set them to zero, to their mean over the images of the batch, or to those of another image.

    Args:
        units: channels, or places (channel, row, column); all by default.
        to: `zero`, `mean`, or `resample`, which draws another image of the batch at each call.

    Examples:
        >>> import cortexgraph as cg
        >>> cg.ablate(units=[0, 1]).kind
        'ablate'
    """
    if to not in ("zero", "mean", "resample"):
        found, expected = f"to={to!r} was given", "it is `zero`, `mean` or `resample`"
        raise CompileError(Diagnostic("bad-intervention", "ablate", found, expected, "Give one of these."))
    return Change("ablate", {"to": to}, _units(units))


@arguments_explained
def scale(factor: float, units: Sequence[Unit] | None = None) -> Change:
    """Multiply units by a factor."""
    return Change("scale", {"factor": _number("scale", factor)}, _units(units))


@arguments_explained
def add_noise(std: float, units: Sequence[Unit] | None = None) -> Change:
    """Add Gaussian noise of this standard deviation to units, drawn at each call, in evaluation as well."""
    if (number := _number("add_noise", std)) < 0:
        found, expected = f"std={number} was given", "a standard deviation is at least 0"
        raise CompileError(Diagnostic("bad-intervention", "add_noise", found, expected, "Give one such as 0.1."))
    return Change("noise", {"std": number}, _units(units))


@arguments_explained
def clamp(
    value: float | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
    units: Sequence[Unit] | None = None,
) -> Change:
    """Hold units at a value, or between bounds."""
    if (value is None) == (low is None and high is None):
        expected, repair = "a value, or bounds, are needed", "Give `cg.clamp(0.5)`, or `cg.clamp(low=0, high=1)`."
        raise CompileError(Diagnostic("bad-intervention", "clamp", "no value or both were given", expected, repair))
    bounds = {"low": low, "high": high} if value is None else {"low": value, "high": value}
    numbers = {name: None if bound is None else _number("clamp", bound) for name, bound in bounds.items()}
    if low is not None and high is not None and low > high:
        found, expected = f"low={low}, high={high} was given", "the lower bound is not above the upper one"
        raise CompileError(Diagnostic("bad-intervention", "clamp", found, expected, "Exchange them."))
    return Change("clamp", numbers, _units(units))


@arguments_explained
def patch(values: Tensor | npt.NDArray[Any], units: Sequence[Unit] | None = None) -> Change:
    """Replace units by values [C, H, W] or [B, C, H, W], such as those that another stimulus evokes."""
    import torch

    tensor = torch.as_tensor(values).detach()
    return Change("patch", {}, _units(units), tensor[None] if tensor.ndim == 3 else tensor)


def _number(place: str, value: float) -> float:
    if not math.isfinite(value):
        repair = "Leave a bound out where there is none." if place == "clamp" else "Give another number."
        raise CompileError(Diagnostic("bad-intervention", place, f"{value} was given", "it is a finite number", repair))
    return float(value)


def _units(units: Sequence[Unit] | None) -> tuple[Unit, ...] | None:
    try:
        return None if units is None else tuple(_unit(unit) for unit in units)
    except TypeError:
        expected, repair = "they are whole numbers, or (channel, row, column)", "Give a list, such as `units=[0, 1]`."
        found = f"units={shortened(repr(units))} was given"
        raise CompileError(Diagnostic("bad-intervention", "units", found, expected, repair)) from None


def _unit(unit: Any) -> Unit:
    return tuple(map(index, unit)) if isinstance(unit, Sequence) else index(unit)  # type: ignore[return-value]
