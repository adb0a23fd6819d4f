"""Interleaved timing: each round runs every candidate once, so that a busy machine slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Times", "count_flops", "forward", "interleaved", "training_step"]

Run = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """Seconds of each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        return min(self.seconds)

    def over(self, other: Times) -> tuple[float, float, float]:
        """Median, least and greatest ratio of these times to the other's of the same round."""
        ratios = [a / b for a, b in zip(self.seconds, other.seconds, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def interleaved(runs: Mapping[str, Run], rounds: int, device: str = "cpu") -> dict[str, Times]:
    """Times of every candidate; a first round, which warms up, does not count."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn:
                found[name].append(time.perf_counter() - start)
    return {name: Times(tuple(seconds)) for name, seconds in found.items()}


def forward(network: nn.Module, x: Tensor) -> Run:
    """One evaluation without gradients."""

    def run() -> Tensor:
        with torch.no_grad():
            result: Tensor = network(x)
        return result

    return run


def training_step(network: nn.Module, x: Tensor, labels: Tensor) -> Run:
    """Forward, loss and backward; the optimiser, which is the same for all, is left out."""

    def run() -> None:
        network.zero_grad(set_to_none=True)
        F.cross_entropy(network(x).float(), labels).backward()

    return run


def count_flops(run: Run) -> int:
    """Floating-point operations of convolutions and matrix products that one run executes, a multiply-add as two."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()
