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
from cortexgraph.unrolling.heads import heads_of
from cortexgraph.unrolling.interpret import interpret_graph, state_problems
from cortexgraph.unrolling.latency import first_responses, response_path, response_text
from cortexgraph.unrolling.model import (
    Loop,
    Node,
    NodeInfo,
    Order,
    UnrolledGraph,
    groups_of,
    order_name,
    trained_sets,
    verify,
)
from cortexgraph.unrolling.settle import settle
from cortexgraph.unrolling.stream import Moment, named_steps, with_state
