"""The names of torch that the modules in the files of operations use, without importing torch.

An emitted file carries the source of these modules, so this process defines their classes but never makes one:
empty classes stand in for the bases, and checking, drawing and emitting need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["F", "Module", "Tensor", "nn", "torch"]

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.nn import Module
    from torch.nn import functional as F
else:

    class Module:
        """Stands in for `torch.nn.Module`; its subclasses are the modules that emitted files may carry."""

    class nn:  # noqa: N801  (torch's name)
        """Stands in for `torch.nn`: the classes that modules inherit from."""

        Module = Module
        Linear = type("Linear", (Module,), {})
        Conv2d = type("Conv2d", (Module,), {})
        ConvTranspose2d = type("ConvTranspose2d", (Module,), {})

    torch = Tensor = F = None
