"""Memory against T: the peak of a process of its own, above what it held before the network ran."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

import cortexgraph as cg
from benchmarks.network import make_spec
from benchmarks.timing import forward, training_step

__all__ = ["memory"]

MIB = 2**20


def memory(steps: tuple[int, int] = (8, 128), batch: int = 4, width: int = 1) -> Iterator[str]:
    """Lines of a Markdown table."""
    few, many = steps
    rows = [("inference", few, {}), ("inference", many, {}), ("training", many, {})]
    rows.append(("training", many, {"checkpoint": "sqrt"}))
    yield f"Batch {batch}; peak above what the process held before, and the processor's time of one run."
    yield ""
    yield "| mode | T | peak (MiB) | time (s) |"
    yield "|---|---:|---:|---:|"
    for mode, t, options in rows:
        peak, seconds = in_new_process(mode, t, batch, width, options)
        yield f"| {mode}{', checkpointed' if options else ''} | {t} | {peak / MIB:,.1f} | {seconds:.2f} |"


def in_new_process(mode: str, steps: int, batch: int, width: int, options: dict[str, Any]) -> tuple[int, float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_probe, mode, steps, batch, width, options, torch.get_num_threads()).result()


def _probe(mode: str, steps: int, batch: int, width: int, options: dict[str, Any], threads: int) -> tuple[int, float]:
    """Peak memory in bytes of a first run, and seconds of a second."""
    torch.set_num_threads(threads)
    network = cg.compile(make_spec(steps, width=width), **options)
    x, labels = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))
    few, few_labels = x[:1], labels[:1]

    def runs(x: torch.Tensor, labels: torch.Tensor) -> Any:
        return forward(network, x) if mode == "inference" else training_step(network, x, labels)

    runs(few, few_labels)()  # libraries make what they keep
    before = _resident()
    _reset_peak()
    run = runs(x, labels)
    run()
    peak = _peak() - before
    start = time.process_time()
    run()
    return peak, time.process_time() - start


def _resident() -> int:
    return _status("VmRSS:")


def _peak() -> int:
    if sys.platform == "linux":
        return _status("VmHWM:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {key}")


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
