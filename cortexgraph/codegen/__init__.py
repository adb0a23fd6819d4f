"""Emission of source code, and its loading."""

from cortexgraph.codegen.backend import Backend, apply_backend
from cortexgraph.codegen.emit import emit_source
from cortexgraph.codegen.load import load_source
from cortexgraph.codegen.view import MemoryFormat

__all__ = ["Backend", "MemoryFormat", "apply_backend", "emit_source", "load_source"]
