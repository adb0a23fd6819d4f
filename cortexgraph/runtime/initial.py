"""How convolutions start."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def started(module: nn.Module, fill: Callable[[Tensor], Tensor]) -> nn.Module:
    """The module itself, with every convolution's and linear layer's weight filled anew and its bias at 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fill(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return module


def identity_(weight: Tensor) -> Tensor:
    """Each output channel passes on the input channel of its own number, through the middle of the kernel."""
    with torch.no_grad():
        weight.zero_()
        taps = weight.reshape(*weight.shape[:2], -1)  # [out, in, places]: a view
        middle = [(n - 1) // 2 for n in weight.shape[2:]]
        place = middle[0] * weight.shape[3] + middle[1] if middle else 0
        for channel in range(len(weight)):
            taps[channel, channel % weight.shape[1], place] = 1.0
    return weight
