"""Losses and counts of correct images, over the steps at which the network is read out.

A loss is a function registered with `register_loss`, which also says on which kind of target it trains;
`TrainSettings.loss`, `--loss` and the `loss` of a readout name it. The registry holds the only list of names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cortexgraph.arguments import arguments_explained
from cortexgraph.errors import CortexGraphError, Diagnostic

if TYPE_CHECKING:
    from torch import Tensor

    from cortexgraph.spec.model import ReadoutSpec

    Logits = Tensor | Mapping[str, Tensor]
    """What a network returns: [B, classes] or [B, n, classes], or such by the name of each of several readouts.

    Readouts of every place have [B, classes, H, W] or [B, n, classes, H, W].
    """
    Function = Callable[[Tensor, Tensor, float], Tensor]

CROSS_ENTROPY = "cross-entropy"
CLASS, LABELS, NUMBERS, VIEWS, NOTHING = "class", "labels", "numbers", "views", "nothing"


@dataclass(frozen=True)
class Loss:
    """A registered loss.

    Attributes:
        function: from float32 values [M, K], targets and the label smoothing to float32 losses [M].
        target: on what it trains: `class` (int64 [M]), `labels` or `numbers` (float32 [M, K]), `nothing`, or `views`:
            the rows are two views of each of M / 2 images, first the one of all, then the other.
    """

    function: Function
    target: str


LOSSES: dict[str, Loss] = {}
"""By name."""


@arguments_explained
def register_loss(name: str, target: str = CLASS) -> Callable[[Function], Function]:
    """Decorator that adds a loss to those that `TrainSettings`, `--loss` and readouts know by name.

    It takes float32 values [M, K] of the readout, the targets and the label smoothing, and returns float32 losses [M].
    A readout of every place gives a row for each place.

    Args:
        name: of the loss.
        target: on what it trains: `class` (int64 [M]), `labels` or `numbers` (float32 [M, K]), `nothing`, or `views`
            (two of each image: the first M / 2 rows are the one, the others the other).

    Raises:
        ValueError: if the name is taken, or this is not a target.

    Examples:
        >>> @register_loss("margin")
        ... def margin(logits, labels, smoothing):
        ...     return torch.nn.functional.multi_margin_loss(logits, labels, reduction="none")
        >>> LOSSES.pop("margin").function is margin
        True
    """

    def add(loss: Function) -> Function:
        if name in LOSSES:
            raise ValueError(f"loss `{name}` is registered already")
        if target not in (known := (CLASS, LABELS, NUMBERS, VIEWS, NOTHING)):
            raise ValueError(f"`{target}` is not a target of a loss; they are {', '.join(known)}")
        LOSSES[name] = Loss(loss, target)
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


@register_loss("binary-cross-entropy", LABELS)
def binary_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean over labels of the cross-entropy of each, in nats; smoothing brings targets closer to 1/2."""
    from torch.nn import functional as F

    targets = labels * (1 - smoothing) + smoothing / 2  # [M, K]
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)


