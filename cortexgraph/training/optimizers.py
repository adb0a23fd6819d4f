"""Optimisers and the schedule of their learning rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, optim

from cortexgraph.training.schedules import SCHEDULES
from cortexgraph.training.settings import TrainSettings


def parameter_groups(network: nn.Module, settings: TrainSettings) -> list[dict[str, Any]]:
    """Trainable parameters in groups: weights (matrices and kernels) decay; norms and biases do not.

    Norms and biases, those with at most one axis, have their own learning rate. The weights of classifiers are a
    separate group for Muon, which is not meant for them; they learn at the rate of norms and biases.
    """
    lr, muon, decay = settings.lr, settings.optimizer == "muon", settings.weight_decay
    other = lr * settings.norm_lr_factor
    classifiers = {id(m.weight) for m in network.modules() if type(m) is nn.Linear} if muon else set()
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    weights = [p for p in trainable if p.ndim > 1 and id(p) not in classifiers]
    groups = [
        {"params": weights, "lr": lr, "weight_decay": decay, **({"muon": True} if muon else {})},
        {"params": [p for p in trainable if id(p) in classifiers], "lr": other, "weight_decay": decay},
        {"params": [p for p in trainable if p.ndim <= 1], "lr": other, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(network: nn.Module, settings: TrainSettings) -> optim.Optimizer:
    """The optimiser that the settings ask for."""
    groups, momentum = parameter_groups(network, settings), settings.momentum
    if settings.optimizer == "sgd":
        return optim.SGD(groups, settings.lr, momentum=momentum, nesterov=momentum > 0)
    if settings.optimizer == "muon":
        return Muon(groups, settings.lr, momentum)
    return optim.AdamW(groups, settings.lr, betas=(momentum, 0.999))


class Muon(optim.AdamW):
    """Muon for the groups marked `muon`, AdamW for the others (Jordan 2024).

    A weight W with gradient G is a matrix of outputs × (inputs × places of the kernel). With momentum μ and decay λ:

        M ← μ M + (1 − μ) G
        W ← (1 − lr λ) W − 0.2 lr √max(rows, columns) orthogonalised(μ M + (1 − μ) G)

    The factor makes steps as long as those of AdamW (Liu et al. 2025, arXiv 2502.16982): one learning rate fits both.
    This is torch.optim.Muon with `match_rms_adamw`, except that it orthogonalises in float32: torch does it in
    bfloat16, which took a quarter of the training time on a processor that emulates it.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, lr)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"] if group.get("muon") else ():
                self._step(weight, group["lr"], group["weight_decay"])
                weight.grad = None  # AdamW passes over it
        super().step()
        return loss

    def _step(self, weight: nn.Parameter, lr: float, decay: float) -> None:
        if weight.grad is None:
            return
        state = self.state[weight]
        if not state:  # by the names of AdamW, which looks for `step` when it loads a state
            state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(weight))
        average = state["exp_avg"]
        average.lerp_(weight.grad, 1 - self.momentum)
        update = orthogonalised(weight.grad.lerp(average, self.momentum).flatten(1))
        length = 0.2 * lr * max(update.shape) ** 0.5
        weight.mul_(1 - lr * decay).sub_(update.view(weight.shape), alpha=length)


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix with the singular vectors of `matrix` and singular values near 1, by five Newton–Schulz steps.

    Jordan (2024): X ← 3.4445 X − 4.775 (X Xᵀ) X + 2.0315 (X Xᵀ)² X, from X = matrix / ‖matrix‖.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.775, alpha=2.0315), x, beta=3.4445)
    return x.T if tall else x


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
    return SCHEDULES[settings.schedule](batch - start, end - start, settings.warmup)
