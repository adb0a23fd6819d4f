"""The modules of operations, made and run: the one place of this package that executes their source."""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType
from typing import Any

from cortexgraph.ops.source import imports_for, library

__all__ = ["modules"]


@cache
def modules() -> dict[str, Any]:
    """The names that constructors may use: every module of the library, and `nn`."""
    sources = [*library().values()]
    text = "\n".join(["from __future__ import annotations", *imports_for([*sources, "nn"]), *sources])
    module = sys.modules["cortexgraph.ops.modules"] = ModuleType("cortexgraph.ops.modules")  # for pickle
    exec(compile(text, "<modules of cortexgraph.ops>", "exec"), vars(module))
    return vars(module)