@register_loss("mse", NUMBERS)
def mse(values: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean over numbers of the squared difference."""
    return (values - targets).square().mean(1)


@register_loss("l1", NUMBERS)
def l1(values: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean over numbers of the absolute difference."""
    return (values - targets).abs().mean(1)


@register_loss("huber", NUMBERS)
def huber(values: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean over numbers of Huber's loss (1964): half the square of differences up to 1, linear beyond."""
    from torch.nn import functional as F

    return F.huber_loss(values, targets, reduction="none").mean(1)


@register_loss("activity", NOTHING)
def activity(values: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean absolute value: of error units, what PredNet minimises (Lotter, Kreiman & Cox 2017)."""
    return values.abs().mean(1)


TEMPERATURE = 0.5
"""Of NT-Xent: the one that SimCLR uses for CIFAR-10."""


@register_loss("nt-xent", VIEWS)
def nt_xent(values: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """For each view, how well the other view of its image is told from all other views (SimCLR, Chen et al. 2020).

    The cross-entropy, in nats, over cosine similarities divided by a temperature of 0.5.
    """
    import torch
    from torch.nn import functional as F

    unit, rows = F.normalize(values, dim=1), torch.arange(len(values), device=values.device)
    similar = (unit @ unit.T / TEMPERATURE).fill_diagonal_(-torch.inf)  # [M, M]
    return F.cross_entropy(similar, rows.roll(len(rows) // 2), reduction="none")


# ---- over the steps of readout -----------------------------------------------------


def _by_readout(logits: Logits) -> list[Tensor]:
    """[B, n, classes] or [B, n, classes, H, W] of each readout."""
    parts = list(logits.values()) if isinstance(logits, Mapping) else [logits]
    return [part.unsqueeze(1) if part.ndim in (2, 4) else part for part in parts]


def logits_per_step(logits: Logits) -> Tensor:
    """The logits of the first readout as [B, n, classes] (or [B, n, classes, H, W]): those whose score is reported."""
    return _by_readout(logits)[0]


def loss_per_step(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, loss: str = CROSS_ENTROPY) -> Tensor:
    """The loss at each readout step, averaged over the batch and over all places that have a target: float32 [n].

    Logits are [B, n, classes], or [B, n, classes, H, W] with a readout of every place. Labels are int64 [B] or [B, H,
    W], float32 [B, K] or [B, K, H, W], or such for each step, [B, n, …], of which the last count where there are more.
    The label smoothing is the share of each target spread evenly over all classes; the loss has its registered name.
    """
    import torch

    kind = LOSSES[loss].target
    if kind in (VIEWS, NOTHING):  # views are compared within their step
        nothing = labels.new_zeros(len(logits))
        return torch.stack(
            [_row_losses(loss, step.flatten(1), nothing, 0.0).mean() for step in logits.float().unbind(1)]
        )
    batch, steps = logits.shape[:2]
    columns = 0 if kind == CLASS else 1
    same = labels.ndim < logits.ndim - 1 + columns
    labels = labels[:, None].expand(batch, steps, *labels.shape[1:]) if same else labels[:, -steps:]  # [B, n, …]
    targets = labels.flatten() if kind == CLASS else labels.movedim(2, -1).flatten(0, -2)
    rows = logits.float().movedim(2, -1).flatten(0, -2)  # [B · n · places, classes]
    if logits.ndim == 3:
        return _row_losses(loss, rows, targets, label_smoothing).reshape(batch, steps).mean(0)
    known = targets >= 0 if kind == CLASS else targets.isfinite().all(1)
    losses = rows.new_zeros(len(rows))
    losses[known] = _row_losses(loss, rows[known], targets[known], label_smoothing)
    counts, least = known.reshape(batch, steps, -1).sum((0, 2)).float(), 1.0  # [n]
    if torch.is_grad_enabled() and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(counts)  # gradients are averaged over processes, which know different numbers
        least = 1 / torch.distributed.get_world_size()
        counts *= least
    return losses.reshape(batch, steps, -1).sum((0, 2)) / counts.clamp(min=least)


def _row_losses(loss: str, rows: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """The loss of each row. Raises CortexGraphError if the function returns something else."""
    losses = LOSSES[loss].function(rows, targets, smoothing)
    if losses.shape != rows.shape[:1]:
        found, expected = f"it returned {list(losses.shape)}", f"a loss for each row is needed: {[len(rows)]}"
        repair = 'Do not average over the batch, as with `reduction="none"`.'
        raise CortexGraphError(Diagnostic("bad-loss", f"loss {loss}", found, expected, repair))
    return losses


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
    labels: Tensor | Sequence[Tensor],
    label_smoothing: float = 0.0,
    over: str = "all",
    loss: str = CROSS_ENTROPY,
    readouts: Sequence[ReadoutSpec] = (),
) -> Tensor:
    """The number that training minimises: the mean over all readouts and their steps, or their last steps alone.

    With weights for the steps, with commas between, it is the weighted mean. Logits are [B, classes] or [B, n,
    classes], or such by the name of each readout; labels of every readout, or one for each, and the rest are as for
    `loss_per_step`. Readouts of the spec may have losses and weights of their own.
    """
    import torch

    parts = _by_readout(logits)
    names = [readout.loss or loss for readout in readouts] or [loss] * len(parts)
    weighted = any(readout.loss_over is not None for readout in readouts)
    parts = [part[:, -1:] if over == "last" and not weighted else part for part in parts]
    every = [labels] * len(parts) if isinstance(labels, torch.Tensor) else labels
    losses = [
        loss_per_step(part, own, label_smoothing, name) for part, own, name in zip(parts, every, names, strict=True)
    ]
    if weighted:
        overs = [over if readout.loss_over is None else readout.loss_over for readout in readouts]
        numbers = [n for own, part in zip(overs, parts, strict=True) for n in step_weights(own, part.shape[1])]
        shares = torch.tensor(numbers, device=parts[0].device)
        return torch.cat(losses) @ (shares / shares.sum())
    if over in {"all", "last"}:
        return torch.cat(losses).mean()
    weights = torch.tensor(step_weights(over, len(losses[0])), device=parts[0].device)  # [n]
    return (torch.stack(losses) @ (weights / weights.sum())).mean()


def predicted_per_step(logits: Logits) -> Tensor:
    """The class of each image by the first readout at each of its steps: int64 [B, n].

    It is −1, no class, where a logit is infinite or not a number. The logits of all places are averaged.
    """
    logits = logits_per_step(logits)
    if logits.ndim > 3:
        logits = logits.flatten(3).mean(3)
    return logits.argmax(2).where(logits.isfinite().all(2), -1)


def correct_per_step(logits: Logits, labels: Tensor) -> Tensor:
    """How many images of the batch the first readout classifies correctly at each of its steps: int64 [n]."""
    return (predicted_per_step(logits) == labels[:, None]).sum(0)
