"""The frames of a protocol: images in [0, 1] to videos, one frame for each step."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.protocol.model import Event
from cortexgraph.protocol.schedule import Condition, Protocol

MID_GREY = 0.5


def background(protocol: Protocol, steps: int, shape: tuple[int, int, int]) -> Tensor:
    """What is shown while no event is on: [1, T, C, H, W]."""
    return torch.full((1, steps, *shape), protocol.timeline.background)


def video(
    protocol: Protocol, condition: Condition, images: Tensor, others: Tensor, numbers: Sequence[int], steps: int
) -> Tensor:
    """The video [n, T, C, H, W] in [0, 1] of each of these images [n, C, H, W] under a condition of a protocol.

    What is random in it follows from the seed of the protocol, the number of the image and the number of the event: it
    does not depend on the batch, and it is the same under every condition. `others` are images for events that show
    another one. Raises DataError if the function of the protocol returns something else.
    """
    if protocol.function is not None:
        made = protocol.function(images, steps)
        expected = (len(images), steps, *images.shape[1:])
        if not isinstance(made, Tensor) or tuple(made.shape) != expected:
            found = f"it returned {list(made.shape) if isinstance(made, Tensor) else type(made).__name__}"
            repair = f"Return a float tensor {list(expected)}: [n, T, C, H, W]."
            raise DataError(Diagnostic("bad-video", "protocol", found, "a frame for each step is needed", repair))
        return made
    frames = background(protocol, steps, tuple(images.shape[1:])).repeat(len(images), 1, 1, 1, 1)  # type: ignore[arg-type]
    for place, shown in enumerate(condition.shown):
        first, last = shown.onset - 1, shown.last(steps)
        count = last - first if shown.event.dynamic else 1
        for row, number in enumerate(numbers):
            random = np.random.default_rng([protocol.timeline.seed, number, place])
            picture = others[row] if shown.event.show == "other" else images[row]
            drawn = [_picture(shown.event, picture, protocol.timeline.background, random) for _ in range(count)]
            frames[row, first:last] = torch.stack(drawn)
    return frames


def _picture(event: Event, image: Tensor, grey: float, random: np.random.Generator) -> Tensor:
    """One frame [C, H, W] of an event, from the image that it shows or that its mask is made of."""
    channels, height, width = image.shape
    coarse = event.grain_px or max(1, height // 8)
    x = image
    if event.show == "noise":
        cells = random.random((channels, *_cells(height, width, event.grain_px or 1)))
        x = _enlarged(cells, event.grain_px or 1, height, width)
    elif event.show == "scrambled":
        x = _scrambled(image, random)
    elif event.show == "checkerboard":
        rows, columns = np.indices((height, width)) // coarse
        x = torch.from_numpy((rows + columns) % 2).float().expand(channels, -1, -1)
    elif event.show == "blank":
        x = torch.full_like(image, grey)
    x = MID_GREY + event.contrast * (x - MID_GREY)
    if event.occlusion:
        cells = np.zeros(_cells(height, width, coarse))
        covered = random.permutation(cells.size)[: round(event.occlusion * cells.size)]
        cells.flat[covered] = 1
        x = torch.where(_enlarged(cells[None], coarse, height, width) > 0, grey, x)
    if event.gaussian:
        x = x + event.gaussian * torch.from_numpy(random.standard_normal(x.shape, np.float32))
    if event.salt_and_pepper:
        chance = torch.from_numpy(random.random((height, width), np.float32))  # of a pixel, in all of its channels
        x = torch.where(chance < event.salt_and_pepper / 2, 0.0, x)
        x = torch.where(chance >= 1 - event.salt_and_pepper / 2, 1.0, x)
    return x.clip(0, 1)


def _cells(height: int, width: int, side: int) -> tuple[int, int]:
    return ceil(height / side), ceil(width / side)


def _enlarged(cells: npt.NDArray[np.float64], side: int, height: int, width: int) -> Tensor:
    """Cells [C, h, w] as squares of `side` pixels."""
    squares = cells.repeat(side, 1).repeat(side, 2)[:, :height, :width]
    return torch.from_numpy(np.ascontiguousarray(squares, np.float32))


def _scrambled(image: Tensor, random: np.random.Generator) -> Tensor:
    """The image with the phases of noise, the same in all channels: its amplitude spectrum and its mean stay."""
    noise = torch.from_numpy(random.standard_normal(image.shape[1:], np.float32))
    phases = torch.fft.rfft2(noise).angle()
    phases[0, 0] = 0.0
    spectrum = torch.polar(torch.fft.rfft2(image).abs(), phases.expand(len(image), -1, -1).contiguous())
    scrambled: Tensor = torch.fft.irfft2(spectrum, s=image.shape[1:])
    return scrambled
