"""Emission of source code, and its loading."""

from cortexgraph.codegen.checkpoints import Checkpoint, MemoryBudget, read_checkpoint, runs_of
from cortexgraph.codegen.emit import Emitted, MemoryFormat, emit_source
from cortexgraph.codegen.load import load_class
from cortexgraph.codegen.parameters import trained_sets

__all__ = [
    "Checkpoint",
    "Emitted",
    "MemoryBudget",
    "MemoryFormat",
    "emit_source",
    "load_class",
    "read_checkpoint",
    "runs_of",
    "trained_sets",
]
