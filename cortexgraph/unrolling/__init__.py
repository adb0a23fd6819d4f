"""Unrolling an area graph over time, and the reference interpreter that says what it means."""

from cortexgraph.unrolling.averages import mark_read, read_updates
from cortexgraph.unrolling.build import add_sink, count_sets, unroll_graph
from cortexgraph.unrolling.interpret import interpret_graph
from cortexgraph.unrolling.latency import Response, first_responses
from cortexgraph.unrolling.model import Loop, Node, Repeat, UnrolledGraph
from cortexgraph.unrolling.schedule import Groups, Order, groups_of, order_name

__all__ = [
    "Groups",
    "Loop",
    "Node",
    "Order",
    "Repeat",
    "Response",
    "UnrolledGraph",
    "add_sink",
    "count_sets",
    "first_responses",
    "groups_of",
    "interpret_graph",
    "mark_read",
    "order_name",
    "read_updates",
    "unroll_graph",
]
