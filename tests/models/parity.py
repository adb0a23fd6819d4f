"""A spec against the published equations, written by hand in plain torch with no code of cortexgraph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cortexgraph.compiler import compile_spec, interpret
from cortexgraph.spec import NetworkSpec
from tests.oracle import images, randomise, record_all, repeatable_dropout

__all__ = ["ByHand", "Difference", "States", "Weights", "compare_by_hand"]


@dataclass(frozen=True)
class Weights:
    """A state dict, and the operations that a person would write with it."""

    state: Mapping[str, Tensor]
    training: bool

    def conv(self, name: str, x: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
        weight = self.state[f"{name}.weight"]
        padding = weight.shape[-1] // 2 if padding is None else padding
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), stride, padding=padding)

    def linear(self, name: str, x: Tensor) -> Tensor:
        """A fully connected layer, with its result as channels of size 1 × 1."""
        y = F.linear(x.flatten(1), self.state[f"{name}.weight"], self.state.get(f"{name}.bias"))
        return y[:, :, None, None]

    def deconv(self, name: str, x: Tensor, stride: int = 2) -> Tensor:
        """The transpose of the convolution of this name, from its output back to its input."""
        weight = self.state[f"{name}.weight"]
        pad = weight.shape[-1] // 2
        return F.conv_transpose2d(x, weight, None, stride, pad, output_padding=stride - 1)

    def up(self, name: str, x: Tensor, factor: int = 2) -> Tensor:
        """A transposed convolution whose kernel is its stride."""
        return F.conv_transpose2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), stride=factor)

    def batch_norm(self, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
        mean, variance, weight, bias = (
            self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean.clone(), variance.clone(), weight, bias, training=self.training, eps=eps)

    def group_norm(self, name: str, x: Tensor, groups: int) -> Tensor:
        return F.group_norm(x, groups, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def classify(self, x: Tensor) -> Tensor:
        return F.linear(x, self.state["readout.linear.weight"], self.state["readout.linear.bias"])


States = dict[tuple[str, int], Tensor]
ByHand = Callable[[Weights, Tensor], tuple[Tensor, States]]


@dataclass(frozen=True)
class Difference:
    """How much was compared, and the largest difference, relative to the largest value of its tensor where above 1."""

    states: int
    gradients: int
    worst: float


def compare_by_hand(
    spec: NetworkSpec, by_hand: ByHand, *, training: bool, batch: int = 2, interpreted: bool = False
) -> Difference:
    """Assert that logits, every state and every gradient of the compiled network agree, and of the interpreted one."""
    torch.manual_seed(3)
    torch.set_default_dtype(torch.float64)  # fixed filter banks are made in it
    try:
        module = randomise(compile_spec(spec, record=record_all(spec))).train(training)
    finally:
        torch.set_default_dtype(torch.float32)
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    frozen = {name: p.detach() for name, p in module.named_parameters() if not p.requires_grad}
    state = {**buffers, **frozen, **parameters}
    if not training:  # evaluation has the last trained set in place of those that no readout depends on
        state |= {name: value for name, value in module.state_dict().items() if not torch.equal(value, state[name])}
    x = images(spec, batch)
    with repeatable_dropout():
        logits, states = by_hand(Weights(state, training), x)
        runs = [module(x), *([interpret(spec, state, x, training=training)] if interpreted else [])]
    expected = torch.autograd.grad(logits.square().sum(), [*parameters.values()])
    worst = 0.0
    for found, found_states in runs:
        assert isinstance(found, Tensor)
        assert found_states.keys() == states.keys()
        gradients = torch.autograd.grad(found.square().sum(), [*parameters.values()])
        pairs = [(found, logits), *((found_states[key], states[key]) for key in states)]
        for a, b in [*pairs, *zip(gradients, expected, strict=True)]:
            scale = max(1.0, float(b.detach().abs().max()))  # sums are rounded relative to their largest terms
            torch.testing.assert_close(a, b, rtol=0, atol=1e-9 * scale)
            worst = max(worst, float((a - b).detach().abs().max()) / scale)
    return Difference(len(states), len(expected), worst)
