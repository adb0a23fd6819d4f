"""`predict` with odd names of classes and files, and weights that are not numbers."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

import cortexgraph as cg
from cortexgraph.training import packed
from tests.cli.conftest import Run

CLASSES = ["file", "step", "class file", "[cat]", "=1+1", "[/]", "@sum", "-y", "[bold]x", "ü"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trained network with odd classes."""
    shutil.copytree(packed()["ventral-cifar10"], tmp_path / "run")
    card = json.loads((tmp_path / "run" / "data.json").read_text())
    (tmp_path / "run" / "data.json").write_text(json.dumps(card | {"classes": CLASSES}))
    return tmp_path / "run"


def images(*names: str) -> None:
    for name in names:
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)).save(name, "png")


def test_odd_names_of_classes_and_files(run: Run, folder: Path) -> None:
    images("[bold]a.png", "=b.png")
    words = ["predict", "[bold]a.png", "./=b.png", "=b.png", "-w", str(folder), "--top", "10", "--csv", "o.csv"]
    result = run(*words, "--device", "cpu")
    assert (result.code, result.err) == (0, "")
    for name in (*CLASSES, "[bold]a.png: ", "=b.png: "):
        assert name in result.out
    header, *rows = csv.reader(Path("o.csv").read_text().splitlines())
    names = ["class file", "class step", "class class file", "[cat]", "'=1+1", "[/]", "'@sum", "'-y", "[bold]x", "ü"]
    assert header == ["file", "step", *names]
    files = ["[bold]a.png", "'=b.png", "'=b.png"]
    assert [row[:2] for row in rows] == [[file, step] for file in files for step in "456"]
    assert all(sum(map(float, row[2:])) == pytest.approx(1) for row in rows)


def test_weights_that_are_not_numbers(run: Run, folder: Path) -> None:
    images("a.png")
    with safe_open(folder / "weights.safetensors", "numpy") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    for name, values in state.items():
        if values.dtype.kind == "f":
            state[name] = np.full_like(values, np.nan)
    save_file(state, folder / "weights.safetensors", metadata)
    with pytest.warns(cg.CortexGraphWarning, match="logits at steps 4–6 are infinite or not a number"):
        result = run("predict", "a.png", "-w", str(folder), "--csv", "o.csv", "--device", "cpu")
    assert result.code == 0
    assert "nan" in (result.out + result.err).lower()
