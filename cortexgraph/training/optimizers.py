"""Optimisers: which parameters decay, and how the learning rate follows its schedule."""

from __future__ import annotations

from typing import Any

from torch import nn, optim

from cortexgraph.training.schedules import SCHEDULES
from cortexgraph.training.settings import TrainSettings

__all__ = ["make_optimizer", "make_scheduler", "parameter_groups"]


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: weights (matrices and kernels) decay; norms and biases do not.

    Scales, shifts and biases are those with at most one axis.
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(network: nn.Module, settings: TrainSettings) -> optim.Optimizer:
    """The optimiser that the settings ask for."""
    groups = parameter_groups(network, settings.decay)
    if settings.optimizer == "sgd":
        return optim.SGD(groups, lr=settings.peak_lr, momentum=0.9, nesterov=True)
    return optim.AdamW(groups, lr=settings.peak_lr)


def make_scheduler(optimizer: optim.Optimizer, settings: TrainSettings, batches: int) -> optim.lr_scheduler.LambdaLR:
    """The schedule, to be advanced after every batch of a run of `batches` batches."""
    factor = SCHEDULES[settings.schedule]
    return optim.lr_scheduler.LambdaLR(optimizer, lambda batch: factor(batch, batches))
