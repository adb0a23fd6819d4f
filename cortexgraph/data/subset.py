"""Choose some of the images, evenly over the classes, the same ones each time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cortexgraph.errors import Diagnostic

__all__ = ["balanced_subset", "check_request"]


def check_request(split: str, wanted: int | None, available: int | None) -> list[Diagnostic]:
    """Judge a wish for so many images of a split; `available` is None where any number can be made."""
    place = f"{split}_images"
    if wanted is None:
        return []
    if wanted < 1:
        found, expected, repair = (
            f"{wanted} images are asked for",
            "it must be 1 or more",
            "Give a positive number.",
        )
    elif available is not None and wanted > available:
        found, expected = f"{wanted} images are asked for", f"the {split} split has {available}"
        repair = f"Give at most {available}, or leave {place} out to use all."
    else:
        return []
    return [Diagnostic("image-count", place, found, expected, repair)]


def balanced_subset(labels: Sequence[int], wanted: int | None, seed: int) -> list[int]:
    """Indices of `wanted` images, in their old order.

    Every class gives the same number (±1) as long as it has enough; what a small class lacks is taken from
    the others.

    Args:
        labels: of all images.
        wanted: how many, at most as many as there are; None for all.
        seed: of the choice.
    """
    if wanted is None or wanted == len(labels):
        return list(range(len(labels)))
    rng = np.random.Generator(np.random.PCG64(seed))
    shuffled = rng.permutation(len(labels))
    by_class = np.asarray(labels)[shuffled]
    rank = np.empty(len(labels), np.int64)  # place of each image within its own class, after shuffling
    for label in np.unique(by_class):
        mine = np.flatnonzero(by_class == label)
        rank[mine] = np.arange(len(mine))
    chosen = shuffled[np.lexsort((by_class, rank))[:wanted]]
    return sorted(chosen.tolist())
