"""Unrolling an area graph over time, and the reference interpreter that says what it means."""

from cortexgraph.unrolling.averages import mark_read, read_updates
from cortexgraph.unrolling.build import add_sink, count_sets, parameter_counts, unroll_graph
from cortexgraph.unrolling.focus import Focus, focused
from cortexgraph.unrolling.interpret import interpret_graph
from cortexgraph.unrolling.latency import Response, first_responses, response_path, response_text
from cortexgraph.unrolling.model import Loop, Node, Repeat, UnrolledGraph
from cortexgraph.unrolling.schedule import Groups, Order, groups_of, order_name

__all__ = [
    "Focus",
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
    "focused",
    "groups_of",
    "interpret_graph",
    "mark_read",
    "order_name",
    "parameter_counts",
    "read_updates",
    "response_path",
    "response_text",
    "unroll_graph",
]
