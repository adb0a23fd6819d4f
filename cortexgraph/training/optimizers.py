"""Optimisers and the schedule of their learning rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, optim

from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.training.schedules import SCHEDULES
from cortexgraph.training.settings import TrainSettings

__all__ = ["Muon", "check_optimizer", "lr_factor", "make_optimizer", "make_scheduler", "parameter_groups"]


def check_optimizer(settings: TrainSettings) -> None:
    """Raise CortexGraphError if this version of torch does not have the optimiser."""
    if settings.optimizer == "muon" and not hasattr(optim, "Muon"):
        found, expected = f"muon was given, but torch {torch.__version__} has no Muon", "torch 2.9 has it"
        repair = "Upgrade torch, or give --optimizer sgd or adamw."
        raise CortexGraphError(Diagnostic("old-torch", "settings.optimizer", found, expected, repair))


def parameter_groups(network: nn.Module, settings: TrainSettings) -> list[dict[str, Any]]:
    """Trainable parameters in groups: weights (matrices and kernels) decay; norms and biases do not.

    Norms and biases, those with at most one axis, have a learning rate of their own. The weights of classifiers are a
    group of their own for Muon, which is not meant for them.
    """
    lr, muon = settings.peak_lr, settings.optimizer == "muon"
    classifiers = {id(m.weight) for m in network.modules() if type(m) is nn.Linear} if muon else set()
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    weights = [p for p in trainable if p.ndim > 1 and id(p) not in classifiers]
    groups = [
        {"params": weights, "lr": lr, "weight_decay": settings.decay, **({"muon": True} if muon else {})},
        {"params": [p for p in trainable if id(p) in classifiers], "lr": lr, "weight_decay": settings.decay},
        {"params": [p for p in trainable if p.ndim <= 1], "lr": lr * settings.norm_lr_factor, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(network: nn.Module, settings: TrainSettings) -> optim.Optimizer:
    """The optimiser that the settings ask for."""
    groups, momentum = parameter_groups(network, settings), settings.filled("momentum")
    if settings.optimizer == "sgd":
        return optim.SGD(groups, settings.peak_lr, momentum=momentum, nesterov=momentum > 0)
    if settings.optimizer == "muon":
        return Muon(groups, settings.peak_lr, momentum)
    return optim.AdamW(groups, settings.peak_lr, betas=(momentum, 0.999))


class Muon(optim.AdamW):
    """torch's Muon for the groups marked `muon`, AdamW for the others (Jordan 2024).

    torch's Muon takes matrices only, so it gets each weight as a view: outputs × (inputs × places of the kernel). Its
    steps are scaled to those of AdamW (Liu et al. 2025, arXiv 2502.16982), so that one learning rate fits both.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, lr)
        marked = [group for group in groups if group.get("muon")]
        self._weights: list[nn.Parameter] = [p for group in marked for p in group["params"]]
        self._matrices = [nn.Parameter(as_matrix(p.detach(), p)) for p in self._weights]
        options: dict[str, Any] = {"momentum": momentum, "adjust_lr_fn": "match_rms_adamw"}
        decay = marked[0]["weight_decay"] if marked else 0.0
        self._muon = optim.Muon(self._matrices, lr, decay, **options) if marked else None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else as_matrix(weight.grad, weight)
            weight.grad = None  # AdamW passes over it
        if self._muon is not None:
            self._muon.param_groups[0]["lr"] = self.param_groups[0]["lr"]
            self._muon.step()  # type: ignore[no-untyped-call]
        super().step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The state of AdamW, and that of Muon under `muon`."""
        return super().state_dict() | ({"muon": self._muon.state_dict()} if self._muon is not None else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore both."""
        rest = dict(state_dict)
        if self._muon is not None:
            self._muon.load_state_dict(rest.pop("muon"))
        super().load_state_dict(rest)


def as_matrix(values: Tensor, weight: Tensor) -> Tensor:
    """A weight's values as a matrix, outputs × all others in the order of the weight's memory: a view of the weight."""
    order = sorted(range(1, weight.ndim), key=weight.stride, reverse=True)
    return values.permute(0, *order).flatten(1)


def make_scheduler(optimizer: optim.Optimizer, settings: TrainSettings, batches: int) -> optim.lr_scheduler.LambdaLR:
    """The schedule, to be advanced after every batch of a run of `batches` batches.

    One torch scheduler with a closed formula, not a chain of several: the rate of any batch is known without running
    through those before it, and a resumed run has it to the last bit.
    """
    return optim.lr_scheduler.LambdaLR(optimizer, lambda batch: lr_factor(settings, batch, batches))


def lr_factor(settings: TrainSettings, batch: int, batches: int) -> float:
    """What the schedule makes of the peak learning rate at a batch, from 0, of a run of `batches`.

    The schedule starts again after each epoch in `restarts` and runs until the next one, or the end of the run.
    """
    starts = [epoch * batches // settings.epochs for epoch in (0, *settings.restarts)]
    start = max(each for each in starts if each <= batch)
    end = min((each for each in starts if each > batch), default=batches)
    return SCHEDULES[settings.schedule](batch - start, end - start, settings.filled("warmup"))
