"""What training minimises and what it counts, over the steps at which the network is read out."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

__all__ = ["correct_per_step", "logits_per_step", "loss_per_step", "readout_loss"]


def logits_per_step(logits: Tensor) -> Tensor:
    """Logits [B, classes] of one readout, or [B, n, classes] of n, as [B, n, classes]."""
    return logits.unsqueeze(1) if logits.ndim == 2 else logits


def loss_per_step(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy in nats, averaged over the batch, at each readout step.

    Args:
        logits: [B, n, classes].
        labels: int64 [B].
        label_smoothing: share of each target spread evenly over all classes.

    Returns:
        float32 [n].
    """
    batch, steps, _ = logits.shape
    targets = labels[:, None].expand(batch, steps)  # [B, n]
    losses = F.cross_entropy(
        logits.float().transpose(1, 2), targets, reduction="none", label_smoothing=label_smoothing
    )  # [B, n]
    return losses.mean(0)


def readout_loss(
    logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, over: Literal["all", "last"] = "all"
) -> Tensor:
    """The number that training minimises: the mean over all readout steps, or the last alone.

    Args:
        logits: [B, classes] or [B, n, classes].
        labels: int64 [B].
        label_smoothing: share of each target spread evenly over all classes.
        over: which readout steps count.
    """
    logits = logits_per_step(logits)
    if over == "last":
        logits = logits[:, -1:]
    return loss_per_step(logits, labels, label_smoothing).mean()


def correct_per_step(logits: Tensor, labels: Tensor) -> Tensor:
    """How many images of the batch are classified correctly at each readout step: int64 [n]."""
    return (logits_per_step(logits).argmax(2) == labels[:, None]).sum(0)
