"""Protocols: which stimuli are shown when, under a grid of conditions."""

from cortexgraph.protocol.model import Event, Figure, Timeline
from cortexgraph.protocol.schedule import Condition, Protocol, Shown, load_protocol, shipped_protocols

__all__ = ["Condition", "Event", "Figure", "Protocol", "Shown", "Timeline", "load_protocol", "shipped_protocols"]
