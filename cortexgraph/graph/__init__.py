"""The area graph of a spec: areas and connections with kinds, sizes and transforms inferred."""

from cortexgraph.graph.build import assemble
from cortexgraph.graph.interventions import Change, Placed
from cortexgraph.graph.model import Area, AreaGraph, Connection, Input, Readout
from cortexgraph.graph.resolve import resolved

__all__ = ["Area", "AreaGraph", "Change", "Connection", "Input", "Placed", "Readout", "assemble", "resolved"]
