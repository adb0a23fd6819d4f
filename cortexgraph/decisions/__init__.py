"""Decisions: at which step a network commits itself, how well, at what cost, and how that compares with people."""

from cortexgraph.extras import explained

try:
    from cortexgraph.decisions.decide import Decisions, decide
    from cortexgraph.decisions.reaction_times import Correlation
    from cortexgraph.decisions.rule import Rule, measure, read_rule, uncertainty_area
except ModuleNotFoundError as error:
    raise explained(error) from None

__all__ = ["Correlation", "Decisions", "Rule", "decide", "measure", "read_rule", "uncertainty_area"]
