"""`cg.draw`, `cg.draw_matrix`, `cg.draw_unrolled` and `cg.draw_schedule`: pictures of a spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cortexgraph.compiler import Record, build, lower
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.render import (
    FOLDS,
    LABELS,
    WEIGHTS,
    Drawing,
    Fold,
    draw_areas,
    draw_connections,
    draw_timetable,
    draw_updates,
)
from cortexgraph.spec import SpecLike
from cortexgraph.unrolling import Focus, Order, focused
from cortexgraph.wording import quoted, shortened, suggest

__all__ = ["draw", "draw_matrix", "draw_schedule", "draw_unrolled"]


def draw(
    spec: SpecLike,
    path: str | Path | None = None,
    *,
    labels: bool | str | Sequence[str] = False,
    width: str | None = None,
) -> Drawing:
    """Draw the areas and connections of a spec.

    Args:
        spec: the network, or its path or zoo name.
        path: where to write the picture; its suffix (.svg, .png, .pdf or .dot) says the format.
        labels: what to write beside each arrow: True or `all`, or one or some of `kernel` (with stride and resizing),
            `delay`, `parameters` and `strength`. Delays are always written.
        width: what the width of a line says: `parameters`, or the measured `strength`; all alike by default.

    Returns:
        The drawing, which shows itself in notebooks.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for unknown labels or widths, or a strength that no connection notes; for a suffix that is not
            one of these.
        DataError: if the path cannot be written.
    """
    if isinstance(labels, bool) or labels == "all":
        words: tuple[str, ...] = tuple(LABELS) if labels else ()
    else:
        words = (labels,) if isinstance(labels, str) else tuple(labels)
    _choose({"labels": (words, LABELS), "width": ([width] if width is not None else [], WEIGHTS)})
    return _saved(draw_areas(build(spec), labels=words, width=width), path)


def draw_matrix(spec: SpecLike, path: str | Path | None = None, *, width: str | None = None) -> Drawing:
    """Draw the matrix of connections of a spec, for graphs that are too dense for arrows.

    Args:
        spec: the network.
        path: where to write the picture; its suffix (.svg, .png, .pdf or .dot) says the format.
        width: what the area of a mark says: `parameters`, or the measured `strength`; all alike by default.

    Returns:
        The drawing, which shows itself in notebooks.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for an unknown width, a strength that no connection notes, or an unknown suffix.
        DataError: if the path cannot be written.
    """
    _choose({"width": ([width] if width is not None else [], WEIGHTS)})
    return _saved(draw_connections(build(spec), width=width), path)


def draw_unrolled(
    spec: SpecLike,
    path: str | Path | None = None,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    *,
    upstream: str | None = None,
    downstream: str | None = None,
    between: tuple[str, str] | None = None,
    fold: Fold = "auto",
) -> Drawing:
    """Draw the updates of every area over time; those that are silent or never read are greyed.

    Args:
        spec: the network.
        path: where to write the picture; its suffix (.svg, .png, .pdf or .dot) says the format.
        steps, order: number of steps T and order of updates; those of the spec by default.
        record: the states to record, which the passes must keep.
        passes: names of the passes to run; all by default.
        upstream: draw only what drives this place, written `V4@3`, or `V4` for all steps.
        downstream: draw only what this place reaches.
        between: draw only what lies on a path from the first place to the second, as in ``("image", "IT@8")``.
        fold: whether steps that look alike are drawn once: `auto` (where the drawing would be too wide for a page),
            `always` or `never`.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area; for a place that is unknown, beyond the last step or
            silent, or two that no path joins; for an unknown suffix or kind of folding.
        DataError: if the path cannot be written.
    """
    _choose({"fold": ([fold], [*FOLDS])})
    full, kept = lower(spec, steps, order, record, passes)
    focus = Focus(upstream, downstream, between)
    only = focused(full, focus) if focus else None
    return _saved(draw_updates(full, kept, only=only, subject=str(focus) if focus else "", fold=fold), path)


def draw_schedule(
    spec: SpecLike,
    path: str | Path | None = None,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    *,
    fold: Fold = "auto",
) -> Drawing:
    """Draw the executed schedule: what is computed when and in which order, how long it is held, and what it costs.

    Args:
        spec: the network.
        path: where to write the picture; its suffix (.svg, .png, .pdf or .dot) says the format.
        steps, order: number of steps T and order of updates; those of the spec by default.
        record: the states to record, which the passes must keep.
        passes: names of the passes to run; all by default.
        fold: whether steps that look alike are drawn once: `auto` (where the drawing would be too wide for a page),
            `always` or `never`.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area; for an unknown suffix or kind of folding.
        DataError: if the path cannot be written.
    """
    _choose({"fold": ([fold], [*FOLDS])})
    full, kept = lower(spec, steps, order, record, passes)
    return _saved(draw_timetable(full, kept, fold=fold), path)


def _choose(options: Mapping[str, tuple[Iterable[str], Sequence[str]]]) -> None:
    """Reject every value of an option that is not one of its choices; `options` gives both by option."""
    findings = [
        Diagnostic(
            "bad-choice",
            option,
            f"`{shortened(str(word))}` was given",
            f"the choices are {quoted(choices)}",
            suggest(str(word), choices, "Name one of them."),
        )
        for option, (words, choices) in options.items()
        for word in words
        if word not in choices
    ]
    if findings:
        raise CompileError(findings)


def _saved(drawing: Drawing, path: str | Path | None) -> Drawing:
    if path is not None:
        drawing.save(path)
    return drawing
