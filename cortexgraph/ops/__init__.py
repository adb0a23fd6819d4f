"""The registry of operations and cells."""

from cortexgraph.ops import channels, gabor, pooling, residual, simple  # noqa: F401  (they register their operations)
from cortexgraph.ops.activation import ACTIVATIONS, Activation
from cortexgraph.ops.base import CONTEXT, Context, Given, Operation, Run, Shape, Taken, option
from cortexgraph.ops.cells import CELLS, Cell, Simple, register_cell
from cortexgraph.ops.chain import Chain, Link, Problem, part
from cortexgraph.ops.conv import Conv, ConvTranspose, Spatial
from cortexgraph.ops.make import (
    OPERATIONS,
    make_chain,
    make_operation,
    register_operation,
    shifts,
)
from cortexgraph.ops.norm import NORMS, BatchNorm, GroupNorm, Norm
from cortexgraph.ops.readout import GlobalPool, Linear
from cortexgraph.ops.registry import Kind, Registry
from cortexgraph.ops.resize import RESIZES, Resize
from cortexgraph.ops.scaling import GainOperation, GateOperation
from cortexgraph.ops.tied import Tied, Transposed

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "CONTEXT",
    "NORMS",
    "OPERATIONS",
    "RESIZES",
    "Activation",
    "BatchNorm",
    "Cell",
    "Chain",
    "Context",
    "Conv",
    "ConvTranspose",
    "GainOperation",
    "GateOperation",
    "Given",
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
    "Run",
    "Shape",
    "Simple",
    "Spatial",
    "Taken",
    "Tied",
    "Transposed",
    "make_chain",
    "make_operation",
    "option",
    "part",
    "register_cell",
    "register_operation",
    "shifts",
]
