"""Drawings for a printed width: all text has 6 points or more, and nothing is lost between the lines."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pygraphviz
import pytest

import cortexgraph as cg
from cortexgraph.compiler import lower
from cortexgraph.errors import CompileError
from cortexgraph.render import Drawing, draw_updates
from cortexgraph.render.geometry import Curve
from tests.render.conftest import STREAMS
from tests.render.test_updates import classes
from tests.render.test_views import SPECS


def printed(drawing: Drawing) -> tuple[float, float]:
    """The width of a picture and the size of its smallest text, in points as they are printed."""
    svg = drawing.svg()
    scale = re.search(r'transform="scale\(([\d.]+) ', svg)
    assert scale is not None
    root = ET.fromstring(svg)
    texts = root.iter("{http://www.w3.org/2000/svg}text")
    sizes = [float(text.attrib["font-size"]) for text in texts if (text.text or "").strip()]
    return float(root.attrib["width"].removesuffix("pt")), min(sizes) * float(scale[1])


VIEWS: dict[str, Callable[..., Drawing]] = {
    "areas": cg.draw,
    "matrix": cg.draw_matrix,
    "unrolled": cg.draw_unrolled,
    "schedule": cg.draw_schedule,
}


WIDER = {
    ("schedule", "rcnn"): "10.8",
    ("schedule", "rcnn96"): "10.8",
    ("unrolled", "blt_vs_imagenet"): "10.2",
    ("schedule", "blt_vs_imagenet"): "9.6",
}
"""The least width of drawings whose rows cannot be folded, such as a step of seventeen groups."""


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("width", ["8.5cm", "17cm"])
def test_text_can_be_read_at_the_printed_width(name: str, width: str) -> None:
    most = float(width[:-2]) / 2.54 * 72 + 1
    for view, draw in VIEWS.items():
        if (view, name) in WIDER and width == "8.5cm":
            with pytest.raises(CompileError, match=rf"Give a width of {WIDER[view, name]} cm"):
                draw(name, width=width)
            continue
        wide, smallest = printed(draw(name, width=width))
        assert wide <= most, (view, wide)
        assert smallest >= 5.99, (view, smallest)


@pytest.mark.parametrize("view", VIEWS)
def test_the_width_that_the_error_names_is_enough(view: str) -> None:
    with pytest.raises(CompileError, match=r"would be \d\.\d pt, but it must be 6 pt or more") as caught:
        VIEWS[view]("cornet_s", width="1cm")
    needed = re.search(r"[\d.]+ cm", caught.value.diagnostics[0].repair)
    assert needed is not None
    wide, smallest = printed(VIEWS[view]("cornet_s", width=needed[0]))
    assert smallest >= 5.99
    assert wide <= float(needed[0][:-3]) / 2.54 * 72 + 1


@pytest.mark.parametrize("view", VIEWS)
def test_a_drawing_is_never_refused_at_its_own_width(view: str) -> None:
    drawing = VIEWS[view](cg.NetworkSpec.model_validate(STREAMS))
    wide, _ = printed(drawing)
    assert drawing.size[0] * 72 / 2.54 == pytest.approx(wide, abs=1)
    assert (
        VIEWS[view](cg.NetworkSpec.model_validate(STREAMS), width=f"{drawing.size[0]:.4f}cm").source == drawing.source
    )


def test_a_schedule_in_several_lines_shows_every_mark_and_bar() -> None:
    wide, narrow = (classes(cg.draw_schedule("ventral", steps=12, width=width)) for width in (None, "6cm"))
    assert {key: narrow.get(key) for key in wide} == wide
    repeated = {key for key in narrow if re.search("-line-[0-9]+$", key)}
    assert {key for key in narrow.keys() - wide.keys() if "subtitle" not in key} == repeated
    assert "schedule-row-0-line-2" in repeated
    assert any(key.startswith("schedule-held") for key in repeated)


def test_what_would_be_taller_than_a_page_is_folded_where_it_can_be() -> None:
    assert "⋯" not in cg.draw_unrolled("ventral", steps=12).source
    narrow = {
        fold: cg.draw_unrolled("ventral", steps=12, fold=fold, width="6cm") for fold in ("auto", "always", "never")
    }
    assert narrow["auto"] == narrow["always"]
    assert narrow["never"].size[1] > max(24, narrow["auto"].size[1])


def test_a_drawing_that_fits_is_drawn_as_ever() -> None:
    assert cg.draw_unrolled("ventral", width="25cm").source == cg.draw_unrolled("ventral").source
    assert cg.draw("ventral", width=["25cm", "parameters"]).source == cg.draw("ventral", width="parameters").source


UP_AND_DOWN = ("V1", "V2", "V4", "IT", "V4", "V2", "V1")


@pytest.mark.parametrize(
    ("spec", "order"),
    [(cg.load("ventral"), None), (cg.NetworkSpec.model_validate(STREAMS), None), (cg.load("ventral"), UP_AND_DOWN)],
    ids=["ventral", "streams", "steps of seven groups"],
)
def test_steps_in_several_lines_show_every_update_and_read(spec: cg.NetworkSpec, order: Any) -> None:
    """Also where a step is wider than a line, so that its groups stand in several."""
    full, kept = lower(spec, order=order)
    wide, narrow = (classes(draw_updates(full, kept, fold="never", width=width)) for width in (None, 290))
    parts = {key: words for key, words in narrow.items() if key.endswith("-start")}
    assert parts
    missing = {key: words for key, words in wide.items() if narrow.get(key) != words}
    assert not missing
    assert all(narrow[key.removesuffix("-start")] == words for key, words in parts.items())


def test_a_cut_arrow_ends_where_its_line_does_and_begins_with_the_next() -> None:
    graph = pygraphviz.AGraph(string=cg.draw_unrolled("ventral", width="8.5cm").source)
    bands = {str(band.graph_attr["id"]): band.graph_attr["bb"] for band in graph.subgraphs()}
    (_, low, right, top), (left, lower, _, _) = (
        map(float, bands[f"updates-step-{step}"].split(",")) for step in (3, 4)
    )
    assert lower < low
    ends: dict[str, Any] = {edge.attr["id"]: edge.attr["pos"] for edge in graph.edges()}
    points = [tuple(map(float, point.split(","))) for point in ends["V2@3.0->V4@4.0-start"].split()[1:]]
    assert points[-1][0] == pytest.approx(right, abs=0.1)
    assert low < points[-1][1] < top
    again = [tuple(map(float, point.split(","))) for point in ends["V2@3.0->V4@4.0"].split()[1:]]
    assert again[0][0] == pytest.approx(left, abs=0.1)
    assert again[0][1] - lower == pytest.approx(points[-1][1] - low, abs=0.1)


def test_a_curve_is_cut_at_an_x() -> None:
    curve = Curve(((0, 0), (10, 30), (20, -30), (30, 0), (40, 30), (50, 10), (60, 0)))
    whole = curve.cut(-5, after=True)
    assert [x for point in whole.points for x in point] == pytest.approx(
        [x for point in curve.points for x in point], abs=1e-3
    )
    for x in (3.0, 30.0, 45.0):
        before, after = curve.cut(x, after=False), curve.cut(x, after=True)
        assert before.tip[0] == pytest.approx(x, abs=0.01)
        assert before.tip == pytest.approx(after.points[0], abs=0.01)
        assert (before.points[0], after.tip) == (curve.points[0], curve.tip)


def test_residual_blocks_are_marked() -> None:
    """In ResNet-50 of He et al. 2016: 3, 4, 6 and 3 blocks."""
    drawing = cg.draw("resnet50_imagenet").source
    assert [f"{n} residual blocks" in drawing for n in (2, 3, 4, 6)] == [False, True, True, True]
    marks = {key for key, words in classes(cg.draw("resnet50_imagenet")).items() if "residual" in words}
    assert marks == {f"residual-stage_{n}" for n in (1, 2, 3, 4)}
    over_time = {key for key, words in classes(cg.draw_unrolled("liao_resnet_shared")).items() if "residual" in words}
    assert {key.partition("@")[0] for key in over_time} == {"residual-H"}
    assert not any("residual" in words for words in classes(cg.draw("ventral")).values())
