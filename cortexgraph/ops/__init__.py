"""Operations and cells: what they are, how specs name them, and chains of them."""

from cortexgraph.ops import channels, conv, gabor, gated, leaky, residual  # noqa: F401  (they register themselves)
from cortexgraph.ops.base import (
    Cell,
    Chain,
    Component,
    Context,
    Link,
    Operation,
    Problem,
    Shape,
    option,
)
from cortexgraph.ops.conv import Conv, ConvTranspose, Spatial
from cortexgraph.ops.elementwise import ACTIVATIONS, Activation, GainOperation, GateOperation
from cortexgraph.ops.leaky import Simple
from cortexgraph.ops.linear import Linear
from cortexgraph.ops.make import make_chain, make_operation, shifts
from cortexgraph.ops.norm import NORMS, BatchNorm, GroupNorm, Norm
from cortexgraph.ops.registry import CELLS, OPERATIONS, Kind, Registry, register_cell, register_operation
from cortexgraph.ops.tied import Tied, Transposed
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
    "Tied",
    "Transposed",
    "make_chain",
    "make_operation",
    "option",
    "register_cell",
    "register_operation",
    "shifts",
]
