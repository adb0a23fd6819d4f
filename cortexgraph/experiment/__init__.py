"""Experiments: variants of a spec × seeds, trained, measured and compared."""

from __future__ import annotations

from cortexgraph.experiment.loading import load_experiment
from cortexgraph.experiment.model import ExperimentSpec

__all__ = ["ExperimentSpec", "load_experiment"]
