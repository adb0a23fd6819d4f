"""From emitted source to a class, with the source known to tracebacks, debuggers and `inspect`."""

from __future__ import annotations

import hashlib
import linecache
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["load_class"]


def load_class(source: str, name: str) -> type[nn.Module]:
    """Execute emitted source and return the class of its network.

    The module stands in `sys.modules` under a name made of the source's hash, so that its classes can be pickled, and
    the source in `linecache`, so that a traceback shows the emitted line.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    module_name = f"cortexgraph_emitted_{digest}"
    with _LOADING:
        _load(module_name, source, f"<cortexgraph {name} {digest}>")
    namespace = vars(sys.modules[module_name])
    network: type[nn.Module] = namespace[namespace["__all__"][0]]
    return network


_LOADING = threading.RLock()
"""One thread loads at a time: others find a module whole, or not at all."""


def _load(module_name: str, source: str, file: str) -> None:
    if module_name not in sys.modules:
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        module = ModuleType(module_name)
        module.__file__ = file
        sys.modules[module_name] = module
        try:
            exec(compile(source, file, "exec"), module.__dict__)  # our own emission: nothing in it is the spec's text
        except BaseException:
            del sys.modules[module_name]
            raise
