"""Compile time against size: seconds of each stage, and lines of source, straight-line and rolled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import cortexgraph as cg
from benchmarks.network import make_spec

__all__ = ["size"]


def size(steps: list[int], rolls: tuple[str, ...] = ("never", "always")) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "The network of the other parts, four areas, over T steps."
    yield ""
    yield "| emission | T | updates | check (s) | emit (s) | lines of source | make the module (s) |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for roll in rolls:
        for t in steps:
            spec = make_spec(t)
            _, checked = timed(lambda spec=spec: cg.check(spec))
            source, emitted = timed(lambda spec=spec: cg.emit(spec, roll=roll))
            _, made = timed(lambda spec=spec: cg.compile(spec, roll=roll))
            word = {"never": "straight-line", "always": "rolled"}[roll]
            yield (
                f"| {word} | {t:,} | {4 * t:,} | {checked:.2f} | {emitted:.2f} | {source.count(chr(10)):,} "
                f"| {made - emitted:.2f} |"
            )


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start
