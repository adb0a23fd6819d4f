"""Steps named in the spec lie within 1 … T."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph

__all__ = ["readout_steps"]


def readout_steps(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`step-beyond-end` and `repeated-step`, for the readout and for the presentation of the image."""
    spec = graph.spec
    for path, steps in ((("readout", "at"), spec.readout.at), (("input", "present"), spec.input.present)):
        if isinstance(steps, str):
            continue
        beyond = sorted({step for step in steps if step > spec.time.steps})
        if beyond:
            yield spec.origin.diagnostic(
                "step-beyond-end",
                path,
                f"step {', '.join(map(str, beyond))} is named",
                f"the network runs for {spec.time.steps} steps",
                "Name earlier steps, or raise `time.steps`.",
            )
        if len(set(steps)) < len(steps) or not steps:
            yield spec.origin.diagnostic(
                "repeated-step",
                path,
                f"the list of steps is {list(steps)}",
                "each step may be named once, and at least one must be",
                "Name each step once.",
            )
