"""`cg.draw` and `cg.draw_unrolled`: pictures of a spec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cortexgraph.pipeline import Record, build, lower
from cortexgraph.render import Drawing, draw_areas, draw_updates
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import Order

__all__ = ["draw", "draw_unrolled"]


def draw(spec: NetworkSpec, path: str | Path | None = None, *, labels: bool = False) -> Drawing:
    """Draw the areas and connections of a spec.

    Args:
        spec: the network.
        path: where to write the picture; its suffix (.svg, .png, .pdf or .dot) says the format.
        labels: write kernel, stride, resizing and parameters beside each arrow.

    Returns:
        The drawing, which shows itself in notebooks.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a suffix that is not one of these.
        DataError: if the path cannot be written.
    """
    return _saved(draw_areas(build(spec), labels=labels), path)


def draw_unrolled(
    spec: NetworkSpec,
    path: str | Path | None = None,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
) -> Drawing:
    """Draw the updates of every area over time; those that are silent or never read are greyed.

    Takes `path` as `draw` does, and the rest as `compile_spec`.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area, or an unknown suffix.
        DataError: if the path cannot be written.
    """
    full, kept = lower(spec, steps, order, record, passes)
    return _saved(draw_updates(full, kept), path)


def _saved(drawing: Drawing, path: str | Path | None) -> Drawing:
    if path is not None:
        drawing.save(path)
    return drawing
