"""Unrolling an area graph over time, and the reference interpreter that says what it means."""

from cortexgraph.unrolling.averages import Counted, counted, read_updates
from cortexgraph.unrolling.build import add_sink, unroll_graph
from cortexgraph.unrolling.interpret import interpret_graph
from cortexgraph.unrolling.latency import Response, first_responses
from cortexgraph.unrolling.model import Node, Repeat, UnrolledGraph
from cortexgraph.unrolling.schedule import Groups, Order, groups_of, order_name

__all__ = [
    "Counted",
    "Groups",
    "Node",
    "Order",
    "Repeat",
    "Response",
    "UnrolledGraph",
    "add_sink",
    "counted",
    "first_responses",
    "groups_of",
    "interpret_graph",
    "order_name",
    "read_updates",
    "unroll_graph",
]
