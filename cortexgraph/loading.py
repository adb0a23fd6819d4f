"""What every network does before it runs: execute emitted source, and look at what it is given."""

from __future__ import annotations

import hashlib
import linecache
import sys
import threading
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import cast

from torch import Tensor, nn

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.wording import quoted, shortened


class ImageError(DataError, ValueError):
    """Images of another size."""


Images = Tensor | Mapping[str, Tensor]
"""What a network is called with: a tensor, or where it has several inputs a tensor for each by name."""


def by_input(x: Images, names: Sequence[str]) -> dict[str, Tensor]:
    """The images of each input, of a network with one input or with several.

    Raises DataError if several are needed, and others were given, or not of as many images.
    """
    if len(names) == 1 and isinstance(x, Mapping):
        found, repair = "x is a mapping", "Give the tensor alone: `network(x[name])`."
        raise DataError(Diagnostic("bad-images", "x", found, f"the network has one input, `{names[0]}`", repair))
    if len(names) == 1:
        return {names[0]: cast(Tensor, x)}
    if not isinstance(x, Mapping) or {*x} != {*names}:
        found = f"x is a {type(x).__name__}" + f" of {quoted(map(str, x)) or 'nothing'}" * isinstance(x, Mapping)
        repair = f"Give a mapping of names to tensors, `{{{', '.join(f'{name!r}: …' for name in names)}}}`."
        expected = f"the network has the inputs {quoted(names)}"
        raise DataError(Diagnostic("bad-images", "x", shortened(found, 100), expected, repair))
    for name in names[1:]:
        first, other = x[names[0]], x[name]
        batched = all(isinstance(each, Tensor) and each.ndim for each in (first, other))
        if batched and first.shape[0] != other.shape[0]:
            found = f"x has {len(first)} images of {names[0]} and {len(other)} of {name}"
            raise DataError(Diagnostic("bad-images", "x", found, "a batch has as many images of each input"))
    return {name: x[name] for name in names}


def input_place(name: str, names: Sequence[str]) -> str:
    """What an input is called in findings about the images that a network is called with."""
    return "x" if len(names) == 1 else f'x["{name}"]'


def check_images(x: object, shape: tuple[int, int, int] | None = None, place: str = "x") -> None:
    """Reject an input that is not a tensor of floats, such as raw pixels, which would silently give wrong answers.

    The shape of an image is checked if it is given; findings call the input `place`.
    """
    if isinstance(x, Tensor) and x.is_floating_point():
        if shape is None or (x.ndim in (4, 5) and tuple(x.shape[-3:]) == shape):
            return
        image = ", ".join(map(str, shape))
        found, expected = f"{place} is {list(x.shape)}", f"[B, {image}], or [B, T, {image}] of a video, is expected"
        repair = "Resize the images, or compile a spec with another `input`."
        if tuple(x.shape) == shape:
            repair = f"Add an axis for the batch: `{place}[None]`."
        raise ImageError(Diagnostic("bad-images", place, found, expected, repair))
    if isinstance(x, Tensor):
        found, repair = f"{place} is {str(x.dtype).removeprefix('torch.')}", "Scale the pixels"
    else:
        found = f"{place} is a {type(x).__name__}"
        repair = "Make a float tensor (`torch.as_tensor(x).float()`), scale the pixels"
    repair += " (`x.float() / 255` of bytes) and normalise them as in training: `prepare` of a run does both."
    raise DataError(Diagnostic("bad-images", place, found, "a tensor of floats is needed", repair))


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
