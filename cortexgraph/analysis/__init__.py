"""Numbers about a network: parameters, cost, receptive fields, paths, and which updates are executed."""

from cortexgraph.analysis.explain import Explanation, explain
from cortexgraph.analysis.reach import receptive_fields, steps_to_readouts, window_of
from cortexgraph.analysis.summary import RESNET18, NetworkSummary, Totals, summarise, summarise_spec, totals

__all__ = [
    "RESNET18",
    "Explanation",
    "NetworkSummary",
    "Totals",
    "explain",
    "receptive_fields",
    "steps_to_readouts",
    "summarise",
    "summarise_spec",
    "totals",
    "window_of",
]
