"""Hierarchical levels from laminar origins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cortexgraph.connectome.table import Projection

__all__ = ["CLIP", "level_of_each"]

CLIP = 0.01
"""SLN is kept within [0.01, 0.99], where its logit is finite: an assumption about its resolution."""


def level_of_each(projections: Sequence[Projection]) -> dict[str, float]:
    """Levels h such that logit SLN(i → j) ≈ h_j − h_i, in least squares over the projections; the lowest is 0.

    The share of supragranular neurons rises with the number of levels that a projection climbs (Barone et al. 2000);
    Markov et al. (2014) fit levels to it by beta regression on counts of neurons, which a table of SLN has not, so that
    here every projection weighs the same. A level is a unit of logit SLN. Levels that the table gives itself are taken.

    Returns:
        The level of each area that a projection with an SLN, or with levels, names.
    """
    ends = [(p.source, p.source_level) for p in projections] + [(p.target, p.target_level) for p in projections]
    if given := {name: level for name, level in ends if level is not None}:
        return given
    measured = [p for p in projections if p.sln is not None and p.source != p.target]
    if not measured:
        return {}
    names = list(dict.fromkeys(name for p in measured for name in (p.source, p.target)))
    index = {name: n for n, name in enumerate(names)}
    design = np.zeros((len(measured), len(names)))
    for row, projection in enumerate(measured):
        design[row, index[projection.target]] += 1
        design[row, index[projection.source]] -= 1
    sln = np.clip([p.sln for p in measured], CLIP, 1 - CLIP)
    solved = np.linalg.lstsq(design, np.log(sln / (1 - sln)), rcond=None)[0]
    return {name: round(float(level - solved.min()), 3) for name, level in zip(names, solved, strict=True)}
