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

__all__ = ["CLOCKS", "Run", "Setting", "Times", "count_flops", "forward", "interleaved", "training_step"]

Run = Callable[[], object]

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""Elapsed time; or the processor's time of this process, which other programs on the machine do not lengthen."""


@dataclass(frozen=True)
class Setting:
    """How to measure.

    Attributes:
        batch: images.
        rounds: how many rounds count.
        width: divides the channels of the network.
        device: `cpu` or `cuda`.
        backend: `eager` or `inductor`.
        precision: `fp32`, `tf32` (on a GPU) or `bf16` (by autocast).
        clock: `wall`, or `cpu`, which is fair for one thread on a machine that others use.
    """

    batch: int = 64
    rounds: int = 5
    width: int = 1
    device: str = "cpu"
    backend: str = "eager"
    precision: str = "fp32"
    clock: str = "wall"

    @property
    def words(self) -> str:
        time = "time of the processor" if self.clock == "cpu" else "elapsed time"
        return f"Batch {self.batch}, {self.precision}, {self.backend}, {self.device}, {time}"


@dataclass(frozen=True)
class Times:
    """Seconds of each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def over(self, other: Times) -> tuple[float, float, float]:
        """Median, least and greatest ratio of these times to the other's of the same round."""
        ratios = [a / b for a, b in zip(self.seconds, other.seconds, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def interleaved(runs: Mapping[str, Run], setting: Setting) -> dict[str, Times]:
    """Times of every candidate; a first round, which warms up, does not count."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    clock = CLOCKS[setting.clock]
    for turn in range(setting.rounds + 1):
        for name, run in runs.items():
            start = clock()
            run()
            if setting.device != "cpu":
                torch.cuda.synchronize()
            if turn:
                found[name].append(clock() - start)
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
