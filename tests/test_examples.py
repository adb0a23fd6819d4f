"""The examples run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def output(name: str, *arguments: str) -> str:
    # A recording computes updates whose sets training did not reach, and says so: expected here as in pyproject.toml.
    command = [sys.executable, "-W", "error", "-W", "ignore:at T = ", str(EXAMPLES / name), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_first_network(tmp_path: Path) -> None:
    told = output("first_network.py", str(tmp_path / "out"))
    written = {file.name for file in (tmp_path / "out").iterdir()}
    assert written >= {"areas.svg", "unrolled.svg", "first.py", "first.yaml"}
    assert told.count("without feedback") == 4


def test_own_operation() -> None:
    told = output("own_operation.py")
    assert "carries: Divisive, Adapting" in told
    assert "[wide-area]" in told
    assert float(told.split("reference: ")[1].split()[0]) < 1e-6


@pytest.mark.slow(reason="trains a network")
def test_recording(tmp_path: Path) -> None:
    told = output("recording.py", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} >= {"acts.nc", "acts-activity.png", "acts-dissimilarity.png"}
    assert "('image', 'step', 'channel', 'y', 'x') steps [3, 4, 5, 6]" in told
    assert "of 60 images change their predicted class" in told


def test_pictures(tmp_path: Path) -> None:
    """The committed pictures are those of the script: the ids and classes in them (fonts differ between machines)."""
    output("pictures.py", str(tmp_path))
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    images = EXAMPLES.parent / "docs" / "images"
    shown = re.findall(r"images/([\w-]+\.svg)", (EXAMPLES.parent / "docs" / "drawing.md").read_text())
    assert sorted(shown) == sorted(made)
    for name, svg in made.items():
        ids = [re.findall(r'<g id="([^"]+)" class="([^"]+)"', text) for text in (svg, (images / name).read_text())]
        assert ids[0] == ids[1], f"{name} is old: python examples/pictures.py"


def test_every_example_has_its_test() -> None:
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tests
