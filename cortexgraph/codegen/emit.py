"""From an unrolled graph to the source of a Python module that needs only torch."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from cortexgraph.codegen.view import MemoryFormat
from cortexgraph.codegen.views import module_view, operations_of, runtime_sources
from cortexgraph.ops.source import imports_for, library, names_in, sources_of
from cortexgraph.unrolling import UnrolledGraph

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["emit_source"]


STANDARD = (
    "again", "chain", "check_image", "frame", "identity_", "later_frame", "per_frame", "repeated", "started",
    "untracked", "zeros", "PerStep", "Stepwise", "Area",
)  # fmt: skip
"""Definitions of the runtime that the templates and statements may use."""


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("cortexgraph.codegen"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def emit_source(
    full: UnrolledGraph, graph: UnrolledGraph, memory_format: MemoryFormat = "channels_last", runs: int | None = None
) -> str:
    """Source of the module that computes `graph`; `full` is the graph before passes, which owns the parameters.

    With `runs`, so many runs of the loop's body are one segment that the backward pass computes again.

    Equal graphs give equal bytes. Names from the spec enter as identifiers and escaped text only.
    """
    view = module_view(full, graph, memory_format, runs)
    network = _environment().get_template("network.py.jinja").render(view=view)
    used = names_in(network)
    wanted: dict[Any, None] = dict.fromkeys(name for name in (*STANDARD, *library()) if name in used)
    for operation in operations_of(full):
        wanted |= dict.fromkeys(getattr(operation, "helpers", ()))
    helpers = sources_of(wanted, runtime_sources())
    imports = imports_for([*helpers, network])
    module = _environment().get_template("module.py.jinja")
    source = module.render(view=view, imports=imports, helpers=helpers, network=network)
    return re.sub(r"\n{4,}", "\n\n\n", source).rstrip("\n") + "\n"
