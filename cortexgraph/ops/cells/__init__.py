"""Cells: how an area's new state follows from its input and its old state."""

from cortexgraph.ops.cells.base import CELLS, Cell, Simple, register_cell
from cortexgraph.ops.cells.gated import UGRNN, ConvGRU, ConvLSTM
from cortexgraph.ops.cells.intersection import IntersectionRNN
from cortexgraph.ops.cells.leaky import Leaky
from cortexgraph.ops.cells.reciprocal import ReciprocalGated

__all__ = [
    "CELLS",
    "UGRNN",
    "Cell",
    "ConvGRU",
    "ConvLSTM",
    "IntersectionRNN",
    "Leaky",
    "ReciprocalGated",
    "Simple",
    "register_cell",
]
