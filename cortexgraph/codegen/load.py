"""From emitted source to a module instance, with the source known to tracebacks and debuggers."""

from __future__ import annotations

import hashlib
import linecache
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["load_source"]


def load_source(source: str, name: str) -> nn.Module:
    """Execute emitted source and make its network.

    The source is registered with `linecache` under a file name made of its hash, so that a traceback shows the
    emitted line.
    """
    file = f"<cortexgraph {name} {hashlib.sha256(source.encode()).hexdigest()[:12]}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace = ModuleType(f"cortexgraph.emitted.{name}")
    namespace.__file__ = file
    exec(compile(source, file, "exec"), namespace.__dict__)  # our own emission: nothing in it is the spec's text
    network: nn.Module = getattr(namespace, namespace.__dict__["__all__"][0])()
    return network
