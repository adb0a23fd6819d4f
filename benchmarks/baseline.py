"""The hand-written baseline: a dictionary of states; every area is updated at every step, starting from zeros."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.network import AREAS, Reading, input_size, sources_of

__all__ = ["Loop"]


class Loop(nn.Module):
    """What the closest peer, PyTorchTNN, computes for this network, in plain PyTorch.

    Every area reads its sources as they stood one step before, and the image of this step; before the first step
    all states are zeros. Inputs are resized bilinearly to the input size of the node and concatenated; then one
    convolution with bias, then relu.
    """

    def __init__(self, steps: int, reading: Reading = "own", width: int = 1) -> None:
        super().__init__()
        self.steps = steps
        self.sizes = {area: input_size(area, reading) for area in AREAS}
        self.shapes = {area: (channels // width, size, size) for area, (channels, size) in AREAS.items()}
        self.convolutions = nn.ModuleDict()
        for area, (channels, size, _) in self.shapes.items():
            inputs = sum(3 if source == "image" else self.shapes[source][0] for source in sources_of(area))
            self.convolutions[area] = nn.Conv2d(inputs, channels, 3, stride=self.sizes[area] // size, padding=1)
        self.readout = nn.Linear(self.shapes["IT"][0], 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 10] of images [B, 3, 32, 32]."""
        states = {area: x.new_zeros(len(x), *shape) for area, shape in self.shapes.items()}
        for _ in range(self.steps):
            before = {"image": x, **states}
            for area in AREAS:
                inputs = [self.resized(before[source], self.sizes[area]) for source in sources_of(area)]
                states[area] = F.relu(self.convolutions[area](torch.cat(inputs, dim=1)))
        return self.readout(states["IT"].mean((2, 3)))

    def resized(self, x: Tensor, size: int) -> Tensor:
        return x if x.shape[-1] == size else F.interpolate(x, size=(size, size), mode="bilinear")
