"""The learning rate over a run, as a factor of its peak, for every batch."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi

__all__ = ["SCHEDULES"]

WARM_UP = 0.05
"""Share of the run in which `step` and `cosine` rise linearly to the peak."""


def constant(batch: int, batches: int) -> float:
    """The peak throughout."""
    return 1.0


def one_cycle(batch: int, batches: int) -> float:
    """Cosine from 1/25 up to 1 in the first 30 % of the run, then down to 1/250,000 (Smith & Topin 2017).

    Args:
        batch: index of the batch, from 0.
        batches: number of batches in the whole run.
    """
    rise = 0.3 * batches - 1
    if batch < rise:
        return _half_cosine(1 / 25, 1.0, batch / rise)
    return _half_cosine(1.0, 1 / 250_000, min(1.0, (batch - rise) / max(1e-9, batches - 1 - rise)))


def cosine(batch: int, batches: int) -> float:
    """A linear warm-up, then half a cosine to 0 (Loshchilov & Hutter 2017)."""
    warm = max(1, round(WARM_UP * batches))
    if batch < warm:
        return (batch + 1) / warm
    return _half_cosine(1.0, 0.0, (batch - warm) / max(1, batches - warm))


def step(batch: int, batches: int) -> float:
    """A linear warm-up to the peak, then a tenth of it from 50 % and a hundredth from 75 % (He et al. 2016)."""
    drops = (2 * batch >= batches) + (4 * batch >= 3 * batches)
    warm = max(1, round(WARM_UP * batches))
    return (batch + 1) / warm if batch < warm else 0.1**drops


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + cos(pi * share)) / 2


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "one-cycle": one_cycle,
    "step": step,
    "cosine": cosine,
    "constant": constant,
}
"""By name: from the index of a batch (from 0) and the number of batches in the run to a factor of the peak."""
