"""Optimisers and the schedule of their learning rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, optim

from cortexgraph.network import CompiledNetwork
from cortexgraph.training.schedules import SCHEDULES
from cortexgraph.training.settings import TrainSettings


def parameter_groups(network: CompiledNetwork, settings: TrainSettings) -> list[dict[str, Any]]:
    """Trainable parameters in groups: weights (matrices and kernels) decay; norms and biases do not.

    Norms and biases, those with at most one axis, have their own learning rate. Muon is not meant for classifiers, the
    last weights of readouts: they are a separate group, which learns at the rate of norms and biases. Kernels of
    transposed convolutions, with inputs first, are a separate group for Muon too.
    """
    lr, muon, decay = settings.lr, settings.optimizer == "muon", settings.weight_decay
    other = lr * settings.norm_lr_factor
    last = {name.split(".")[0]: id(p) for name, p in network.named_parameters() if p.ndim > 1}
    classifiers = {last.get(readout.identifier) for readout in network.unrolled.areas.readouts} if muon else set()
    transposed = {id(m.weight) for m in network.modules() if muon and isinstance(m, nn.ConvTranspose2d)} - classifiers
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    weights = [p for p in trainable if p.ndim > 1 and id(p) not in classifiers | transposed]
    rates = {"lr": lr, "weight_decay": decay, "muon": muon}
    groups: list[dict[str, Any]] = [
        {"params": weights, **rates},
        {"params": [p for p in trainable if id(p) in transposed], **rates, "output_axis": 1},
        {"params": [p for p in trainable if id(p) in classifiers], "lr": other, "weight_decay": decay},
        {"params": [p for p in trainable if p.ndim <= 1], "lr": other, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(network: CompiledNetwork, settings: TrainSettings) -> optim.Optimizer:
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
                if weight.grad is not None:
                    direction = self._direction(weight, weight.grad, group.get("output_axis", 0))
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(direction, alpha=group["lr"])
                    weight.grad = None  # AdamW passes over it
        super().step()
        return loss

    def _direction(self, weight: nn.Parameter, gradient: Tensor, output_axis: int) -> Tensor:
        state = self.state[weight]
        if not state:  # by the names of AdamW, which looks for `step` when it loads a state
            state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(weight))
        average = state["exp_avg"]
        average.lerp_(gradient, 1 - self.momentum)
        update = gradient.lerp(average, self.momentum).transpose(0, output_axis)  # [outputs, inputs, …]
        direction: Tensor = orthogonalised(update.flatten(1)).mul_(0.2 * max(update[0].numel(), len(update)) ** 0.5)
        return direction.view(update.shape).transpose(0, output_axis)


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
