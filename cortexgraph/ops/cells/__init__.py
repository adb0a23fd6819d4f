"""Cells: how an area's new state follows from its input and its old state."""

from cortexgraph.ops.cells.base import CELLS, Cell, Simple, register_cell
from cortexgraph.ops.cells.gated import ConvGRUCell, ConvLSTMCell, UGRNNCell
from cortexgraph.ops.cells.intersection import IntersectionRNNCell
from cortexgraph.ops.cells.leaky import LeakyCell
from cortexgraph.ops.cells.reciprocal import ReciprocalGatedCell

__all__ = [
    "CELLS",
    "Cell",
    "ConvGRUCell",
    "ConvLSTMCell",
    "IntersectionRNNCell",
    "LeakyCell",
    "ReciprocalGatedCell",
    "Simple",
    "UGRNNCell",
    "register_cell",
]
