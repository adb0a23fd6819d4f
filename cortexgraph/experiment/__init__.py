"""Experiments: variants of a spec × seeds, trained, measured and compared."""

from __future__ import annotations

from cortexgraph.experiment.model import ExperimentSpec
from cortexgraph.experiment.plan import load_experiment

__all__ = ["ExperimentSpec", "load_experiment"]
