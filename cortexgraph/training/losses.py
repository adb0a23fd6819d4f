"""Losses and counts of correct images, over the steps at which the network is read out.

A loss is a function registered with `register_loss`; `TrainSettings.loss` and `--loss` name it. The registry holds
the only list of names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from cortexgraph.errors import CortexGraphError, Diagnostic

if TYPE_CHECKING:
    from torch import Tensor

    from cortexgraph.spec.model import ReadoutSpec

    Logits = Tensor | Mapping[str, Tensor]
    """What a network returns: [B, classes] or [B, n, classes], or such by the name of each of several readouts."""
    Loss = Callable[[Tensor, Tensor, float], Tensor]
from cortexgraph.arguments import arguments_explained

CROSS_ENTROPY = "cross-entropy"

LOSSES: dict[str, Loss] = {}
"""By name: from float32 logits [M, classes], int64 labels [M] and the label smoothing to float32 losses [M]."""


@arguments_explained
def register_loss(name: str) -> Callable[[Loss], Loss]:
    """Decorator that adds a loss to those that `TrainSettings` and `--loss` know by name.

    It takes float32 logits [M, classes], int64 labels [M] and the label smoothing, and returns float32 losses [M].

    Raises:
        ValueError: if the name is taken.

    Examples:
        >>> @register_loss("margin")
        ... def margin(logits, labels, smoothing):
        ...     return torch.nn.functional.multi_margin_loss(logits, labels, reduction="none")
        >>> LOSSES.pop("margin") is margin
        True
    """

    def add(loss: Loss) -> Loss:
        if name in LOSSES:
            raise ValueError(f"loss `{name}` is registered already")
        LOSSES[name] = loss
        return loss

    return add


@register_loss(CROSS_ENTROPY)
def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy in nats."""
    from torch.nn import functional as F

    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)


@register_loss("squared-error")
def squared_error(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean over classes of the squared difference to the smoothed one-hot target (Hui & Belkin 2021)."""
    from torch.nn import functional as F

    classes = logits.shape[1]
    targets = F.one_hot(labels, classes).to(logits.dtype) * (1 - smoothing) + smoothing / classes  # [M, classes]
    return (logits - targets).square().mean(1)


# ---- over the steps of readout -----------------------------------------------------


def _by_readout(logits: Logits) -> list[Tensor]:
    """[B, n, classes] of each readout."""
    parts = list(logits.values()) if isinstance(logits, Mapping) else [logits]
    return [part.unsqueeze(1) if part.ndim == 2 else part for part in parts]


def logits_per_step(logits: Logits) -> Tensor:
    """The logits of the first readout as [B, n, classes]: those whose accuracy is reported."""
    return _by_readout(logits)[0]


def loss_per_step(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, loss: str = CROSS_ENTROPY) -> Tensor:
    """The loss at each readout step, averaged over the batch.

    Args:
        logits: [B, n, classes].
        labels: int64 [B].
        label_smoothing: share of each target spread evenly over all classes.
        loss: its registered name.

    Returns:
        float32 [n].
    """
    batch, steps, classes = logits.shape
    targets = labels[:, None].expand(batch, steps).flatten()  # [B · n]
    losses = LOSSES[loss](logits.float().reshape(-1, classes), targets, label_smoothing)
    if losses.shape != targets.shape:
        found, expected = f"it returned {list(losses.shape)}", f"a loss for each row is needed: {list(targets.shape)}"
        repair = 'Do not average over the batch, as with `reduction="none"`.'
        raise CortexGraphError(Diagnostic("bad-loss", f"loss {loss}", found, expected, repair))
    return losses.reshape(batch, steps).mean(0)


def step_weights(over: str | Sequence[float], steps: int) -> list[float]:
    """The weight of each readout step in the loss: `all` and `last` written out, or the numbers as they are."""
    if not isinstance(over, str):
        return [*over]
    if over == "all":
        return [1.0] * steps
    return [0.0] * (steps - 1) + [1.0] if over == "last" else [float(word) for word in over.split(",")]


def weighted_steps(over: str | Sequence[float], steps: Collection[int]) -> tuple[int, ...]:
    """Those of the readout steps that count in the loss."""
    return tuple(step for step, weight in zip(steps, step_weights(over, len(steps)), strict=True) if weight)


def readout_loss(
    logits: Logits,
    labels: Tensor,
    label_smoothing: float = 0.0,
    over: str = "all",
    loss: str = CROSS_ENTROPY,
    readouts: Sequence[ReadoutSpec] = (),
) -> Tensor:
    """The number that training minimises: the mean over all readouts and their steps, or their last steps alone.

    With weights for the steps, it is the weighted mean.

    Args:
        logits: [B, classes] or [B, n, classes], or such by the name of each readout.
        labels: int64 [B].
        label_smoothing: share of each target spread evenly over all classes.
        over: which readout steps count: `all`, `last`, or the weight of each, with commas between.
        loss: its registered name.
        readouts: of the spec, which may have losses and weights of their own.
    """
    import torch

    parts = _by_readout(logits)
    names = [readout.loss or loss for readout in readouts] or [loss] * len(parts)
    weighted = any(readout.loss_over is not None for readout in readouts)
    parts = [part[:, -1:] if over == "last" and not weighted else part for part in parts]
    losses = [loss_per_step(part, labels, label_smoothing, name) for part, name in zip(parts, names, strict=True)]
    if weighted:
        overs = [over if readout.loss_over is None else readout.loss_over for readout in readouts]
        numbers = [n for own, part in zip(overs, parts, strict=True) for n in step_weights(own, part.shape[1])]
        every = torch.tensor(numbers, device=labels.device)
        return torch.cat(losses) @ (every / every.sum())
    if over in {"all", "last"}:
        return torch.cat(losses).mean()
    weights = torch.tensor(step_weights(over, len(losses[0])), device=labels.device)  # [n]
    return (torch.stack(losses) @ (weights / weights.sum())).mean()


def predicted_per_step(logits: Logits) -> Tensor:
    """The class of each image by the first readout at each of its steps: int64 [B, n].

    It is −1, no class, where a logit is infinite or not a number.
    """
    logits = logits_per_step(logits)
    return logits.argmax(2).where(logits.isfinite().all(2), -1)


def correct_per_step(logits: Logits, labels: Tensor) -> Tensor:
    """How many images of the batch the first readout classifies correctly at each of its steps: int64 [n]."""
    return (predicted_per_step(logits) == labels[:, None]).sum(0)
