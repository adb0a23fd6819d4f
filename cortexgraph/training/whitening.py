"""Whitened first convolutions (Page 2018; Jordan 2024): kernels from patches of the training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cortexgraph.data import ImageData
from cortexgraph.training.images import evaluation_batches

if TYPE_CHECKING:
    from cortexgraph.network import CompiledNetwork

__all__ = ["whiten", "whiten_"]

IMAGES = 2000
"""How many training images, the first ones, give the patches."""
FLOOR = 5e-4
"""Added to the variances, as Jordan 2024 does, so that components without variance are not blown up."""


def whiten(network: CompiledNetwork, data: ImageData) -> None:
    """Whiten the convolutions of connections with `init: whitened`; the others stay as they are."""
    connections = [c for c in network.unrolled.areas.connections if c.init == "whitened" and c.owner is None]
    modules = [m for c in connections if c.source == "image" for m in network.get_submodule(c.identifier).modules()]
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    if convolutions:
        images, _ = next(iter(evaluation_batches(data, torch.device("cpu"), IMAGES, "train")))
        for convolution in convolutions:
            whiten_(convolution, images)


@torch.no_grad()
def whiten_(convolution: nn.Conv2d, images: Tensor) -> None:
    """Set kernels to the principal components of image patches, scaled to variance 1, then to their negatives.

    Kernels beyond two for each component stay as they are.

    Args:
        convolution: whose input are images; each of its groups sees its own channels.
        images: normalised, float32 [N, C, H, W].
    """
    groups = convolution.groups
    for kernels, channels in zip(convolution.weight.chunk(groups), images.chunk(groups, 1), strict=True):
        variances, components = torch.linalg.eigh(_covariance(channels, convolution))  # [d], [d, d], rising
        components = components.flip(1) / (variances.flip(0) + FLOOR).sqrt()
        largest = components.abs().argmax(0, keepdim=True)
        components = components * components.gather(0, largest).sign()  # their signs are arbitrary
        filters = torch.cat([components.T, -components.T])[: len(kernels)]
        kernels[: len(filters)] = filters.reshape(-1, *kernels.shape[1:]).to(kernels)


def _covariance(images: Tensor, convolution: nn.Conv2d) -> Tensor:
    """The covariance of patches as the convolution sees them, without its border: float64 [d, d]."""
    count, sums, squares = 0, torch.zeros(()), torch.zeros(())
    for batch in torch.split(images, 100):
        patches = F.unfold(batch, convolution.kernel_size, convolution.dilation)
        values = patches.transpose(0, 1).flatten(1).double()  # [d, patches]
        count, sums, squares = count + values.shape[1], sums + values.sum(1), squares + values @ values.T
    mean = sums / count
    return squares / count - mean[:, None] * mean
