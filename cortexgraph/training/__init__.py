"""Training on images, run folders, and evaluation over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cortexgraph.extras import homes_of, import_explained, require

if TYPE_CHECKING:
    from cortexgraph.training.engine import Interrupted as Interrupted
    from cortexgraph.training.evaluation import Evaluation as Evaluation
    from cortexgraph.training.evaluation import StepAccuracy as StepAccuracy
    from cortexgraph.training.evaluation import evaluate as evaluate
    from cortexgraph.training.fit import train as train
    from cortexgraph.training.named_runs import packed as packed
    from cortexgraph.training.packing import pack as pack
    from cortexgraph.training.predictions import Predictions as Predictions
    from cortexgraph.training.predictions import predict as predict
    from cortexgraph.training.records import Summary as Summary
    from cortexgraph.training.run import TrainedRun as TrainedRun
    from cortexgraph.training.run import load_run as load_run
    from cortexgraph.training.run_folder import RunFolder as RunFolder
    from cortexgraph.training.settings import TrainSettings as TrainSettings

_HOMES = homes_of(__file__)
"""Names are imported on first use: the command line shows the settings' defaults without waiting for torch."""

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    if name == "train":
        require("train")
    if name in _HOMES:
        return getattr(import_explained(_HOMES[name][0]), name)
    raise AttributeError(f"module `cortexgraph.training` has no attribute `{name}`")
