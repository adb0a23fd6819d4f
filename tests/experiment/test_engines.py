"""The same experiment in processes, on Ray, and by submitit: equal results, and a failure that stays alone.

Ray and submitit are optional and run here on this machine; they start processes that wait for torch: slow.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cortexgraph.errors import CortexGraphError
from cortexgraph.experiment.compare import compare
from tests.experiment.conftest import Write

RUNS = "variants: {diverges: {settings: {lr: 1.0e+30, epochs: 3}}, trains: {}, more: {set: {areas.V1.channels: 5}}}"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "ray", "slurm"])
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_every_engine_gives_what_one_process_gives(
    write: Write, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip({"slurm": "submitit"}.get(engine, "ray" if engine == "ray" else "torch"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    cluster = {"ray": "cluster: {num_cpus: 1}", "slurm": "cluster: {timeout_min: 5}"}.get(engine, "")
    experiment = write(f"{RUNS}\n{cluster}")
    expected = compare(experiment, tmp_path / "here")
    found = compare(experiment, tmp_path / "out", jobs=2, engine="here" if engine == "processes" else engine)
    assert [(row.variant, row.scores) for row in found.table] == [(row.variant, row.scores) for row in expected.table]
    assert {row.variant for row in found.table} == {"trains", "more"}
    (failure,) = found.failures
    assert failure.run == "diverges, seed 0"
    assert "infinite or not a number" in failure.error


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_package_that_is_not_installed(
    write: Write, tmp_path: Path, engine: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    message = rf'engine="{engine}": {package} is not installed\.\n  Run: pip install {package} '
    with pytest.raises(CortexGraphError, match=message):
        compare(write("seeds: [0]"), tmp_path / "out", engine=engine)


@pytest.mark.slow  # three processes import torch
def test_a_run_on_two_devices_gives_what_it_gives_on_one(write: Write, tmp_path: Path) -> None:
    one = compare(write("seeds: [0]"), tmp_path / "one")
    two = compare(write("seeds: [0]\ngpus: 2"), tmp_path / "two")
    assert [outcome.error for outcome in two.outcomes] == [""]
    assert [row.scores for row in two.table] == [row.scores for row in one.table]
    (result,) = (outcome.result for outcome in two.outcomes)
    assert result is not None
    assert result["device"] == "2 × cpu"
    again = compare(write("seeds: [0]"), tmp_path / "two")  # on one device it is the same run
    assert again.done_before == 1
