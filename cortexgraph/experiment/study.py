"""The study of a search, which Optuna keeps in a journal, and the runs that report their epochs to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from optuna import Study

    from cortexgraph.training.records import EpochRecord

FIRST_AT_RANDOM = 10
"""Trials before the sampler learns; the pruner judges after half of them."""


def open_study(journal: Path, direction: Literal["minimize", "maximize"] | None = None) -> Study:
    """The study in a journal.

    Args:
        journal: its file; with a direction it is begun where it is missing, and a last line that a kill cut is removed.
        direction: of better values.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if direction is not None and journal.exists():  # the one process that begins and ends trials
        os.truncate(journal, journal.read_bytes().rfind(b"\n") + 1)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=FIRST_AT_RANDOM // 2)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name="search",
        load_if_exists=True,
        pruner=pruner,
        direction=direction,
    )


def judge(trial: tuple[str, int, str]) -> Callable[[EpochRecord], None]:
    """What reports the epochs of a run to its trial, and ends the run when the study would prune the trial."""
    import optuna

    study = open_study(Path(trial[0]))
    live = optuna.trial.Trial(study, study.trials[trial[1]]._trial_id)

    def report(record: EpochRecord) -> None:
        live.report(record.loss if trial[2] == "loss" else record.last_score, record.epoch)
        if live.should_prune():
            raise optuna.TrialPruned

    return report
