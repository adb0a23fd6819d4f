"""`compare`: carry out the runs of an experiment, here or on a cluster, and write its table and figure."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pydantic import JsonValue

from cortexgraph.errors import DataError, Diagnostic, SpecError
from cortexgraph.experiment.model import ExperimentSpec
from cortexgraph.experiment.plan import Data, Run, bounds, collected, plan
from cortexgraph.experiment.report import Row, draw_figure, rows, table_text
from cortexgraph.experiment.run import Outcome, adopt, carry_out, check_images, metric_of, outcome_of, stale
from cortexgraph.extras import FEATURES, require
from cortexgraph.files import locked, write_text
from cortexgraph.registrations import VARIABLE
from cortexgraph.training.run_folder import RunFolder
from cortexgraph.training.tasks import ACCURACY, metric_text

QUEUE_EVERY_S, SHARED_FILE_S = 10.0, 15.0
"""How often SLURM is asked for its queue; how long a file that another machine wrote may take to be seen here."""


@dataclass(frozen=True)
class Comparison:
    """The result of an experiment.

    Attributes:
        table: a row for each variant, evaluation and readout step.
        outcomes: of every run, in the order of the plan.
        done_before: how many runs were finished already.
        folder: of the runs, `table.csv`, `figure.svg` and `figure.png`.
        best: the best trial of a search, in words.
    """

    table: Sequence[Row]
    outcomes: Sequence[Outcome]
    done_before: int
    folder: Path
    best: str = ""

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.error]


def compare(
    experiment: ExperimentSpec,
    out: str | Path,
    *,
    data: Data | None = None,
    jobs: int = 1,
    engine: str = "here",
    overwrite: bool = False,
    reuse: Sequence[str | Path] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Carry out an experiment: train each variant with each seed, measure, and write one table and one figure.

    Runs that are finished in `out` are not repeated, and one that was interrupted, also by `kill -9`, resumes after
    its last epoch. A run that fails is reported and does not stop the others.

    Args:
        experiment: what is compared.
        out: the folder of the experiment, which is made if it does not exist.
        data: arguments of `load_data` in place of the experiment's.
        jobs: how many runs at a time.
        engine: `here`, `ray` or `slurm`.
        overwrite: repeat runs in `out` that another experiment made.
        reuse: folders of other experiments: what they have trained of the same spec, settings and data is copied.
        tell: is called with a line for every run.

    Raises:
        SpecError: with every finding about the experiment, before anything is trained.
        DataError: if `out` cannot be written, is in use, or holds damaged runs or runs of another experiment, or if the
            images cannot be loaded or do not fit a variant, before anything is written.
        MissingPackageError: if the packages for training, or of the engine, are not installed.
    """
    if engine not in ENGINES:
        found, expected = f"{engine!r} was given", f"there are {', '.join(ENGINES)}"
        raise SpecError(Diagnostic("unknown-engine", "engine", found, expected, "Name one of these."))
    extras = {"train", engine} | ({"search"} if experiment.search is not None else set())
    for extra in sorted(extras & FEATURES.keys()):
        require(extra)
    out, images = Path(out), experiment.data.arguments if data is None else data
    runs, outcomes = prepare(experiment, out, images, overwrite=overwrite)
    if engine == "here":  # the machines of a cluster may have other files
        begins = experiment.search is not None and not out.exists()
        trained = bounds(experiment, out, images) if begins else [run for run in runs if run.name not in outcomes]
        check_images([replace(run, jobs=jobs) for run in trained], {run.variant.name for run in runs})

    def carried_out(waiting: Sequence[Run]) -> Iterator[Outcome]:
        return ENGINES[engine](waiting, jobs, overwrite, experiment.cluster)

    with locked(out / ".lock", "another `compare` uses this folder"):
        if adopted := adopt(runs, [Path(folder) for folder in reuse]):
            tell(f"{len(adopted)} of {len(runs)} runs are trained already in other experiments")
        if done_before := len(outcomes):
            tell(f"{done_before} of {len(runs)} runs are finished already")
        if waiting := [run for run in runs if run.name not in outcomes]:
            for outcome in carried_out(sorted(waiting, key=lambda run: run not in adopted)):
                outcomes[outcome.run] = outcome
                _write_table(out, [outcomes[run.name] for run in runs if run.name in outcomes])
                tell(f"[{len(outcomes)}/{len(runs)}] {_line(outcome)}")
        ordered, best = [outcomes[run.name] for run in runs], ""
        if experiment.search is not None:
            from cortexgraph.experiment.search import Search

            search = Search.opened(experiment, out, images, overwrite=overwrite)
            ordered, best = search.carried_out(carried_out, jobs, tell), search.best()
        if table := _write_table(out, ordered):
            classes = {run.variant.spec.readouts[0].classes for run in runs}
            chance = 1 / classes.pop() if len(classes) == 1 and table[0].metric == ACCURACY else None
            draw_figure(experiment, table, [out / "figure.svg", out / "figure.png"], chance)
    return Comparison(table, ordered, done_before, out, best)


