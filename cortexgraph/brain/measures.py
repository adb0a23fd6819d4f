"""Measures of the agreement between model and brain, and their noise ceilings, as functions of plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs, compare
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from cortexgraph.recording.measures import dissimilarity

Floats = npt.NDArray[np.float64]

ALPHAS = np.logspace(-5, 4, 10)
"""Ridge penalties that are tried, relative to the mean squared length of the patterns."""
RSA = "spearman"
LEAST_STIMULI = 3
"""That a noise ceiling needs: of fewer, correlations and their ranks say nothing."""

# ---- repetitions -------------------------------------------------------------------


def shares(responses: Floats, parts: int, seed: int) -> Floats:
    """Mean responses [part, stimulus, neuroid, time] of random, equally large parts of a stimulus's repetitions.

    Responses are [stimulus, repetition, neuroid, time], NaN where there was no presentation. A mean is NaN where a part
    has no finite response.
    """
    there = np.isfinite(responses).any((2, 3))
    keys = np.where(there, np.random.default_rng(seed).random(there.shape), np.inf)
    part = np.where(there, keys.argsort(1).argsort(1) % parts, -1)
    finite = np.isfinite(responses)
    filled = np.where(finite, responses, 0.0)
    means = []
    for n in range(parts):
        weights = (part == n).astype(np.float64)
        counts = np.einsum("sr,srnt->snt", weights, finite)
        with np.errstate(invalid="ignore"):
            means.append(np.einsum("sr,srnt->snt", weights, filled) / counts)
    return np.stack(means)


def reliability(responses: Floats, splits: int = 20, seed: int = 0) -> Floats:
    """Reliability of each neuroid's mean response: split-half correlation over stimuli with Spearman–Brown correction.

    The correlation r of two random halves of the repetitions becomes 2r / (1 + r), the reliability of the mean over all
    of them (Spearman 1910; Brown 1910). Where repetitions are missing, each neuroid and each split counts the stimuli
    for which both halves have a response (pairwise deletion). A stimulus that was shown once then counts as being as
    reliable as the others: where many are, the result is too high.

    Responses are [stimulus, repetition, neuroid, time]. The result [neuroid, time] is from 0 to 1; NaN where fewer than
    `LEAST_STIMULI` have two repetitions, or responses do not vary. Its square root is the highest correlation with the
    mean response that a model can be expected to reach.
    """
    halves = [_correlations_of_pairs(*shares(responses, 2, seed + n)) for n in range(splits)]
    correlation = np.clip(np.mean(halves, 0), 0, 1)
    return np.asarray(2 * correlation / (1 + correlation))


def _correlations_of_pairs(a: Floats, b: Floats) -> Floats:
    """Correlations along the first axis over the places at which both are finite; NaN where there are too few."""
    both = np.isfinite(a) & np.isfinite(b)
    with np.errstate(invalid="ignore", divide="ignore"):
        # With 0 in place of what is missing, after the mean is taken away, sums are those over the pairs.
        deviations = [np.where(both, x - np.where(both, x, 0).sum(0) / both.sum(0), 0) for x in (a, b)]
    return np.where(both.sum(0) >= LEAST_STIMULI, correlations(*deviations), np.nan)


def correlations(a: Floats, b: Floats) -> Floats:
    """Pearson correlation along the first axis; NaN where one of the two does not vary."""
    a, b = a - a.mean(0), b - b.mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)))


# ---- representational similarity analysis ------------------------------------------


def rdms(patterns: list[Floats]) -> RDMs | None:
    """Dissimilarity matrices (1 − Pearson correlation) of several sets of patterns; None if one is not defined."""
    matrices = [dissimilarity(each) for each in patterns if each[0].size > 1]
    if len(matrices) < len(patterns) or not np.isfinite(matrices).all():
        return None
    return RDMs(np.stack(matrices))


def rsa_scores(model: RDMs, brain: RDMs) -> float:
    """Mean Spearman correlation of a model's matrix with each matrix of the brain."""
    return float(compare(model, brain, method=RSA).mean())


def rsa_bounds(brain: RDMs) -> tuple[float, float]:
    """Lower and upper bound of the noise ceiling over subjects or repetitions (Nili et al. 2014)."""
    if brain.n_rdm < 2:
        return float("nan"), float("nan")
    low, high = boot_noise_ceiling(brain, method=RSA)
    return float(low), float(high)


# ---- centred kernel alignment ------------------------------------------------------


def centred_gram(patterns: npt.NDArray[Any], *, debiased: bool = True) -> Floats:
    """The centred Gram matrix [stimulus, stimulus] of patterns [stimulus, …], for `linear_cka`.

    Debiased, it is that of the unbiased estimator of HSIC (Song et al. 2012), which does not grow with the number of
    units; otherwise it is as in Kornblith et al. (2019).
    """
    vectors = patterns.reshape(len(patterns), -1).astype(np.float64)
    gram = vectors @ vectors.T
    if not debiased:
        gram -= gram.mean(0)
        return np.asarray(gram - gram.mean(1, keepdims=True))
    count = len(gram)
    np.fill_diagonal(gram, 0)
    means = gram.sum(0) / (count - 2)
    means -= means.sum() / (2 * (count - 1))
    gram -= means[:, None] + means[None]
    np.fill_diagonal(gram, 0)
    return np.asarray(gram)


def linear_cka(a: Floats, b: Floats) -> float:
    """Linear centred kernel alignment of two matrices of `centred_gram`; NaN where patterns do not vary."""
    norms = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / norms) if norms > 0 else float("nan")


# ---- encoding ----------------------------------------------------------------------


def rotated(patterns: npt.NDArray[Any]) -> Floats:
    """Patterns on their principal axes, scaled to a mean squared length of 1.

    All axes are kept: ridge regression gives the same predictions as from the units, at the cost of as many features
    as stimuli.
    """
    vectors = patterns.reshape(len(patterns), -1).astype(np.float64)
    vectors -= vectors.mean(0)
    if vectors.shape[1] > len(vectors):
        values, axes = np.linalg.eigh(vectors @ vectors.T)
        vectors = axes * np.sqrt(np.clip(values, 0, None))
    length = np.sqrt((vectors**2).sum(1).mean())
    return np.asarray(vectors / length if length > 0 else vectors)


def transfer_scores(
    features: Floats, targets: Floats, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64]
) -> Floats:
    """Correlation of predicted and measured responses to the stimuli `test`, of a ridge regression on `train`.

    Features are [stimulus, feature], targets [stimulus, target]; each target has its own penalty, chosen on `train` by
    leave-one-out cross-validation.
    """
    ridge = RidgeCV(alphas=ALPHAS, alpha_per_target=True).fit(features[train], targets[train])
    predicted = np.asarray(ridge.predict(features[test])).reshape(len(test), -1)
    return correlations(predicted, targets[test])


def encoding_scores(features: Floats, targets: Floats, folds: int = 5, seed: int = 0) -> Floats:
    """Cross-validated correlation of ridge predictions, averaged over folds of stimuli, for each target.

    Features are [stimulus, feature], targets [stimulus, target]; each fold is predicted from all others.
    """
    splits = KFold(folds, shuffle=True, random_state=seed).split(features)
    return np.asarray(np.mean([transfer_scores(features, targets, train, test) for train, test in splits], 0))
