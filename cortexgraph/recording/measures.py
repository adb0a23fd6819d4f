"""What is usually looked at first, as functions of plain arrays (NumPy, or the values of an xarray variable)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["accuracy_over_time", "dissimilarity", "mean_activity", "separation"]

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
