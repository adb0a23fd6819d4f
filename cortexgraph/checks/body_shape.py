"""A body ends in the shape of its area."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.ops import (
    Operation,
)

__all__ = ["body_shape"]


def body_shape(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`body-shape`: a body whose result has not the shape of the area's state."""
    for area in graph.areas:
        if area.size is None or not area.body.whole or area.body.output == area.shape:
            continue
        if any(not c.transform.whole for c in graph.incoming(area.name)):
            continue
        found, wanted = (" × ".join(map(str, shape)) for shape in (area.body.output, area.shape))
        merged = " × ".join(map(str, area.body.shape))
        yield graph.spec.origin.diagnostic(
            "body-shape",
            ("areas", area.name, "body"),
            f"the body ({_listed(area.body.operations)}) makes {found} of the merged {merged}",
            f"the area is {wanted}",
            "End the body with a convolution to the channels of the area, without a stride.",
        )


def _listed(operations: tuple[Operation, ...]) -> str:
    return ", ".join(operation.summary() for operation in operations) or "nothing"
