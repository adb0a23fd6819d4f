"""What notebooks show."""

from __future__ import annotations

import re

import cortexgraph as cg
from cortexgraph.spec import dumps


def test_specs_and_graphs_show_themselves() -> None:
    spec = cg.load("ventral")
    for shown in (spec, cg.build(spec), cg.unroll(spec), cg.compile(spec).unrolled, cg.draw(spec)):
        svg, html = shown._repr_svg_(), shown._repr_html_()
        assert svg.startswith("<?xml")
        assert re.match(r'<div class="cortexgraph"><svg style="max-width: 100%; height: auto" width=', html)
        assert ">V4<" in html
    assert "executed" in cg.unroll(spec)._repr_svg_()
    assert dumps(spec).splitlines()[0] in spec._repr_html_()


def test_a_rolled_graph_shows_its_loop_as_a_fold() -> None:
    network = cg.compile(cg.load("ventral"), steps=1000, roll="always")
    svg = network.unrolled._repr_svg_().replace("&#45;", "-")
    loop = network.unrolled.loop
    assert loop is not None
    assert f"steady state × {loop.times}" in svg
    assert f'id="IT@{loop.first}-{loop.first + loop.period * loop.times - 1}.0"' in svg
    assert 'id="IT@1000.0"' in svg
    assert "1,000 steps" in svg


def test_what_is_no_network_shows_its_findings_in_place_of_a_picture() -> None:
    spec = cg.load("ventral", ["connections[0].groups=5", "description=<b>"])
    assert spec._repr_svg_() is None
    assert "5 groups do not divide 3 and 16 channels" in spec._repr_html_()
    assert "image -&gt; V1" in spec._repr_html_()
    assert "<b>" not in spec._repr_html_()


def test_a_drawing_carries_what_the_command_remarks() -> None:
    tall = cg.draw_unrolled("ventral", steps=12, fold="never", width="8.5cm")
    (remark,) = tall.remarks
    assert re.fullmatch(r"the picture is \d\d cm tall, a page 24 cm: `fold=\"always\"` draws .*", remark)
    assert remark in repr(tall)
    assert not cg.draw("ventral").remarks
    (remark,) = cg.draw_unrolled("liao_3state_full").remarks
    assert remark == 'the picture is 32 cm wide, a page 17 cm: `width="17cm"` fits it'
    assert cg.draw_unrolled("liao_3state_full", width="17cm").size[0] < 17.1
