"""`attribute` and `preferred` as a user calls them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run

PLANE = str(Path(__file__).parents[2] / "examples" / "airplane.png")


def test_the_command_writes_pictures_table_and_units(run: Run, tmp_path: Path) -> None:
    words = [PLANE, "--class", "airplane", "--step", "5", "--points", "8", "--areas", "V4,IT"]
    done = run("attribute", "ventral-cifar10", *words, "--out", str(tmp_path / "why"))
    assert done.code == 0, done.err
    assert "attribution of airplane at step 5" in done.out
    assert "above that of the baseline" in done.out
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == [
        "attribution.csv", "attribution.npz", "frames.png", "states.png"
    ]  # fmt: skip
    arrays = np.load(tmp_path / "why" / "attribution.npz")
    with (tmp_path / "why" / "attribution.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["area"] == "IT"]
    assert [row["step"] for row in rows] == ["4", "5"]
    assert float(rows[1]["attribution"]) == pytest.approx(float(arrays["IT step 5"].sum()), rel=1e-3)
    wrong = run("attribute", "ventral-cifar10", PLANE, "--class", "plane", "--areas", "V9")
    assert wrong.code == 1
    assert "[bad-target]" in wrong.err
    assert "[unknown-area]" in wrong.err


def test_the_command_draws_a_grid(run: Run, tmp_path: Path) -> None:
    words = ["--area", "V4", "--units", "0-2,5", "--step", "4", "--iterations", "2", "-o", str(tmp_path / "v4.svg")]
    done = run("preferred", "ventral-cifar10", *words)
    assert done.code == 0, done.err
    assert (tmp_path / "v4.svg").read_text().count("<image") == 4
    video = run("preferred", "ventral-cifar10", *words[:3], "1", *words[4:8], "--video", "--out", words[-1])
    assert (tmp_path / "v4.svg").read_text().count("<image") == 6, video.err
    wrong = run("preferred", "ventral-cifar10", "--area", "V4", "--units", "64-66")
    assert wrong.code == 1
    assert "unit 64, 65, 66 of V4 was asked for, but it has 64 channels" in wrong.err
