"""What enters the network: images, frames of a video, and zeros."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from torch import Tensor, nn

from cortexgraph.runtime.chains import untracked


def check_image(x: Tensor, shape: tuple[int, int, int], steps: int) -> None:
    """Raise ValueError unless x is images [B, *shape] or videos [B, steps, *shape]."""
    if tuple(x.shape[1:]) not in (shape, (steps, *shape)):
        raise ValueError(f"x is {list(x.shape)}; expected [B, *{shape}], or a video [B, {steps}, *{shape}]")


def per_frame(connection: nn.Module, x: Tensor, steps: Iterable[int]) -> dict[int, Tensor]:
    """What a connection makes of each step's image: computed once for a static one, by frame for a video."""
    if x.ndim == 4:
        return dict.fromkeys(steps, connection(x))
    return {step: connection(x[:, step - 1]) for step in steps}


def per_frame_aside(
    connection: nn.Module, x: Tensor, steps: Collection[int], aside: Collection[int]
) -> dict[int, Tensor]:
    """As `per_frame`, but the images of the steps `aside` leave running averages alone: no readout depends on them."""
    if x.ndim == 4:
        return dict.fromkeys(steps, untracked(connection, x) if set(steps) == set(aside) else connection(x))
    frames = {step: x[:, step - 1] for step in steps}
    return {step: untracked(connection, x) if step in aside else connection(x) for step, x in frames.items()}


def frame(x: Tensor, step: int) -> Tensor:
    """The image of a step: the frame of a video, or the static image."""
    return x if x.ndim == 4 else x[:, step - 1]


def zeros(x: Tensor, *shape: int) -> Tensor:
    """Zeros [B, *shape] for the batch, on the device and with the type of the images x."""
    return x.new_zeros(x.shape[0], *shape)
