"""Memory against T: the peak of a process of its own, above what it held before the network ran."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

import cortexgraph as cg
from benchmarks.network import make_spec
from benchmarks.timing import Setting, forward, interleaved, training_step

__all__ = ["memory"]

MIB = 2**20


def memory(steps: tuple[int, int] = (8, 128), batch: int = 16, width: int = 1, rounds: int = 3) -> Iterator[str]:
    """Lines of a Markdown table, and how much longer a checkpointed training step takes."""
    few, many = steps
    rows = [("inference", few, {}), ("inference", many, {}), ("training", many, {})]
    rows.append(("training", many, {"checkpoint": "sqrt"}))
    yield f"Batch {batch}; peak above what the process held before."
    yield ""
    yield "| mode | T | peak (MiB) |"
    yield "|---|---:|---:|"
    for mode, t, options in rows:
        peak = in_new_process(mode, t, batch, width, options)
        yield f"| {mode}{', checkpointed' if options else ''} | {t} | {peak / MIB:,.1f} |"
    ratio, least, most = _slower(many, batch, width, rounds)
    yield ""
    yield f"A checkpointed training step takes {ratio:.2f} ({least:.2f} – {most:.2f}) times as long."


def in_new_process(mode: str, steps: int, batch: int, width: int, options: dict[str, Any]) -> int:
    """Peak in bytes of one run, in a process whose C library gives freed tensors back at once.

    By itself glibc keeps blocks of up to 32 MiB, and the peak would be that of its gaps, not of the tensors.
    """
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(2**16)
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(_probe, mode, steps, batch, width, options, torch.get_num_threads()).result()
    finally:
        del os.environ["MALLOC_MMAP_THRESHOLD_"]


def _probe(mode: str, steps: int, batch: int, width: int, options: dict[str, Any], threads: int) -> int:
    torch.set_num_threads(threads)
    network = cg.compile(make_spec(steps, width=width), memory_format="channels_last", **options)
    x, labels = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))

    def run(x: torch.Tensor, labels: torch.Tensor) -> None:
        (forward(network, x) if mode == "inference" else training_step(network, x, labels))()

    run(x[:1], labels[:1])  # libraries make what they keep
    before = _resident()
    _reset_peak()
    run(x, labels)
    return _peak() - before


def _slower(steps: int, batch: int, width: int, rounds: int) -> tuple[float, float, float]:
    """Median, least and greatest ratio of the processor's times of a checkpointed training step and a plain one."""
    x, labels = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))
    networks = {
        option: cg.compile(make_spec(steps, width=width), memory_format="channels_last", checkpoint=option)
        for option in (None, "sqrt")
    }
    runs = {str(option): training_step(network, x, labels) for option, network in networks.items()}
    times = interleaved(runs, Setting(rounds=rounds, clock="cpu"))
    return times["sqrt"].over(times["None"])


def _resident() -> int:
    return _status("VmRSS:")


def _peak() -> int:
    return _status("VmHWM:")


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {key}")


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