def prepare(
    experiment: ExperimentSpec, out: Path, data: Data | None = None, *, overwrite: bool = False
) -> tuple[list[Run], dict[str, Outcome]]:
    """The runs of an experiment, and by name the outcomes of those that are finished; writes nothing.

    Raises what `compare` does.
    """
    if RunFolder(out).is_run:
        found, repair = "this is the folder of a training run", "Name another folder with --out."
        raise DataError(Diagnostic("run-folder", str(out), found, repair=repair))
    runs = plan(experiment, out, experiment.data.arguments if data is None else data)
    outcomes: dict[str, Outcome] = {}
    findings: list[Diagnostic] = []
    for run in runs:
        with collected(findings):
            if not overwrite and (finding := stale(run)) is not None:
                findings.append(finding)
            elif (outcome := outcome_of(run)) is not None:
                outcomes[run.name] = outcome
    if findings:
        raise DataError(findings)
    return runs, outcomes


def _write_table(out: Path, outcomes: Sequence[Outcome]) -> list[Row]:
    if table := rows(outcomes):
        write_text(out / "table.csv", table_text(table))
    return table


def _line(outcome: Outcome) -> str:
    if outcome.result is None:
        lines = [line for line in outcome.error.splitlines() if line.strip() and not line.startswith(" ")]
        return f"{outcome.run}: FAILED: {lines[-1]}"  # of a traceback the error, of a finding what was found
    score = metric_text(metric_of(outcome.result), list(outcome.result["scores"].values())[-1], 1)
    parameters, seconds = outcome.result["parameters"], outcome.result["seconds"]
    return f"{outcome.run}: {score}, {parameters:,} trained parameters, {seconds:,.0f} s"


# ---- engines -----------------------------------------------------------------


def here(runs: Sequence[Run], jobs: int, overwrite: bool, options: Mapping[str, JsonValue]) -> Iterator[Outcome]:
    """One run after another in this process, or `jobs` at a time in separate processes."""
    if jobs == 1:
        yield from (carry_out(run, overwrite=overwrite) for run in runs)
        return
    places: SimpleQueue[dict[str, str]] = SimpleQueue()
    for place in _places(jobs, _gpus(runs)):
        places.put(place)

    def work(run: Run) -> Outcome:
        place = places.get()
        try:
            return carry_out(run, overwrite=overwrite, apart=place)
        finally:
            places.put(place)

    with ThreadPoolExecutor(jobs) as pool:
        shared = [replace(run, jobs=jobs) for run in runs]
        yield from (done.result() for done in as_completed([pool.submit(work, run) for run in shared]))


def _places(jobs: int, gpus: int) -> list[dict[str, str]]:
    """Environment variables for each of `jobs` processes at a time: its threads, and GPUs that are its own.

    Raises DataError if there are too few GPUs.
    """
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}
    own = [threads | os.environ for _ in range(jobs)]
    count = _gpu_count() if gpus else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = visible if len(visible) == count else [str(number) for number in range(count)]
    if 0 < count < jobs * gpus:
        found, expected = f"{jobs} runs at a time need {jobs * gpus} GPUs", f"there are {count}"
        raise DataError(Diagnostic("no-device", "--jobs", found, expected, f"Give --jobs {max(1, count // gpus)}."))
    for number, place in enumerate(own if count else ()):
        place["CUDA_VISIBLE_DEVICES"] = ",".join(names[number * gpus : (number + 1) * gpus])
    return own


def _gpu_count() -> int:
    import torch

    return torch.cuda.device_count()


def on_ray(runs: Sequence[Run], jobs: int, overwrite: bool, options: Mapping[str, JsonValue]) -> Iterator[Outcome]:
    """On the machines of a Ray cluster, which share the folder of the experiment; Ray decides how many at a time."""
    import ray

    own = {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}
    ray.init(ignore_reinit_error=True, log_to_driver=False, runtime_env={"env_vars": own})
    needs = ({"num_gpus": gpus} if (gpus := _gpus(runs)) else {}) | dict(options)
    remote = ray.remote(**needs)(carry_out) if needs else ray.remote(carry_out)
    waiting = {remote.remote(run, overwrite=overwrite): run for run in runs}
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        run = waiting.pop(ready)
        try:
            yield ray.get(ready)
        except Exception as error:  # its worker died
            yield Outcome(run.name, f"Ray: {error}")


