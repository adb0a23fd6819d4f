"""The same experiment in processes, on Ray, and by submitit: equal results, and a failure that stays alone.

Ray and submitit are optional and run here on this machine; they start processes that wait for torch: slow.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cortexgraph.errors import CortexGraphError, SpecError
from cortexgraph.experiment import compare as engines
from cortexgraph.experiment.compare import compare
from cortexgraph.experiment.run import Outcome
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


# ---- SLURM, as it behaved on a small cluster ---------------------------------------


class Job:
    """A job of submitit that leaves no result."""

    def __init__(self, number: str, folder: Path) -> None:
        self.job_id, self.state = number, "CANCELLED by 0"
        self.paths = SimpleNamespace(result_pickle=folder / number, stderr=folder / f"{number}.err")
        self.cancelled = False

    def cancel(self, check: bool) -> None:
        self.cancelled = True


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """A submitit whose jobs never end, and a queue that `squeue` prints from a file."""
    jobs = [Job(f"8_{number}", tmp_path) for number in range(2)]

    class AutoExecutor:
        cluster = "slurm"

        def __init__(self, folder: Path) -> None:
            assert folder == tmp_path / "slurm"

        def update_parameters(self, **options: object) -> None:
            if options.pop("slurm_time", 1) != 1:
                raise ValueError("Unavailable parameter(s):\n['time']")
            assert options == {"slurm_array_parallelism": 2, "gpus_per_node": 4}

        def map_array(self, function: object, runs: list[object]) -> list[Job]:
            return jobs

    monkeypatch.setitem(sys.modules, "submitit", SimpleNamespace(AutoExecutor=AutoExecutor))
    for name in ("QUEUE_EVERY_S", "SHARED_FILE_S"):
        monkeypatch.setattr(engines, name, 0.0)
    (tmp_path / "squeue").write_text(f'#!/bin/sh\n. "{tmp_path}/answer"\n')
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return jobs


def fake_runs(folder: Path) -> list[Any]:
    return [SimpleNamespace(name=name, folder=folder / "runs" / name / "seed-0", gpus=4) for name in "ab"]


@pytest.mark.skipif(sys.platform == "win32", reason="squeue is a shell script here")
def test_a_job_that_ends_without_a_result_is_one_finding_and_the_others_are_cancelled(
    slurm: list[Job], tmp_path: Path
) -> None:
    """Also where SLURM keeps no accounting, by which submitit would learn that a job has ended."""
    (tmp_path / "answer").write_text("echo 8_1\n")
    outcomes = engines.on_slurm(fake_runs(tmp_path), 2, False, {})
    message = (
        f"SLURM job 8_0 ended as CANCELLED by 0; its log is {tmp_path}/8_0.err. The same command continues the run."
    )
    assert next(outcomes) == Outcome("a", message)
    outcomes.close()  # Ctrl-C
    assert [job.cancelled for job in slurm] == [False, True]


@pytest.mark.skipif(sys.platform == "win32", reason="squeue is a shell script here")
@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(
    ("answer", "listed"),
    [
        ("echo 8_1; echo 8_2", {"8_1", "8_2"}),
        ("echo slurm_load_jobs error: Invalid job id specified >&2; exit 1", set()),
        ("echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1", None),
    ],
)
def test_the_queue(answer: str, listed: set[str] | None, tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(answer)
    assert engines._listed("8") == listed


@pytest.mark.usefixtures("slurm")
def test_a_parameter_that_submitit_or_sbatch_refuses(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cluster: Unavailable parameter\(s\): \['time'\]\.\n  Correct `cluster`"):
        next(engines.on_slurm(fake_runs(tmp_path), 2, False, {"slurm_time": 5}))
