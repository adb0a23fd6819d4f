"""Training on images, run folders, and evaluation over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cortexgraph.extras import import_explained, require

if TYPE_CHECKING:
    from cortexgraph.training.engine import Interrupted
    from cortexgraph.training.evaluation import Evaluation, Predictions, StepAccuracy, evaluate, predict
    from cortexgraph.training.fit import train
    from cortexgraph.training.records import Summary
    from cortexgraph.training.run import TrainedRun, load_run, pack, packed
    from cortexgraph.training.run_folder import RunFolder
    from cortexgraph.training.settings import TrainSettings

__all__ = [
    "Evaluation",
    "Interrupted",
    "Predictions",
    "RunFolder",
    "StepAccuracy",
    "Summary",
    "TrainSettings",
    "TrainedRun",
    "evaluate",
    "load_run",
    "pack",
    "packed",
    "predict",
    "train",
]

# Imported on first use: the command line shows the settings' defaults without waiting for torch.
_HOMES = {
    "evaluation": ("Evaluation", "Predictions", "StepAccuracy", "evaluate", "predict"),
    "fit": ("train",),
    "engine": ("Interrupted",),
    "run": ("TrainedRun", "load_run", "pack", "packed"),
    "run_folder": ("RunFolder",),
    "settings": ("TrainSettings",),
    "records": ("Summary",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "train":
        require("train")
    if name in _HOME_OF:
        return getattr(import_explained(f"cortexgraph.training.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module `cortexgraph.training` has no attribute `{name}`")
