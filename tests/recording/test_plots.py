"""How lines of recordings look, and what figures say of what they leave out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from cortexgraph.recording import plots


def test_the_lines_of_many_areas_differ() -> None:
    looks = [plots.line_style(n, f"A{n}") for n in range(28)]
    assert len({(each["color"], each["marker"], each["linestyle"]) for each in looks}) == 28
    assert len({(each["color"], each["marker"]) for each in looks}) == 28


@pytest.mark.parametrize(("steps", "note"), [(20, "; 8 of 20 steps are shown"), (8, "classes")])
def test_a_figure_says_how_many_steps_it_shows(steps: int, note: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, paths: drawn.append(figure))
    matrices = {("IT", step): np.eye(4) for step in range(1, steps + 1)}
    plots._draw_dissimilarity(plots.Dissimilarities(np.array([0, 0, 1, 1]), matrices), "t", Path("x.png"))
    upper = drawn[0].subfigs[0]
    assert upper.get_supxlabel().endswith(note)
