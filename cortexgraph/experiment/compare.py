"""`compare`: carry out an experiment, and gather its table and figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cortexgraph.errors import DataError, Diagnostic, SpecError
from cortexgraph.experiment.engines import ENGINES
from cortexgraph.experiment.figure import draw_figure
from cortexgraph.experiment.model import ExperimentSpec
from cortexgraph.experiment.plan import plan
from cortexgraph.experiment.reuse import adopt
from cortexgraph.experiment.run import Outcome, check_out, outcome_of, stale
from cortexgraph.experiment.table import Row, csv_text, rows
from cortexgraph.extras import EXTRAS, require
from cortexgraph.files import write_text

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """What came of an experiment.

    Attributes:
        table: a row for each variant, evaluation and readout step.
        outcomes: of every run, in the order of the plan.
        done_before: how many runs were finished already.
        folder: where `table.csv`, `figure.svg` and `figure.png` lie, and the runs.
    """

    table: Sequence[Row]
    outcomes: Sequence[Outcome]
    done_before: int
    folder: Path

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.error]


def compare(
    experiment: ExperimentSpec,
    out: str | Path,
    *,
    data: Mapping[str, Any] | None = None,
    jobs: int = 1,
    engine: str = "here",
    overwrite: bool = False,
    reuse: Sequence[str | Path] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Carry out an experiment: train each variant with each seed, measure, and write one table and one figure.

    Runs that are finished in `out` are not repeated, and one that was interrupted, also by `kill -9`, goes on from its
    last epoch. A run that fails is reported and does not stop the others.

    Args:
        experiment: what is compared.
        out: the folder of the experiment, made here.
        data: arguments of `load_data` in place of the experiment's.
        jobs: how many runs at a time.
        engine: `here`, `ray` or `slurm`.
        overwrite: repeat runs in `out` that another experiment made.
        reuse: folders of other experiments: what they have trained of the same spec, settings and data is copied.
        tell: is called with a line for every run.

    Raises:
        SpecError: with every finding about the experiment, before anything is trained.
        DataError: if `out` cannot be written, or holds runs of another experiment.
        MissingPackageError: if the packages for training, or of the engine, are not installed.
    """
    if engine not in ENGINES:
        known = ", ".join(ENGINES)
        raise SpecError(Diagnostic("unknown-engine", "engine", f"{engine!r} was given", f"there are {known}"))
    for extra in ("train", engine):
        if extra in EXTRAS:
            require(extra)
    out = Path(out)
    arguments = dict(data) if data is not None else data_arguments(experiment)
    runs = plan(experiment, out, arguments)
    check_out(out)
    if not overwrite and (findings := [finding for run in runs if (finding := stale(run)) is not None]):
        raise DataError(findings)
    if adopted := adopt(runs, [Path(folder) for folder in reuse]):
        tell(f"{len(adopted)} of {len(runs)} runs are trained already in other experiments")
    found = {run.name: outcome for run in runs if (outcome := outcome_of(run)) is not None}
    before = len(found)
    waiting = [run for run in runs if run.name not in found]
    if before:
        tell(f"{before} of {len(runs)} runs are finished already")
    if waiting:
        for outcome in ENGINES[engine](waiting, jobs, overwrite, experiment.cluster):
            found[outcome.run] = outcome
            tell(_line(outcome, len(found), len(runs)))
    outcomes = [found[run.name] for run in runs]
    table = rows(outcomes)
    if table:
        write_text(out / "table.csv", csv_text(table))
        draw_figure(experiment, table, [out / "figure.svg", out / "figure.png"])
    return Comparison(table, outcomes, before, out)


def data_arguments(experiment: ExperimentSpec) -> dict[str, Any]:
    """The arguments of `load_data` that the experiment asks for."""
    return experiment.data.model_dump(exclude_none=True)


def _line(outcome: Outcome, number: int, count: int) -> str:
    head = f"[{number}/{count}] {outcome.run}"
    if outcome.result is None:
        return f"{head}: FAILED: {outcome.error.strip().splitlines()[-1]}"
    accuracy = list(outcome.result["accuracy"].values())[-1]
    return f"{head}: {accuracy:.1%}, {outcome.result['parameters']:,} parameters, {outcome.result['seconds']:,.0f} s"
