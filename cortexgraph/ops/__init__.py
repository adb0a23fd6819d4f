"""Operations and cells: what they are, how specs name them, and chains of them."""

from cortexgraph.ops import cells, channels, gabor, residual  # noqa: F401  (they register themselves)
from cortexgraph.ops.base import Cell, Chain, Component, Context, Link, Operation, Problem, Shape, option
from cortexgraph.ops.cells import Simple
from cortexgraph.ops.conv import Conv, ConvTranspose, Linear, Spatial
from cortexgraph.ops.elementwise import ACTIVATIONS, Activation, Elementwise, GainOperation, GateOperation
from cortexgraph.ops.norm import NORMS, BatchNorm, GroupNorm, Norm
from cortexgraph.ops.registry import (
    CELLS,
    OPERATIONS,
    Kind,
    Registry,
    make_chain,
    make_operation,
    register_cell,
    register_operation,
    shifts,
)
from cortexgraph.ops.windows import RESIZES, GlobalPool, Resize

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "NORMS",
    "OPERATIONS",
    "RESIZES",
    "Activation",
    "BatchNorm",
    "Cell",
    "Chain",
    "Component",
    "Context",
    "Conv",
    "ConvTranspose",
    "Elementwise",
    "GainOperation",
    "GateOperation",
    "GlobalPool",
    "GroupNorm",
    "Kind",
    "Linear",
    "Link",
    "Norm",
    "Operation",
    "Problem",
    "Registry",
    "Resize",
    "Shape",
    "Simple",
    "Spatial",
    "make_chain",
    "make_operation",
    "option",
    "register_cell",
    "register_operation",
    "shifts",
]
