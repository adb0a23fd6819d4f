"""The registry of operations."""

from cortexgraph.ops.activation import ACTIVATIONS, Activation
from cortexgraph.ops.base import Operation, Shape
from cortexgraph.ops.conv import Conv
from cortexgraph.ops.norm import NORMS, BatchNorm, GroupNorm, Norm
from cortexgraph.ops.readout import GlobalPool, Linear
from cortexgraph.ops.registry import Registry
from cortexgraph.ops.resize import RESIZES, Bilinear, Nearest, Pool, Resize

__all__ = [
    "ACTIVATIONS",
    "NORMS",
    "RESIZES",
    "Activation",
    "BatchNorm",
    "Bilinear",
    "Conv",
    "GlobalPool",
    "GroupNorm",
    "Linear",
    "Nearest",
    "Norm",
    "Operation",
    "Pool",
    "Registry",
    "Resize",
    "Shape",
]
