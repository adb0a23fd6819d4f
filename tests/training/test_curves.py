"""What the pictures show, read back from the SVG; how they look is for people."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

from cortexgraph.training import curves
from cortexgraph.training.curves import draw_accuracy_over_time, draw_curves
from cortexgraph.training.records import EpochRecord


def history(steps: tuple[int, ...], epochs: int = 3) -> list[EpochRecord]:
    return [
        EpochRecord(e, e, 0.1, 1 / e, 0.2 * e, 1.1 / e, {step: 0.1 * e + 0.01 * step for step in steps}, 1.0, 1.0)
        for e in range(1, epochs + 1)
    ]


def texts(path: Path) -> set[str]:
    return set(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8")))


def test_curves_by_step(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    draw_curves(history((2, 3, 4)), "a <title> & more", [tmp_path / "c.svg", tmp_path / "c.png"])
    found = texts(tmp_path / "c.svg")
    assert {"step 2", "step 3", "step 4", "best on test: 34.0%", "test", "train (augmented)", "loss (nats)"} <= found
    assert "a &lt;title&gt; &amp; more" in found
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before


def test_a_long_title_takes_several_lines(tmp_path: Path) -> None:
    title = "one two three four five six seven eight nine ten " * 5
    draw_curves(history((8,)), title, [tmp_path / "c.svg"])
    lines = [text for text in texts(tmp_path / "c.svg") if "three" in text]
    assert len(lines) >= 2
    assert sum(line.count("three") for line in lines) == 5


def test_one_readout_has_two_panels(tmp_path: Path) -> None:
    draw_curves(history((8,), epochs=1), "t", [tmp_path / "c.svg"])
    assert not any(text.startswith("step ") for text in texts(tmp_path / "c.svg"))


def test_one_epoch_is_a_point_on_an_axis_of_whole_numbers(tmp_path: Path) -> None:
    draw_curves(history((2, 3), epochs=1), "t", [tmp_path / "c.svg"])
    found = texts(tmp_path / "c.svg")
    assert {"0", "1", "2", "3"} <= found
    assert not {text for text in found if text.startswith(("0.9", "1.0"))} - {"1.0"}  # the loss has a tick at 1.0


def test_every_loss_stands_within_its_axis_and_fills_it(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, paths: drawn.append(figure))
    draw_curves(history((2, 3), epochs=2), "t", [])
    low, high = drawn[0].axes[0].get_ylim()
    losses = [value for line in drawn[0].axes[0].lines for value in line.get_ydata()]
    assert 0 <= low < min(losses)
    assert high > max(losses)
    assert max(losses) - min(losses) > 0.8 * (high - low)


def test_no_legend_covers_a_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn: list[Figure] = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, paths: drawn.append(figure))
    draw_curves(history((2, 3, 4), epochs=5), "t", [])
    draw_curves(history((2,), epochs=1), "t", [])
    draw_accuracy_over_time([4, 5], [0.99, 0.98], [True, False], 0.1, "t", [])
    legends = 0
    for figure in drawn:
        FigureCanvasAgg(figure).draw()
        for axis in figure.axes:
            box = axis.get_legend().get_window_extent()
            assert not box.overlaps(axis.get_window_extent()), axis.get_ylabel()
            assert 0 <= box.x0 <= box.x1 <= figure.bbox.width
            assert box.y1 <= figure.bbox.height
            legends += 1
    assert legends == 6


def test_equal_runs_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_curves(history((2, 3)), "t", [tmp_path / name])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_accuracy_over_time(tmp_path: Path) -> None:
    path = tmp_path / "t.svg"
    draw_accuracy_over_time([4, 5], [0.5, 0.6], [True, True], 0.1, "t", [path])
    assert "uses untrained parameters" not in texts(path)
    draw_accuracy_over_time([4, 5], [0.5, 0.6], [True, False], 0.1, "t", [path])
    assert {"uses untrained parameters", "chance", "step of readout"} <= texts(path)
