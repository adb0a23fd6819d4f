"""The learning rate over a run, as a factor of its peak, for every batch."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi


def constant(batch: int, batches: int, warmup: float) -> float:
    """The peak throughout, after a linear warm-up if there is one."""
    risen, share = _warm_up(batch, batches, warmup)
    return 1.0 if risen else share


def one_cycle(batch: int, batches: int, warmup: float) -> float:
    """Cosine from 1/25 up to 1 in the warm-up, then down to 1/250,000 (Smith & Topin 2017)."""
    rise = warmup * batches - 1
    if batch < rise:
        return _half_cosine(1 / 25, 1.0, batch / rise)
    return _half_cosine(1.0, 1 / 250_000, min(1.0, (batch - rise) / max(1e-9, batches - 1 - rise)))


def cosine(batch: int, batches: int, warmup: float) -> float:
    """A linear warm-up, then half a cosine to 0 (Loshchilov & Hutter 2017)."""
    risen, share = _warm_up(batch, batches, warmup)
    return _half_cosine(1.0, 0.0, share) if risen else share


def linear(batch: int, batches: int, warmup: float) -> float:
    """A linear warm-up, then a line to 0 (Page 2018)."""
    risen, share = _warm_up(batch, batches, warmup)
    return 1 - share if risen else share


def step(batch: int, batches: int, warmup: float) -> float:
    """A linear warm-up to the peak, then a tenth of it from 50 % and a hundredth from 75 % (He et al. 2016)."""
    risen, share = _warm_up(batch, batches, warmup)
    return 0.1 ** ((2 * batch >= batches) + (4 * batch >= 3 * batches)) if risen else share


def _warm_up(batch: int, batches: int, warmup: float) -> tuple[bool, float]:
    """Whether the linear warm-up is over, and the share of it, or of what follows it, that is done."""
    warm = max(1, round(warmup * batches))
    return (False, (batch + 1) / warm) if batch < warm else (True, (batch - warm) / max(1, batches - warm))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + cos(pi * share)) / 2


SCHEDULES: dict[str, Callable[[int, int, float], float]] = {
    "one-cycle": one_cycle,
    "step": step,
    "cosine": cosine,
    "linear": linear,
    "constant": constant,
}
"""By name: from the index of a batch, the number of batches and the share of warm-up to a factor of the peak."""

WARM_UP = {"one-cycle": 0.3, "step": 0.05, "cosine": 0.05, "linear": 0.05, "constant": 0.0}
"""The usual share of a run in which the rate rises; `constant` does not warm up."""