def on_slurm(runs: Sequence[Run], jobs: int, overwrite: bool, options: Mapping[str, JsonValue]) -> Iterator[Outcome]:
    """As an array of SLURM jobs, by submitit, at most `jobs` at a time; without SLURM, by submitit on this machine.

    Jobs that have not ended when this is left are cancelled. Raises SpecError if SLURM or submitit refuses the options.
    """
    import submitit

    executor = submitit.AutoExecutor(folder=runs[0].folder.parents[2] / "slurm")
    needs = {"gpus_per_node": gpus} if (gpus := _gpus(runs)) else {}
    try:
        executor.update_parameters(**{"slurm_array_parallelism": jobs, **needs, **options})
        submitted = executor.map_array(_Resumable(overwrite), list(runs))
    except Exception as error:  # of submitit for a parameter, of sbatch for its value
        problem = " ".join(str(error).split())
        repair = "Correct `cluster`, which holds parameters of submitit, or `gpus` in the experiment."
        raise SpecError(Diagnostic("bad-cluster", "cluster", problem, repair=repair)) from None
    waiting, is_queued = dict(zip(submitted, runs, strict=True)), _Queue(executor.cluster)
    try:
        while waiting:
            for job in [job for job in waiting if job.paths.result_pickle.exists() or not is_queued(job)]:
                yield _outcome(job, waiting.pop(job))
            time.sleep(1)
    finally:
        for job in waiting:
            job.cancel(check=False)


@dataclass(frozen=True)
class _Resumable:
    """Carries out a run in a job of SLURM, which submitit queues again when its time is over or it is preempted."""

    overwrite: bool

    def __call__(self, run: Run) -> Outcome:
        return carry_out(run, overwrite=self.overwrite)

    def checkpoint(self, run: Run) -> object:
        """What the job carries out when it starts again; submitit calls this before the time is over."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, run)


class _Queue:
    """Which jobs are queued or running.

    For SLURM, `squeue` says it: submitit asks the accounting, which small clusters do without, and would wait for ever.
    """

    def __init__(self, cluster: str) -> None:
        self.by_squeue, self.asked_at = cluster == "slurm", -QUEUE_EVERY_S
        self.answer: set[str] | None = None

    def __call__(self, job: Any) -> bool:
        if not self.by_squeue:
            return not job.done()
        if time.monotonic() > self.asked_at + QUEUE_EVERY_S:
            self.asked_at, self.answer = time.monotonic(), _listed(job.job_id.split("_")[0])
        return self.answer is None or job.job_id in self.answer


def _listed(number: str) -> set[str] | None:
    """The jobs of an array, or the single job, that `squeue` lists; None if it does not answer."""
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={number}"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    is_known = not asked.returncode or "Invalid job id" in asked.stderr  # an array that ended long ago
    return set(asked.stdout.split()) if is_known else None


def _outcome(job: Any, run: Run) -> Outcome:
    """The outcome of a job of submitit that has ended."""
    until = time.monotonic() + SHARED_FILE_S
    while not job.paths.result_pickle.exists() and time.monotonic() < until:
        time.sleep(1)
    if not job.paths.result_pickle.exists():  # cancelled, out of memory or time, or its node is gone
        state = {"UNKNOWN": "for a reason that SLURM does not keep"}.get(job.state, f"as {job.state}")
        log = f"its log is {job.paths.stderr}"
        return Outcome(run.name, f"SLURM job {job.job_id} ended {state}; {log}. The same command continues the run.")
    from submitit.core.utils import FailedJobError

    try:
        outcome: Outcome = job.result()
    except FailedJobError as error:
        return Outcome(run.name, f"SLURM job {job.job_id}: {error}")
    return outcome


def _gpus(runs: Sequence[Run]) -> int:
    """GPUs that each run needs of a cluster: those of the experiment's `gpus`, if it says so."""
    return max(run.gpus for run in runs)


Engine = Callable[[Sequence[Run], int, bool, Mapping[str, JsonValue]], Iterator[Outcome]]
"""Carries out runs: which, how many at a time, whether to overwrite, the cluster's options; yields each outcome."""

ENGINES: dict[str, Engine] = {"here": here, "ray": on_ray, "slurm": on_slurm}
"""Engines by the name that `--engine` takes."""
