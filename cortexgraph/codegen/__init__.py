"""Emission of source code, and its loading."""

from cortexgraph.codegen.emit import emit_source
from cortexgraph.codegen.load import load_source

__all__ = ["emit_source", "load_source"]
