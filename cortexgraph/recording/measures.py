"""What is usually looked at first, as functions of plain arrays (NumPy, or the values of an xarray variable)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def mean_activity(states: Floats) -> Floats:
    """Mean over all units of an area: states [image, step, channel, y, x] → [image, step]."""
    means: Floats = states.reshape(*states.shape[:2], -1).mean(2, dtype=np.float64)
    return means


def dissimilarity(patterns: Floats) -> Floats:
    """Representational dissimilarity 1 − Pearson correlation of every two patterns (Kriegeskorte et al. 2008).

    Args:
        patterns: [image, …], of two units or more; the units of each image are taken as one vector.

    Returns:
        [image, image], 0 on the diagonal, from 0 to 2. NaN in the row and column of a pattern without variance.
    """
    vectors = patterns.reshape(len(patterns), -1).astype(np.float64)
    vectors -= vectors.mean(1, keepdims=True)
    length = np.sqrt((vectors**2).sum(1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        vectors /= length
    matrix: Floats = np.clip(1 - vectors @ vectors.T, 0, 2)
    there = np.isfinite(np.diagonal(matrix))
    np.fill_diagonal(matrix, np.where(there, 0.0, np.nan))
    return matrix


def separation(matrix: Floats, labels: npt.NDArray[np.integer[Any]]) -> float:
    """Mean dissimilarity of images of different classes, minus that of different images of one class.

    Args:
        matrix: [image, image], as `dissimilarity` gives it.
        labels: class of each image.

    Returns:
        0 where the classes are not told apart; NaN without two images of one class, or of two classes.
    """
    upper = np.triu_indices(len(matrix), 1)
    same = labels[upper[0]] == labels[upper[1]]
    between, within = matrix[upper][~same], matrix[upper][same]
    between, within = between[np.isfinite(between)], within[np.isfinite(within)]
    return float(between.mean() - within.mean()) if len(between) and len(within) else float("nan")


def accuracy_over_time(logits: Floats, labels: npt.NDArray[np.integer[Any]]) -> Floats:
    """Share of images whose largest logit is that of their class, and whose logits are finite, by step.

    Args:
        logits: [image, step, class].
        labels: class of each image; images of −1, whose class is not known, do not count.

    Returns:
        [step]; NaN where no class is known.
    """
    known = labels >= 0
    if not known.any():
        return np.full(logits.shape[1], np.nan)
    right = (logits[known].argmax(2) == labels[known, None]) & np.isfinite(logits[known]).all(2)
    share: Floats = right.mean(0)
    return share


# ---- responses to stimuli in time ------------------------------------------------


def half_height_latency(evoked: Floats, onset: int, first: int, last: int) -> Floats:
    """Time from the onset of a stimulus until the response has half of its peak (Gawne, Kjaer & Richmond 1996).

    With r(t) the state at the end of step t, the stimulus comes on at time `onset` − 1, and the latency is the time
    t* − (onset − 1) at which r(t*) = ½ max r, linearly interpolated between steps. A response that is whole at the
    end of its first step has 0.5.

    Args:
        evoked: responses of 0 or more [image, step], of steps 1 … T; 0 where the area is silent.
        onset: first step of the stimulus, from 1.
        first, last: the steps between which the response is looked for.

    Returns:
        [image], in steps; NaN where there is no response.
    """
    size = np.pad(evoked.astype(np.float64), ((0, 0), (1, 0)))  # size[:, t] is that of step t; step 0 is silent
    half = size[:, first : last + 1].max(1) / 2
    at = first + (size[:, first : last + 1] >= half[:, None]).argmax(1)  # the first step of half height
    rows = np.arange(len(size))
    before, after = size[rows, at - 1], size[rows, at]
    with np.errstate(divide="ignore", invalid="ignore"):
        back = np.where(before < half, (after - half) / (after - before), 0.0)
    latency: Floats = np.where(half > 0, at - back - (onset - 1), np.nan)
    return latency


def adaptation_index(first: Floats, second: Floats) -> Floats:
    """How much weaker the second of two responses is: (R₁ − R₂) / (R₁ + R₂), from −1 to 1 (review: Vogels 2016).

    The responses are 0 or more. The index is positive for repetition suppression, 0 for none, negative for enhancement,
    and NaN where both responses are 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        index: Floats = (first - second) / (first + second)
    return index


@dataclass(frozen=True)
class Psychometric:
    """A psychometric function ψ(x) = γ + (1 − γ − λ) / (1 + exp(−β (x − α))) (Wichmann & Hill 2001).

    Attributes:
        threshold: α, the x at which accuracy is half-way between chance and its asymptote.
        slope: β; negative where accuracy falls with x.
        chance: γ.
        lapse: λ: 1 − λ is the asymptote.
    """

    threshold: float
    slope: float
    chance: float
    lapse: float


def psychometric(x: Floats, curve: Psychometric) -> Floats:
    """Accuracy at x."""
    from scipy.special import expit

    rise = 1 - curve.chance - curve.lapse
    accuracy: Floats = curve.chance + rise * expit(curve.slope * (np.asarray(x, float) - curve.threshold))
    return accuracy


def fit_psychometric(x: Floats, accuracy: Floats, images: int, chance: float) -> Psychometric | None:
    """The psychometric function of the highest binomial likelihood.

    Args:
        x: levels of the stimulus.
        accuracy: at each level, of `images`.
        images: how many there are at each level.
        chance: γ.

    Returns:
        None for fewer than four levels, where the threshold lies outside of the levels, or where accuracy changes by
        less than 0.05 between them.
    """
    from scipy.optimize import minimize

    levels, right = np.asarray(x, float), np.asarray(accuracy, float)
    if len(levels) < 4 or np.ptp(levels) == 0:
        return None
    low, spread = levels.min(), np.ptp(levels)

    def unlikelihood(values: Floats) -> float:
        curve = Psychometric(low + spread * values[0], values[1] / spread, chance, values[2])
        expected = np.clip(psychometric(levels, curve), 1e-6, 1 - 1e-6)
        return -images * float((right * np.log(expected) + (1 - right) * np.log(1 - expected)).sum())

    bounds = [(-1, 2), (-200, 200), (0, 1 - chance)]
    starts = [(place, slope, min(1 - right.max(), 1 - chance)) for place in (0.1, 0.3, 0.5, 0.8) for slope in (-10, 10)]
    fits = [minimize(unlikelihood, start, bounds=bounds) for start in starts]
    place, slope, lapse = min(fits, key=lambda fit: float(fit.fun)).x
    curve = Psychometric(float(low + spread * place), float(slope / spread), chance, float(lapse))
    return curve if 0 <= place <= 1 and np.ptp(psychometric(levels, curve)) >= 0.05 else None
