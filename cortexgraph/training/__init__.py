"""Training on images, run folders, and evaluation over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cortexgraph.extras import import_explained, require

if TYPE_CHECKING:
    from cortexgraph.training.downloads import packed as packed
    from cortexgraph.training.engine import Interrupted as Interrupted
    from cortexgraph.training.evaluation import Evaluation as Evaluation
    from cortexgraph.training.evaluation import StepAccuracy as StepAccuracy
    from cortexgraph.training.evaluation import evaluate as evaluate
    from cortexgraph.training.fit import train as train
    from cortexgraph.training.packing import pack as pack
    from cortexgraph.training.predictions import Predictions as Predictions
    from cortexgraph.training.predictions import predict as predict
    from cortexgraph.training.records import Summary as Summary
    from cortexgraph.training.run import TrainedRun as TrainedRun
    from cortexgraph.training.run import load_run as load_run
    from cortexgraph.training.run_folder import RunFolder as RunFolder
    from cortexgraph.training.settings import TrainSettings as TrainSettings

# Imported on first use: the command line shows the settings' defaults without waiting for torch.
_HOMES = {
    "evaluation": ("Evaluation", "StepAccuracy", "evaluate"),
    "predictions": ("Predictions", "predict"),
    "fit": ("train",),
    "engine": ("Interrupted",),
    "packing": ("pack",),
    "run": ("TrainedRun", "load_run"),
    "downloads": ("packed",),
    "run_folder": ("RunFolder",),
    "settings": ("TrainSettings",),
    "records": ("Summary",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    if name == "train":
        require("train")
    if name in _HOME_OF:
        return getattr(import_explained(f"cortexgraph.training.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module `cortexgraph.training` has no attribute `{name}`")
