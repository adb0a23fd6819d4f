"""Emission of source code."""

from cortexgraph.codegen.emit import Emitted, MemoryFormat, emit_source
from cortexgraph.codegen.memory import Checkpoint, Life, MemoryBudget, lives, read_checkpoint, runs_of
from cortexgraph.unrolling import trained_sets

__all__ = [
    "Checkpoint",
    "Emitted",
    "Life",
    "MemoryBudget",
    "MemoryFormat",
    "emit_source",
    "lives",
    "read_checkpoint",
    "runs_of",
    "trained_sets",
]
