"""From an unrolled graph to the source of a Python module that needs only torch."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cortexgraph.codegen.views import module_view
from cortexgraph.unrolling import UnrolledGraph

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["emit_source"]


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


def emit_source(full: UnrolledGraph, graph: UnrolledGraph) -> str:
    """Source of the module that computes `graph`; `full` is the graph before passes, which owns the parameters.

    Equal graphs give equal bytes. Names from the spec enter as identifiers and escaped text only.
    """
    source = _environment().get_template("module.py.jinja").render(view=module_view(full, graph))
    return source.rstrip("\n") + "\n"
