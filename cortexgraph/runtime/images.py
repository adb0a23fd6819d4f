"""What enters the network: images, frames of a video, and zeros."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cortexgraph.runtime.chains import untracked


def check_image(x: Tensor, shape: tuple[int, int, int], steps: int) -> bool:
    """Whether x is static images [B, *shape]; if not, it is videos [B, steps, *shape], or a ValueError is raised.

    torch.fx, which runs this without values, traces the network of static images.
    """
    if isinstance(x, torch.fx.Proxy):
        return True
    if tuple(x.shape[1:]) not in (shape, (steps, *shape)):
        raise ValueError(f"x is {list(x.shape)}; expected [B, *{shape}], or a video [B, {steps}, *{shape}]")
    return x.ndim == 4


def frame(x: Tensor, step: int, still: bool) -> Tensor:
    """The image of a step: the static image, or the frame of a video."""
    return x if still else x[:, step - 1]


def per_frame(connection: nn.Module, x: Tensor, still: bool) -> Callable[[int], Tensor]:
    """What a connection makes of the image of a step: of a static one once, of a frame when it is asked for."""
    if still:
        drive = connection(x)
        return lambda step: drive
    return lambda step: connection(x[:, step - 1])


def later_frame(connection: nn.Module, x: Tensor, step: int, still: bool) -> Tensor:
    """What a connection makes of an image after the first: a static one moves running averages only once."""
    return untracked(connection, x) if still else connection(x[:, step - 1])


def repeated(value: Tensor, x: Tensor, when: bool = True) -> Tensor:
    """A value [1, ...] that is the same for every image, once for each image of the batch x."""
    return value.expand(x.shape[0], -1, -1, -1) if when else value


def zeros(x: Tensor, *shape: int) -> Tensor:
    """Zeros [B, *shape] for the batch, on the device and with the type of the images x."""
    return x.new_zeros(x.shape[0], *shape)
