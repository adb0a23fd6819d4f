"""Operations and cells: what they are, how specs name them, and chains of them."""

from cortexgraph.ops import cells, channels, gabor, residual
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
    register_cell,
    register_operation,
    shifts,
)
from cortexgraph.ops.windows import RESIZES, GlobalPool, Resize
