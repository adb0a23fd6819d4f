"""The experiments of `examples/liao_poggio_2016`: they make sense, and their report says what their tables do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cortexgraph.experiment import load_experiment
from cortexgraph.experiment.compare import compare
from cortexgraph.experiment.plan import plan
from tests.experiment.conftest import Write

FOLDER = Path(__file__).parents[2] / "examples" / "liao_poggio_2016"
FILES = [
    pytest.param(
        path, marks=pytest.mark.slow if path.parent.name == "full" else (), id=f"{path.parent.name}-{path.stem}"
    )
    for path in sorted(FOLDER.glob("*/*.yaml"))  # the full ones make large networks
]


@pytest.mark.parametrize("path", FILES)
def test_every_experiment_can_be_carried_out(path: Path, tmp_path: Path) -> None:
    experiment = load_experiment(path)
    runs = plan(experiment, tmp_path, {"source": "cifar10"})
    assert len(runs) == len({run.variant.name for run in runs}) * len(experiment.seeds)
    assert len(experiment.seeds) >= 2
    assert (FOLDER / "small" / path.name).exists()


def test_the_unshared_weights_are_those_of_an_ordinary_resnet() -> None:
    """`per step` of the experiment on weights is what `cg.unshare` makes of the recurrent network."""
    import cortexgraph as cg
    from cortexgraph.unrolling import trained_parameters

    spec = cg.load(FOLDER / "one_state.yaml")
    apart = cg.load(FOLDER / "one_state.yaml", {"connections[1].weights": "per_step"})
    conv, norm = 2 * 16 * 16 * 9, 2 * 2 * 16
    counts = [trained_parameters(cg.unroll(network)) for network in (spec, apart)]
    assert counts[1] - counts[0] == 3 * conv
    assert counts[0] == 3 * 16 * 9 + conv + 4 * norm + 2 * 16 + 16 * 10 + 10
    kept = {name for name in cg.compile(apart).state_dict() if name.startswith("h_to_h")}
    assert {name for name in cg.compile(cg.unshare(spec)).state_dict() if name.startswith("h_to_h")} == kept


def test_the_report(write: Write, tmp_path: Path) -> None:
    rest = "seeds: [0, 1]\nvariants: {one: {}, two: {set: {time.steps: 4}}}\nevaluate: {late: {at: all, steps: 6}}"
    found = compare(write(rest), tmp_path / "runs" / "lesions")
    command = [sys.executable, str(FOLDER / "report.py"), str(tmp_path / "runs"), str(tmp_path / "docs")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    row = next(row for row in found.table if (row.variant, row.evaluation) == ("two", "as trained"))
    assert f"| two | {row.parameters:,} | {100 * row.mean:.1f} ± {100 * row.sd:.1f} |" in told
    late = [row for row in found.table if (row.variant, row.evaluation) == ("two", "late")]
    cells = " | ".join(f"{100 * row.mean:.1f}{'' if row.trained else '†'}" for row in late)
    assert f"| two | late | {cells} |" in told
    assert {path.name for path in (tmp_path / "docs").iterdir()} == {"lesions.csv", "lesions.svg"}
