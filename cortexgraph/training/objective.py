"""What training minimises and what it counts, over the steps at which the network is read out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Logits", "correct_per_step", "logits_per_step", "loss_per_step", "readout_loss"]


Logits = Tensor | Mapping[str, Tensor]
"""What a network returns: [B, classes] or [B, n, classes], or such by the name of each of several readouts."""


def _by_readout(logits: Logits) -> list[Tensor]:
    """[B, n, classes] of each readout."""
    found = [logits] if isinstance(logits, Tensor) else list(logits.values())
    return [part.unsqueeze(1) if part.ndim == 2 else part for part in found]


def logits_per_step(logits: Logits) -> Tensor:
    """The logits of the first readout as [B, n, classes]: those whose accuracy is reported."""
    return _by_readout(logits)[0]


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
    logits: Logits, labels: Tensor, label_smoothing: float = 0.0, over: Literal["all", "last"] = "all"
) -> Tensor:
    """The number that training minimises: the mean over all readouts and their steps, or their last steps alone.

    Args:
        logits: [B, classes] or [B, n, classes], or such by the name of each readout.
        labels: int64 [B].
        label_smoothing: share of each target spread evenly over all classes.
        over: which readout steps count.
    """
    parts = _by_readout(logits)
    if over == "last":
        parts = [part[:, -1:] for part in parts]
    return loss_per_step(torch.cat(parts, 1), labels, label_smoothing).mean()


def correct_per_step(logits: Logits, labels: Tensor) -> Tensor:
    """How many images of the batch the first readout classifies correctly at each of its steps: int64 [n]."""
    return (logits_per_step(logits).argmax(2) == labels[:, None]).sum(0)
