"""Balanced choices of some images."""

from __future__ import annotations

from collections import Counter

import pytest

from cortexgraph.data.load import balanced_subset, check_count

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
