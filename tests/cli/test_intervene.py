"""`record` and `eval` of a run under interventions from a file, as a user calls them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import cortexgraph as cg
from tests.cli.conftest import Run

PLANE = Path(__file__).parents[2] / "examples" / "airplane.png"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One image for each class of the network that ships, all the same."""
    for name in cg.load_run("ventral-cifar10").classes:
        for part in ("train", "test"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            (tmp_path / "data" / part / name / "0.png").write_bytes(PLANE.read_bytes())
    return tmp_path / "data"


def test_a_recording_and_an_evaluation_are_under_the_changes(run: Run, data: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent.yaml"
    silent.write_text("- {at: IT, ablate: zero}\n")
    shared = ["ventral-cifar10", "--data", str(data), "--intervene", str(silent)]
    done = run("record", *shared, "--areas", "V4,IT", "-o", str(tmp_path / "states.npz"))
    assert done.code == 0, done.err
    states = np.load(tmp_path / "states.npz")
    assert states["V4"].any()
    assert not states["IT"].any()
    done = run("eval", *shared, "--csv", str(tmp_path / "table.csv"))
    assert done.code == 0, done.err
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["accuracy"] for row in rows} == {"0.1"}  # only the bias of the readout is left: one class for all


@pytest.mark.parametrize("command", ["record", "eval"])
def test_a_file_with_mistakes_is_a_finding(run: Run, data: Path, tmp_path: Path, command: str) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("- {at: V9, ablate: zero}\n- {at: IT, steps: 9, ablate: zero}\n")
    target = ["-o", str(tmp_path / "states.npz")] if command == "record" else []
    done = run(command, "ventral-cifar10", "--data", str(data), "--intervene", str(wrong), *target)
    assert (done.code, done.out.count("Traceback")) == (1, 0)
    assert "wrong.yaml:1" in done.err
    assert "wrong.yaml:2" in done.err
    assert not (tmp_path / "states.npz").exists()
