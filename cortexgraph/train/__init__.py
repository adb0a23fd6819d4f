"""Training on images, run folders, and evaluation over time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cortexgraph.train.evaluation import Evaluation, StepAccuracy, evaluate
    from cortexgraph.train.fit import train
    from cortexgraph.train.interrupts import Interrupted
    from cortexgraph.train.load import load_run
    from cortexgraph.train.packing import pack, packed
    from cortexgraph.train.prediction import Predictions, predict
    from cortexgraph.train.run_folder import RunFolder
    from cortexgraph.train.settings import TrainSettings
    from cortexgraph.train.summary import Summary

__all__ = [
    "Evaluation",
    "Interrupted",
    "Predictions",
    "RunFolder",
    "StepAccuracy",
    "Summary",
    "TrainSettings",
    "evaluate",
    "load_run",
    "pack",
    "packed",
    "predict",
    "train",
]

# Imported on first use: the command line shows the settings' defaults without waiting for torch.
_HOMES = {
    "evaluation": ("Evaluation", "StepAccuracy", "evaluate"),
    "fit": ("train",),
    "interrupts": ("Interrupted",),
    "load": ("load_run",),
    "packing": ("pack", "packed"),
    "prediction": ("Predictions", "predict"),
    "run_folder": ("RunFolder",),
    "settings": ("TrainSettings",),
    "summary": ("Summary",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f"cortexgraph.train.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module `cortexgraph.train` has no attribute `{name}`")
