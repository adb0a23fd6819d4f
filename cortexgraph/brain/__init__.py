"""Comparison of a network's areas over time with recordings from the brain."""

from cortexgraph.extras import explained, require

require("brain")
try:
    from cortexgraph.brain.compare import BrainComparison, compare_with_brain
    from cortexgraph.brain.measures import centred_gram, encoding_scores, linear_cka, reliability
    from cortexgraph.brain.neural import NeuralData, read_neural
    from cortexgraph.brain.simulate import simulate_recording
except ModuleNotFoundError as error:
    raise explained(error) from None

__all__ = [
    "BrainComparison",
    "NeuralData",
    "centred_gram",
    "compare_with_brain",
    "encoding_scores",
    "linear_cka",
    "read_neural",
    "reliability",
    "simulate_recording",
]
