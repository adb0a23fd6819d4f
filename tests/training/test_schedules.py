"""Each schedule against a formula, or torch's own scheduler, that shares no code with it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn, optim

from cortexgraph.training import TrainSettings
from cortexgraph.training.optimizers import make_optimizer, make_scheduler
from cortexgraph.training.schedules import SCHEDULES

BATCHES = 200


def rates(schedule: str, batches: int = BATCHES, lr: float = 0.4, **more: float) -> np.ndarray:
    """The learning rate of every batch, as the optimiser sees it."""
    settings = TrainSettings(schedule=schedule, lr=lr, **more)  # type: ignore[arg-type]
    optimizer = make_optimizer(nn.Linear(2, 2), settings)
    scheduler = make_scheduler(optimizer, settings, batches)
    found = []
    for _ in range(batches):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert all(len(set(group)) == 1 for group in found)
    return np.array(found)[:, 0]


def torch_one_cycle(batches: int) -> np.ndarray:
    optimizer = optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.4, total_steps=batches, cycle_momentum=False)
    found = []
    for index in range(batches):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if index + 1 < batches:
            scheduler.step()
    return np.array(found)


def cosine_formula(batch: int) -> float:
    if batch < 10:
        return 0.4 * (batch + 1) / 10
    return 0.2 * (1 + math.cos(math.pi * (batch - 10) / 190))


def linear_formula(batch: int) -> float:
    return 0.4 * (batch + 1) / 10 if batch < 10 else 0.4 * (200 - batch) / 190


def step_formula(batch: int) -> float:
    if batch < 10:
        return 0.4 * (batch + 1) / 10
    return 0.4 if batch < 100 else 0.04 if batch < 150 else 0.004


@pytest.mark.parametrize("batches", [10, 77, BATCHES])
def test_one_cycle_is_that_of_torch(batches: int) -> None:
    np.testing.assert_allclose(rates("one-cycle", batches), torch_one_cycle(batches), rtol=1e-9)


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [("cosine", cosine_formula), ("step", step_formula), ("linear", linear_formula), ("constant", lambda _: 0.4)],
)
def test_formula(schedule: str, formula: Callable[[int], float]) -> None:
    np.testing.assert_allclose(rates(schedule), [formula(batch) for batch in range(BATCHES)], rtol=1e-12)


def test_warm_up_share() -> None:
    """A triangle with its peak after a fifth (Jordan 2024), and torch's cycle with another rise."""
    triangle = [0.4 * min((batch + 1) / 40, (200 - batch) / 160) for batch in range(BATCHES)]
    np.testing.assert_allclose(rates("linear", warmup=0.2), triangle, rtol=1e-12)
    assert rates("cosine", warmup=0.0)[0] == 0.4
    np.testing.assert_allclose(rates("constant", warmup=0.5)[:101], [0.004 * min(n, 100) for n in range(1, 102)])
    cycle = optim.lr_scheduler.OneCycleLR(
        optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0), 0.4, total_steps=BATCHES, pct_start=0.1, cycle_momentum=False
    )
    expected = [cycle.get_last_lr()[0]]
    for _ in range(BATCHES - 1):
        cycle.optimizer.step()
        cycle.step()
        expected.append(cycle.get_last_lr()[0])
    np.testing.assert_allclose(rates("one-cycle", warmup=0.1), expected, rtol=1e-9)


@pytest.mark.parametrize("schedule", [*SCHEDULES])
@pytest.mark.parametrize("batches", [1, 2, 3, 4])
def test_shortest_runs(schedule: str, batches: int) -> None:
    found = rates(schedule, batches)
    assert np.isfinite(found).all()
    assert found.max() <= 0.4 + 1e-12
    assert found.min() > 0
