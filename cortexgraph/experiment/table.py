"""The table of an experiment: mean and standard deviation over seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from cortexgraph.experiment.run import Outcome

__all__ = ["AS_TRAINED", "Row", "csv_text", "rows"]

AS_TRAINED = "as trained"
"""The evaluation that every run has: the test images after the last epoch."""


@dataclass(frozen=True)
class Row:
    """A variant in one evaluation at one readout step.

    Attributes:
        variant: its name.
        values: its value on each axis.
        evaluation: `as trained` (after the last epoch), or one of the experiment (with the weights of the best epoch).
        step: of readout.
        last: whether it is the last readout step of this evaluation.
        parameters: numbers that were trained.
        accuracies: one for each seed, in [0, 1].
        seconds: of training, mean over seeds.
        trained: whether training reached every parameter that this readout uses.
    """

    variant: str
    values: Mapping[str, str]
    evaluation: str
    step: int
    last: bool
    parameters: int
    accuracies: tuple[float, ...]
    seconds: float
    trained: bool

    @property
    def mean(self) -> float:
        return mean(self.accuracies)

    @property
    def sd(self) -> float:
        """Standard deviation over seeds (n − 1); nan for one seed."""
        return stdev(self.accuracies) if len(self.accuracies) > 1 else float("nan")


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """One row for each variant, evaluation and readout step, from the runs that succeeded."""
    by_variant: dict[str, list[Mapping[str, Any]]] = {}
    for outcome in outcomes:
        if outcome.result is not None:
            by_variant.setdefault(outcome.result["variant"], []).append(outcome.result)
    return [row for results in by_variant.values() for row in _rows(sorted(results, key=lambda r: r["seed"]))]


def _rows(results: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    first = results[0]
    looks: dict[str, dict[int, tuple[list[float], bool]]] = {
        AS_TRAINED: {int(step): ([r["accuracy"][step] for r in results], True) for step in first["accuracy"]}
    }
    for name, steps in first["evaluations"].items():
        every = [r["evaluations"][name] for r in results]
        looks[name] = {
            found["step"]: ([one[n]["accuracy"] for one in every], found["trained"]) for n, found in enumerate(steps)
        }
    for evaluation, by_step in looks.items():
        for step, (accuracies, trained) in by_step.items():
            yield Row(
                variant=first["variant"],
                values=first["values"],
                evaluation=evaluation,
                step=step,
                last=step == max(by_step),
                parameters=first["parameters"],
                accuracies=tuple(accuracies),
                seconds=mean(r["seconds"] for r in results),
                trained=trained,
            )


def csv_text(table: Sequence[Row]) -> str:
    """The table as CSV, a column for each axis, accuracies in [0, 1]."""
    axes = list(dict.fromkeys(axis for row in table for axis in row.values))
    columns = ["evaluation", "step", "parameters", "seeds", "accuracy_mean", "accuracy_sd", "seconds", "trained"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*(axes or ["variant"]), *columns])
    for row in table:
        names = [row.values.get(axis, "") for axis in axes] or [row.variant]
        sd = "" if len(row.accuracies) < 2 else f"{row.sd:.5f}"
        numbers = [row.parameters, len(row.accuracies), f"{row.mean:.5f}", sd, f"{row.seconds:.1f}", int(row.trained)]
        writer.writerow([*names, row.evaluation, row.step, *numbers])
    return text.getvalue()
