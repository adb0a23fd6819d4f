"""Widths, counts and words."""

from __future__ import annotations

import pytest
from PIL import ImageFont

from cortexgraph.graph import AreaGraph
from cortexgraph.render.area_layout import box_lines, shape_text
from cortexgraph.render.drawing import bundled_fonts
from cortexgraph.render.style import elide, text_width

WORDS = [
    "V1",
    "V1 (L2/3)",
    "TH/TF",
    "7a",
    "Inferior temporal cortex",
    "MMMMWWWW",
    "illicit",
    "128 × 32 × 32",
    "batch norm per step · relu",
    "Größe ÀÉ",
    "αβγ",
    "0123456789",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "abcdefghijklmnopqrstuvwxyz",
]


@pytest.mark.parametrize("text", WORDS)
@pytest.mark.parametrize(("bold", "file"), [(False, "DejaVuSans.ttf"), (True, "DejaVuSans-Bold.ttf")])
def test_widths_are_those_of_the_widest_usual_font_or_a_little_more(text: str, bold: bool, file: str) -> None:
    fonts = bundled_fonts()
    assert fonts is not None
    measured = ImageFont.truetype(str(fonts / file), 1000).getlength(text)
    assert 0.99 < text_width(text, 1000, bold=bold) / measured < 1.25


def test_long_text_is_cut() -> None:
    assert elide("V1", 10, 50) == "V1"
    cut = elide("Inferior temporal cortex", 10, 50)
    assert cut.endswith("…")
    assert text_width(cut, 10) <= 50


def test_words_for_shapes_and_operations(stream: AreaGraph) -> None:
    assert shape_text((3, 0, 32)) == "3 × ? × 32"
    words = [text for text, *_ in box_lines(stream.area("V1"), brief=False)]
    assert words == ["V1", "8 × 32 × 32", "batch norm per step · relu"]
