"""A search by Optuna: trials of an experiment, whose study is kept in the experiment's folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Literal

from cortexgraph.errors import CortexGraphError, DataError, Diagnostic
from cortexgraph.experiment.model import ExperimentSpec, Overrides, RangeSpec, SearchSpec
from cortexgraph.experiment.plan import Data, Run, choices, runs_of, score_of_experiment, trial_variant
from cortexgraph.experiment.run import Outcome, metric_of, outcome_of, stale
from cortexgraph.experiment.study import FIRST_AT_RANDOM, open_study
from cortexgraph.training.run_folder import write_json
from cortexgraph.training.tasks import LOWER_IS_BETTER, metric_name, metric_text
from cortexgraph.wording import count_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


JOURNAL = "study.log"
ASKED = "asked"
"""Attribute of a study: what it was begun for, in JSON."""


@dataclass
class Search:
    """A search that is carried out.

    Attributes:
        experiment, out, data: as for `compare`.
        study: Optuna's, which knows every trial that has begun.
        overwrite: repeat runs that belong to another experiment.
    """

    experiment: ExperimentSpec
    out: Path
    data: Data
    study: Study
    overwrite: bool

    @classmethod
    def opened(cls, experiment: ExperimentSpec, out: Path, data: Data, *, overwrite: bool = False) -> Search:
        """Begin a search in the folder of an experiment, or open the one that is there; arguments as for `compare`.

        With `overwrite` it begins again where the folder holds another search, which else raises DataError.
        """
        assert experiment.search is not None
        out.mkdir(parents=True, exist_ok=True)
        by_loss = experiment.search.metric == "loss"
        lowest = by_loss or score_of_experiment(experiment) in LOWER_IS_BETTER
        direction: Literal["minimize", "maximize"] = "minimize" if lowest else "maximize"
        study = open_study(out / JOURNAL, direction)
        deciding = experiment.model_dump(mode="json", include={"spec", "settings", "seeds", "match_parameters"})
        deciding["search"] = experiment.search.model_dump(mode="json", exclude={"trials"})
        asked = json.dumps(deciding, sort_keys=True)
        if study.user_attrs.get(ASKED, asked) != asked and not overwrite:
            found, repair = "it holds another search", "Name another folder with --out, or give --overwrite."
            raise DataError(Diagnostic("other-experiment", str(out), found, repair=repair))
        if study.user_attrs.get(ASKED, asked) != asked:
            (out / JOURNAL).unlink()
            study = open_study(out / JOURNAL, direction)
        study.set_user_attr(ASKED, asked)
        return cls(experiment, out, data, study, overwrite)

    @property
    def spec(self) -> SearchSpec:
        """What the experiment says of the search."""
        assert self.experiment.search is not None
        return self.experiment.search

    def carried_out(
        self, carry: Callable[[Sequence[Run]], Iterator[Outcome]], jobs: int, tell: Callable[[str], None]
    ) -> list[Outcome]:
        """The outcomes of all trials, in their order; finished ones are not repeated, interrupted ones go on.

        `jobs` is about how many runs at a time: the trials of a round do not know of each other.
        """
        from optuna.trial import TrialState

        done = [trial for trial in self.study.trials if trial.state.is_finished()]
        if done:
            tell(f"{len(done)} of {self.spec.trials} trials are finished already")
        outcomes = {trial.number: self._again(trial, carry) for trial in done if trial.state == TrialState.COMPLETE}
        at_once = max(1, jobs // len(self.experiment.seeds))
        while trials := self._next(at_once):
            runs = {trial.number: self._runs(trial) for trial in trials}
            waiting = [run for each in runs.values() for run in each if not isinstance(run, Outcome)]
            by_name = {outcome.run: outcome for outcome in carry(waiting)} if waiting else {}
            for trial in trials:
                ended = [run if isinstance(run, Outcome) else by_name[run.name] for run in runs[trial.number]]
                outcomes[trial.number] = ended
                tell(f"[{trial.number + 1}/{self.spec.trials}] {self._ended(trial, ended)}")
        return [outcome for number in sorted(outcomes) for outcome in outcomes[number]]

    def best(self) -> str:
        """The best trial in words, which is also written to `best.json`; empty if no trial was finished."""
        from optuna.trial import TrialState

        finished = self.study.get_trials(states=(TrialState.COMPLETE,))
        if not finished:
            return ""
        trial = self.study.best_trial
        runs = [run for run in self._runs(trial) if isinstance(run, Run)]
        results = [outcome.result for run in runs if (outcome := outcome_of(run)) and outcome.result]
        test, own = mean(list(result["scores"].values())[-1] for result in results), metric_of(results[0])
        decides = "loss" if self.spec.metric == "loss" else own
        score, name = float(trial.value or 0), f"validation {metric_name(decides)}"
        drawn = {axis: self._drawn(trial)[axis][0] for axis in self.spec.ranges}
        content = {
            "trial": trial.number,
            "values": drawn,
            name: score,
            f"test {metric_name(own)}": test,
            "trials": len(finished),
        }
        write_json(self.out / "best.json", content)
        values = ", ".join(f"{axis} = {label}" for axis, label in drawn.items())
        shown = metric_text(decides, score)
        return (
            f"Best of {count_of(len(finished), 'trial')}: trial {trial.number} with {values}.\n"
            f"It was chosen by its {name}, {shown}, which is optimistic because it is the best of many. "
            f"Its test {metric_name(own)}, which took no part in the choice, is {metric_text(own, test)}."
        )

    # ---- trials ------------------------------------------------------------------

    def _next(self, at_once: int) -> list[FrozenTrial]:
        """The trials of the next round: those that were interrupted, or new ones."""
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        if interrupted := self.study.get_trials(states=(TrialState.RUNNING,)):
            return interrupted[:at_once]
        begun, distributions = len(self.study.trials), _distributions(self.spec)
        for number in range(begun, min(begun + at_once, self.spec.trials)):
            # A seed for each trial: a resumed search draws what an uninterrupted one draws.
            seed = (self.spec.seed * 100_003 + number) % 2**32
            self.study.sampler = TPESampler(seed=seed, n_startup_trials=FIRST_AT_RANDOM)
            self.study.ask(distributions)
        return self.study.get_trials(states=(TrialState.RUNNING,))

    def _drawn(self, trial: FrozenTrial) -> dict[str, tuple[str, Overrides]]:
        """What a trial drew: on each axis the label of the value, and its overrides."""
        drawn: dict[str, tuple[str, Overrides]] = {}
        for axis, values in self.spec.ranges.items():
            value = trial.params[axis]
            is_range = isinstance(values, RangeSpec)
            drawn[axis] = (f"{value:.6g}", {axis: value}) if is_range else (value, choices(axis, values)[value])
        return drawn

    def _runs(self, trial: FrozenTrial) -> list[Run | Outcome]:
        """The runs of a trial, one for each seed; the outcome where its values do not go together."""
        try:
            variant = trial_variant(self.experiment, trial.number, self._drawn(trial))
        except CortexGraphError as error:
            return [Outcome(f"trial {trial.number}", str(error))]
        runs = runs_of([variant], self.experiment, self.out, self.data)
        if not self.overwrite and (findings := [finding for run in runs if (finding := stale(run))]):
            raise DataError(findings)
        reports = self.spec.pruning == "median" and not trial.state.is_finished()
        journal = (str(self.out / JOURNAL), trial.number, self.spec.metric) if reports else None
        return [replace(run, trial=journal) for run in runs]

    def _again(self, trial: FrozenTrial, carry: Callable[[Sequence[Run]], Iterator[Outcome]]) -> list[Outcome]:
        """The outcomes of a finished trial, measured again where the evaluations are others now."""
        runs = [run for run in self._runs(trial) if isinstance(run, Run)]
        waiting = [run for run in runs if outcome_of(run) is None]
        by_name = {outcome.run: outcome for outcome in carry(waiting)} if waiting else {}
        return [outcome_of(run) or by_name[run.name] for run in runs]

    def _ended(self, trial: FrozenTrial, ended: Sequence[Outcome]) -> str:
        """Tell the study how a trial ended; the line that says it."""
        from optuna.trial import TrialState

        values = ", ".join(f"{axis} = {label}" for axis, (label, _) in self._drawn(trial).items())
        name = f"trial {trial.number} ({values})"
        if errors := [outcome.error for outcome in ended if outcome.error]:
            self.study.tell(trial.number, state=TrialState.FAIL)
            return f"{name}: FAILED: {errors[0].strip().splitlines()[-1]}"
        if any(outcome.result is None for outcome in ended):
            self.study.tell(trial.number, state=TrialState.PRUNED)
            return f"{name}: pruned"
        by = self.spec.metric
        results = [outcome.result for outcome in ended if outcome.result is not None]
        score = mean(result["validation"][by] for result in results)
        self.study.tell(trial.number, score)
        word = by if by == "loss" else metric_name(metric_of(results[0]))
        return f"{name}: validation {word} {score:.4f}"


def _distributions(search: SearchSpec) -> dict[str, BaseDistribution]:
    """Optuna's form of the ranges."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    made: dict[str, BaseDistribution] = {}
    for axis, values in search.ranges.items():
        if not isinstance(values, RangeSpec):
            made[axis] = CategoricalDistribution([*choices(axis, values)])
        elif isinstance(values.low, int) and isinstance(values.high, int):
            made[axis] = IntDistribution(values.low, values.high, log=values.log, step=int(values.step or 1))
        else:
            made[axis] = FloatDistribution(values.low, values.high, log=values.log, step=values.step)
    return made
