"""Where the runs of an experiment are carried out: here, in processes of this machine, or on a cluster."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from cortexgraph.experiment.plan import Run
from cortexgraph.experiment.run import Outcome, carry_out, outcome_of

__all__ = ["ENGINES", "Engine"]

Engine = Callable[[Sequence[Run], int, bool, Mapping[str, Any]], Iterator[Outcome]]
"""Carries out runs: which, how many at a time, whether to overwrite, the cluster's options; yields each outcome."""


def here(runs: Sequence[Run], jobs: int, overwrite: bool, options: Mapping[str, Any]) -> Iterator[Outcome]:
    """One run after another in this process, or `jobs` at a time in processes of their own."""
    if jobs == 1:
        yield from (carry_out(run, overwrite=overwrite) for run in runs)
        return
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(_apart, run, overwrite, threads) for run in runs]
        yield from (done.result() for done in as_completed(waiting))


def _apart(run: Run, overwrite: bool, threads: str) -> Outcome:
    """Carry out a run in a process of its own, whose crash takes nothing else along."""
    done = subprocess.run(
        [sys.executable, "-m", "cortexgraph.experiment.worker"],
        input=pickle.dumps((run, overwrite)),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={"OMP_NUM_THREADS": threads, **os.environ},
        check=False,
    )
    found = outcome_of(run)
    if found is not None:
        return found
    said = done.stderr.decode(errors="replace").strip()
    return Outcome(run.name, said or f"its process ended with code {done.returncode}")


def on_ray(runs: Sequence[Run], jobs: int, overwrite: bool, options: Mapping[str, Any]) -> Iterator[Outcome]:
    """On the machines of a Ray cluster, which share the folder of the experiment; Ray decides how many at a time."""
    import ray

    ray.init(ignore_reinit_error=True, log_to_driver=False)
    remote = ray.remote(**options)(carry_out) if options else ray.remote(carry_out)
    waiting = {remote.remote(run, overwrite=overwrite): run for run in runs}
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        run = waiting.pop(ready)
        try:
            yield ray.get(ready)
        except Exception as error:  # its worker died
            yield Outcome(run.name, f"Ray: {error}")


def on_slurm(runs: Sequence[Run], jobs: int, overwrite: bool, options: Mapping[str, Any]) -> Iterator[Outcome]:
    """As an array of SLURM jobs, by submitit, at most `jobs` at a time; without SLURM, by submitit on this machine."""
    import submitit

    executor = submitit.AutoExecutor(folder=runs[0].folder.parents[2] / "slurm")
    executor.update_parameters(**{"slurm_array_parallelism": jobs, **options})
    submitted = executor.map_array(_carry_out_again if overwrite else carry_out, list(runs))
    for job, run in zip(submitted, runs, strict=True):
        try:
            yield job.result()
        except Exception as error:  # cancelled, out of time, or its node is gone
            yield Outcome(run.name, f"SLURM job {job.job_id}: {error}")


def _carry_out_again(run: Run) -> Outcome:
    return carry_out(run, overwrite=True)


ENGINES: dict[str, Engine] = {"here": here, "ray": on_ray, "slurm": on_slurm}
"""Engines by the name that `--engine` takes."""
