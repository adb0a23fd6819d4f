"""Balanced choices of some images."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from cortexgraph.data import ImageData, LabelledImages
from cortexgraph.data.load import balanced_subset, check_count
from cortexgraph.errors import DataError

LABELS = [0] * 20 + [1] * 20 + [2] * 3


@pytest.mark.parametrize(
    ("wanted", "counts"),
    [(1, [1]), (3, [1, 1, 1]), (8, [2, 3, 3]), (9, [3, 3, 3]), (15, [3, 6, 6]), (43, [3, 20, 20])],
)
def test_classes_are_balanced_as_far_as_they_reach(wanted: int, counts: list[int]) -> None:
    chosen = balanced_subset(LABELS, wanted, seed=0)
    assert len(set(chosen)) == wanted
    assert sorted(Counter(LABELS[index] for index in chosen).values()) == counts


def test_the_choice_depends_on_the_seed_alone_and_keeps_the_order() -> None:
    chosen = balanced_subset(LABELS, 10, seed=0)
    assert chosen == sorted(chosen) == balanced_subset(LABELS, 10, seed=0)
    assert chosen != balanced_subset(LABELS, 10, seed=1)


def test_all() -> None:
    assert balanced_subset(LABELS, None, seed=0) == list(range(43))


@pytest.mark.parametrize(
    ("wanted", "available", "count"), [(None, 3, 0), (3, 3, 0), (4, 3, 1), (0, 3, 1), (9, None, 0)]
)
def test_requests(wanted: int | None, available: int | None, count: int) -> None:
    assert len(check_count("train", wanted, available)) == count


# ---- data of one's own ------------------------------------------------------------------


def test_arrays_become_images() -> None:
    some = LabelledImages(np.zeros((6, 3, 8, 8), np.uint8), np.arange(6) % 2)  # type: ignore[arg-type]
    assert isinstance(some.images, torch.Tensor)
    assert ImageData.of("mine", ["a", "b"], {"train": some, "test": some}).classes == ("a", "b")
    with pytest.raises(DataError, match=r"labels go from 0 to 1, but there are 1 classes(.|\n)*"):
        ImageData.of("mine", ["a"], {"train": some, "test": some})
    with pytest.raises(DataError, match=r"the split `test` is missing"):
        ImageData.of("mine", ["a", "b"], {"train": some})


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.zeros((6, 8, 8, 3), np.uint8),
            r"images are \[6, 8, 8, 3\], but they must be \[N, .*\n  Put channels",
        ),
        (np.zeros((6, 3, 8, 8), np.float32), r"images are float32 \[6, 3, 8, 8\].*uint8 images"),
        ([1, 2], r"images: a list was given, but a tensor or a NumPy array is needed"),
    ],
)
def test_what_are_no_images(images: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        LabelledImages(images, torch.arange(6) % 2)
