"""What is read out depends on the image."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.wording import listed, shortened

__all__ = ["image_independent"]


def image_independent(unrolled: UnrolledGraph) -> Iterator[Diagnostic]:
    """`image-independent` (a warning): a readout that is the same for every image, as biases make of zeros."""
    seen = unrolled.from_image()
    for readout in unrolled.areas.readouts:
        nodes = [node for node in unrolled.readouts if node.name == readout.name and unrolled.live(node)]
        constant = [str(node.step) for node in nodes if node not in seen]
        if not constant:
            continue
        first = next((node.step for node in unrolled.live_updates(readout.source) if node in seen), None)
        since = f"{readout.source} first does at step {first}" if first else f"no state of {readout.source} does"
        yield unrolled.areas.spec.origin.diagnostic(
            "image-independent",
            ("readout", readout.index, "at"),
            f"the readout at step {shortened(listed(constant))} cannot depend on the image: {since}",
            repair="Read later, or use `silence: skip`, under which an area is silent until the image reaches it.",
            severity="warning",
        )
