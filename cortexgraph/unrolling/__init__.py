"""Unrolling an area graph over time, and the reference interpreter that defines its meaning."""

from cortexgraph.unrolling.build import add_sink, parameter_counts, unroll_graph, unroll_piece
from cortexgraph.unrolling.cost import (
    FLOAT_BYTES,
    evaluations,
    macs_of,
    numbers_of,
    numbers_within,
    parameters_by_part,
    total_parameters,
    trained_parameters,
)
from cortexgraph.unrolling.focus import Focus, focused
from cortexgraph.unrolling.heads import Head, heads_of
from cortexgraph.unrolling.interpret import interpret_graph, state_problems
from cortexgraph.unrolling.latency import Response, first_responses, response_path, response_text
from cortexgraph.unrolling.model import (
    Groups,
    Loop,
    Node,
    NodeInfo,
    Order,
    Part,
    Piece,
    UnrolledGraph,
    UnrolledInfo,
    groups_of,
    order_name,
    trained_sets,
    verify,
)
from cortexgraph.unrolling.settle import settle
from cortexgraph.unrolling.stream import Moment, named_steps, with_state

__all__ = [
    "FLOAT_BYTES",
    "Focus",
    "Groups",
    "Head",
    "Loop",
    "Moment",
    "Node",
    "NodeInfo",
    "Order",
    "Part",
    "Piece",
    "Response",
    "UnrolledGraph",
    "UnrolledInfo",
    "add_sink",
    "evaluations",
    "first_responses",
    "focused",
    "groups_of",
    "heads_of",
    "interpret_graph",
    "macs_of",
    "named_steps",
    "numbers_of",
    "numbers_within",
    "order_name",
    "parameter_counts",
    "parameters_by_part",
    "response_path",
    "response_text",
    "settle",
    "state_problems",
    "total_parameters",
    "trained_parameters",
    "trained_sets",
    "unroll_graph",
    "unroll_piece",
    "verify",
    "with_state",
]
