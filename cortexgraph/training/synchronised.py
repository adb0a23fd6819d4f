"""Batch norms over the images of all processes, so that several processes compute what one does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


def synchronise_norms(network: nn.Module, device: torch.device) -> None:
    """Let the batch norms of a network take their statistics over the shares of all processes, which are equal."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            if device.type == "cuda":
                module.__class__ = nn.SyncBatchNorm  # type: ignore[assignment]
                module.process_group = None  # type: ignore[assignment]
            else:
                module.__class__ = SynchronisedBatchNorm  # torch's own refuses processors


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """A batch norm over equal shares of a batch in several processes."""

    def forward(self, input: Tensor) -> Tensor:
        """The share [B, C, H, W], normalised by mean and variance of the whole batch."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        variances, means = torch.var_mean(x, (0, 2, 3), correction=0)  # [C] of the share
        moments = torch.stack([means, variances + means**2]).double()  # [2, C]
        mean, square = _Mean.apply(moments)
        variance = square - mean**2
        if self.track_running_stats:
            self._move(mean, variance, x.numel() // len(means) * distributed.get_world_size())
        scale, shift = (variance + self.eps).rsqrt().float(), mean.float()
        normalised = (x - _broadcast(shift)) * _broadcast(scale * self.weight) + _broadcast(self.bias)
        return normalised.to(input.dtype)

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch with `count` values, as torch does."""
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.float(), weight)
        self.running_var.lerp_((variance * count / (count - 1)).float(), weight)


class _Mean(torch.autograd.Function):
    """The mean of a tensor over all processes. The gradient is their sum, which the averaging of gradients divides."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total / distributed.get_world_size()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total / distributed.get_world_size()


def _broadcast(values: Tensor) -> Tensor:
    return values[:, None, None]
