"""What every network does before it runs: execute emitted source, and look at what it is given."""

from __future__ import annotations

import hashlib
import linecache
import sys
import threading
from types import ModuleType

from torch import Tensor, nn

from cortexgraph.errors import DataError, Diagnostic


class ImageError(DataError, ValueError):
    """Images of another size."""


def check_images(x: object, shape: tuple[int, int, int] | None = None) -> None:
    """Reject an input that is not a tensor of floats, such as raw pixels, which would silently give wrong answers.

    Args:
        x: what was given.
        shape: of an image, if it is to be checked.

    Raises:
        DataError: with the repair.
    """
    if isinstance(x, Tensor) and x.is_floating_point():
        if shape is None or (x.ndim in (4, 5) and tuple(x.shape[-3:]) == shape):
            return
        image = ", ".join(map(str, shape))
        found, expected = f"x is {list(x.shape)}", f"[B, {image}], or [B, T, {image}] of a video, is expected"
        repair = "Resize the images, or compile a spec with another `input`."
        if tuple(x.shape) == shape:
            repair = "Add an axis for the batch: `x[None]`."
        raise ImageError(Diagnostic("bad-images", "x", found, expected, repair))
    if isinstance(x, Tensor):
        found, repair = f"x is {str(x.dtype).removeprefix('torch.')}", "Scale the pixels"
    else:
        found, repair = (
            f"x is a {type(x).__name__}",
            "Make a float tensor (`torch.as_tensor(x).float()`), scale the pixels",
        )
    repair += " (`x.float() / 255` of bytes) and normalise them as in training: `prepare` of a run does both."
    raise DataError(Diagnostic("bad-images", "x", found, "a tensor of floats is needed", repair))


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
