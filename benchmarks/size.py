"""Compile time against size: seconds of each stage, and lines of source, straight-line and rolled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import cortexgraph as cg
from benchmarks.network import make_spec

__all__ = ["size"]


def size(steps: list[int]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "The network of the other parts, four areas, over T steps; seconds of the processor."
    yield ""
    yield "| emission | T | updates | check (s) | emit (s) | lines of source | compile in all (s) |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for roll, word in (("never", "straight-line"), ("always", "rolled")):
        for t in steps:
            spec = make_spec(t)
            _, checked = timed(cg.check, spec)
            source, emitted = timed(cg.emit, spec, roll=roll)
            _, made = timed(cg.compile, spec, roll=roll)
            lines = source.count("\n")
            yield f"| {word} | {t:,} | {4 * t:,} | {checked:.2f} | {emitted:.2f} | {lines:,} | {made:.2f} |"


def timed(run: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, float]:
    start = time.process_time()
    result = run(*arguments, **options)
    return result, time.process_time() - start
