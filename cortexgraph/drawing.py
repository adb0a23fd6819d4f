"""`cg.draw`, `cg.draw_matrix`, `cg.draw_unrolled` and `cg.draw_schedule`: pictures of a spec, also in notebooks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

from cortexgraph import render
from cortexgraph.arguments import arguments_explained
from cortexgraph.checks.behaviour import Record
from cortexgraph.compiler import build, lower
from cortexgraph.errors import CompileError, CortexGraphError, Diagnostic, in_words_of_caller
from cortexgraph.graph import AreaGraph
from cortexgraph.spec import NetworkSpec, SpecLike, dumps
from cortexgraph.unrolling import Focus, Order, UnrolledGraph, focused
from cortexgraph.wording import PRINTED_WIDTH, count_of, listed, quoted, shortened, suggest

Words = str | Sequence[str]


@arguments_explained
def draw(
    spec: SpecLike, path: str | Path | None = None, *, labels: bool | Words = False, width: Words | None = None
) -> render.Drawing:
    """Draw the areas and connections of a spec.

    Args:
        spec: the network, or its path or zoo name.
        path: where to write the picture; its suffix (.svg, .png, .pdf or .dot) says the format.
        labels: what to write beside each arrow: True or `all`, or one or some of `kernel` (with stride and resizing),
            `delay`, `parameters` and `strength`. Delays are always written.
        width: the printed width, such as `8.5cm`, for a layout in which all text has 6 points or more; or what the
            width of a line says: `parameters`, or the measured `strength` (all alike by default); or a list of both.

    Returns:
        The drawing, which shows itself in notebooks.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for unknown labels or widths, a printed width that is too narrow, or a strength that no
            connection notes; for a suffix that is not one of these.
        DataError: if the path cannot be written.
    """
    words: Words = render.LABELS if labels in (True, "all") else () if isinstance(labels, bool) else labels
    words = (words,) if isinstance(words, str) else words
    scale, points = _widths(width, render.WEIGHTS, {"labels": (words, render.LABELS)})
    graph = build(spec)
    dense = f"{count_of(graph.number_of_edges(), 'connection')} between {count_of(len(graph.areas), 'area')}"
    remarks = [f"{dense}: --matrix draws them more legibly"] * render.is_dense(graph)
    drawing = render.draw_areas(graph, labels=words, scale=scale, width=points)
    return _saved(drawing, path, points, lower="the matrix of connections is lower", remarks=remarks)


@arguments_explained
def draw_matrix(spec: SpecLike, path: str | Path | None = None, *, width: Words | None = None) -> render.Drawing:
    """Draw the matrix of connections of a spec, for graphs that are too dense for arrows.

    Args:
        spec: the network.
        path: where to write the picture; its suffix (.svg, .png, .pdf or .dot) says the format.
        width: the printed width, such as `17cm`; or what the area of a mark says: `parameters`, or the measured
            `strength` (all alike by default); or a list of both.

    Returns:
        The drawing, which shows itself in notebooks.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for an unknown width, a printed width that is too narrow, a strength that no connection notes,
            or an unknown suffix.
        DataError: if the path cannot be written.
    """
    scale, points = _widths(width, render.WEIGHTS)
    return _saved(render.draw_connections(build(spec), scale=scale, width=points), path, points)


@arguments_explained
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
    fold: render.Fold = "auto",
    width: str | None = None,
) -> render.Drawing:
    """Draw the updates of every area over time; those that are silent or never read are greyed.

    Args:
        spec: the network.
        path: where to write the picture; its suffix (.svg, .png, .pdf or .dot) says the format.
        steps: number of steps T; that of the spec by default.
        order: order of updates; that of the spec by default.
        record: the states to record, which the passes must keep.
        passes: names of the passes to run; all by default.
        upstream: draw only what drives this place, written `V4@3`, or `V4` for all steps.
        downstream: draw only what this place reaches.
        between: draw only what lies on a path from the first place to the second, as in ``("image", "IT@8")``.
        fold: whether steps that look alike are drawn once: `auto` (where the drawing would be too large for a page),
            `always` or `never`.
        width: the printed width, such as `8.5cm`: steps stand in several lines, and all text has 6 points or more.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area; for a place that is unknown, beyond the last step or
            silent, or two that no path joins; for an unknown suffix, width or kind of folding.
        DataError: if the path cannot be written.
    """
    _, points = _widths(width, (), {"fold": ([fold], [*render.FOLDS])})
    full, kept = lower(spec, steps, order, record, passes)
    focus = Focus(upstream, downstream, between)
    only = focused(full, focus) if focus else None
    subject = str(focus) if focus else ""
    drawing = render.draw_updates(full, kept, only=only, subject=subject, fold=fold, width=points)
    part = "--between and --upstream draw a part"
    return _saved(drawing, path, points, lower=f"{FOLDED}, {part}, and the schedule is lower")


@arguments_explained
def draw_schedule(
    spec: SpecLike,
    path: str | Path | None = None,
    steps: int | None = None,
    order: Order | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    *,
    fold: render.Fold = "auto",
    width: str | None = None,
) -> render.Drawing:
    """Draw the executed schedule: what is computed when and in which order, how long it is held, and what it costs.

    Args:
        spec: the network.
        path: where to write the picture; its suffix (.svg, .png, .pdf or .dot) says the format.
        steps: number of steps T; that of the spec by default.
        order: order of updates; that of the spec by default.
        record: the states to record, which the passes must keep.
        passes: names of the passes to run; all by default.
        fold: whether steps that look alike are drawn once: `auto` (where the drawing would be too wide for a page),
            `always` or `never`.
        width: the printed width, such as `17cm`.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area; for an unknown suffix, width or kind of folding.
        DataError: if the path cannot be written.
    """
    _, points = _widths(width, (), {"fold": ([fold], [*render.FOLDS])})
    full, kept = lower(spec, steps, order, record, passes)
    return _saved(render.draw_timetable(full, kept, fold=fold, width=points), path, points, lower=FOLDED)


POINTS = {"cm": 72 / 2.54, "mm": 7.2 / 2.54, "in": 72.0, "pt": 1.0}
"""Of a unit of length."""
LENGTH = re.compile(PRINTED_WIDTH)


def _widths(
    width: Words | None, weights: Sequence[str], others: Mapping[str, tuple[Iterable[str], Sequence[str]]] | None = None
) -> tuple[str | None, float | None]:
    """What the width of a line says, and the printed width in points, of the width that the user gives.

    `weights` are what a line may say, `others` further options with their values and choices. Raises CompileError for
    every value that is not one of the choices.
    """
    words = [width] if isinstance(width, str) else [*(width or ())]
    lengths = [match for match in map(LENGTH.fullmatch, words) if match]
    said = [word for word in words if not LENGTH.fullmatch(word)]
    options = {"width": (said, [*weights, "8.5cm"])} | dict(others or {})
    findings = [
        Diagnostic(
            "bad-choice",
            option,
            f"`{shortened(str(word))}` was given",
            f"the choices are {quoted(choices) if option != 'width' else _listed(weights)}",
            suggest(str(word), choices, "Name one of them."),
        )
        for option, (values, choices) in options.items()
        for word in values
        if word not in choices
    ]
    for several, what in ((said, "line width"), (lengths, "printed width")):
        if len(several) > 1:
            findings.append(Diagnostic("bad-choice", "width", f"more than one {what} was given", repair="Give one."))
    if findings:
        raise CompileError(findings)
    return said[0] if said else None, float(lengths[0][1]) * POINTS[lengths[0][2]] if lengths else None


def _listed(weights: Sequence[str]) -> str:
    return listed([*(f"`{weight}`" for weight in weights), "a printed width such as `8.5cm`"])


FOLDED = "`--fold always` draws equal steps once"


def _saved(
    drawing: render.Drawing,
    path: str | Path | None,
    points: float | None,
    *,
    lower: str | None = None,
    remarks: Sequence[str] = (),
) -> render.Drawing:
    """The drawing with its remarks, written to the path if there is one.

    `lower` is what draws less, said of a picture that is taller than a page.
    """
    width, height = drawing.size
    if points is None and width > render.PAGE_WIDTH_CM:
        page = f"{render.PAGE_WIDTH_CM:.0f}"
        remarks = [f"the picture is {width:.0f} cm wide, a page {page} cm: `--width {page}cm` fits it", *remarks]
    if lower is not None and height > render.PAGE_CM:
        remarks = [f"the picture is {height:.0f} cm tall, a page {render.PAGE_CM:.0f} cm: {lower}", *remarks]
    drawing = replace(drawing, remarks=tuple(map(in_words_of_caller, remarks)))
    if path is not None:
        drawing.save(path)
    return drawing


# ---- what `cortexgraph.notebook` asks for --------------------------------------


def picture_of(shown: NetworkSpec | AreaGraph | UnrolledGraph) -> render.Drawing | None:
    """The drawing of a spec or graph; None for a spec that does not make a network."""
    if isinstance(shown, AreaGraph):
        return render.draw_areas(shown)
    if isinstance(shown, UnrolledGraph):
        return render.draw_updates(shown)
    try:
        return draw(shown)
    except CortexGraphError:
        return None


def html_of(shown: NetworkSpec | AreaGraph | UnrolledGraph) -> str | None:
    """The drawing; of a spec also its text, and its findings where it does not make a network."""
    if not isinstance(shown, NetworkSpec):
        picture = picture_of(shown)
        return None if picture is None else picture._repr_html_()
    try:
        first = draw(shown)._repr_html_()
    except CortexGraphError as error:
        first = f"<pre>{escape(str(error))}</pre>"
    return f"{first}<details><summary>{escape(shown.name)}</summary><pre>{escape(dumps(shown))}</pre></details>"
