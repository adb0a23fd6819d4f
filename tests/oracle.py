"""Compiled against interpreted: states, logits, gradients and running averages, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cortexgraph.pipeline import Roll, compile_spec, interpret, unroll
from cortexgraph.spec import NetworkSpec

TOLERANCE = 1e-8
"""Absolute or relative, in float64; the promise is 1e-5."""


def images(spec: NetworkSpec, batch: int = 3, video_steps: int | None = None) -> Tensor:
    size = spec.input.size if isinstance(spec.input.size, tuple) else (spec.input.size, spec.input.size)
    frames = () if video_steps is None else (video_steps,)
    return torch.randn(batch, *frames, spec.input.channels, *size, dtype=torch.float64)


def randomise(module: nn.Module) -> nn.Module:
    """Random parameters and running statistics, so that no term is 0 or 1 by initialisation."""
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.2, 1.2) if tensor.ndim == 1 else tensor.normal_(0, 0.2)
    return module


def record_all(spec: NetworkSpec) -> dict[str, str]:
    """Everything that is ever live."""
    graph = unroll(spec)
    return {name: "all" for name in spec.areas if graph.live_steps(name)}


@contextmanager
def repeatable_dropout() -> Iterator[None]:
    """Dropout whose draw depends on the values alone, so that compiled and interpreted draw alike."""

    def drop(x: Tensor, p: float, training: bool, inplace: bool = False) -> Tensor:
        kept = (997 * x.detach()).sin().abs() >= p
        return x * kept / (1 - p) if training else x

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "dropout", drop)
        patch.setattr(functional, "dropout2d", drop)
        yield


@dataclass(frozen=True)
class Comparison:
    """How many states, gradients and running averages agreed, and the largest difference, relative above 1."""

    states: int
    gradients: int
    averages: int
    worst: float


def compare(
    spec: NetworkSpec,
    *,
    passes: Sequence[str] | None = None,
    video: bool = False,
    training: bool = True,
    batch: int = 3,
    record: bool = True,
    roll: Roll = "never",
) -> Comparison:
    """Assert that compiled and interpreted agree on every state (if recorded), logit, gradient and running average.

    `passes` are names out of `cortexgraph.passes.PASSES`: all of them by default. `roll` is as in `cg.compile`.
    """
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)  # fixed filter banks are made in it
    try:
        recorded = record_all(spec) if record else None
        module = randomise(compile_spec(spec, record=recorded, passes=passes, roll=roll)).train(training)
    finally:
        torch.set_default_dtype(torch.float32)
    x = images(spec, batch, video_steps=spec.time.steps if video else None)
    parameters = dict(module.named_parameters())
    leaves = {
        name: value.detach().clone().requires_grad_(name in parameters and parameters[name].requires_grad)
        for name, value in module.state_dict().items()
    }
    with repeatable_dropout():
        averages: dict[str, Tensor] = {}
        expected, expected_states = interpret(spec, leaves, x, training=training, averages=averages)
        found, states = module(x) if record else (module(x), {})
    assert states.keys() == (expected_states.keys() if record else set())
    pairs = list(zip(_by_readout(found), _by_readout(expected), strict=True))
    differences = [_difference(states[key], expected_states[key]) for key in states]
    differences += [_difference(a, b) for a, b in pairs]
    buffers = {name: value for name, value in module.state_dict().items() if name not in parameters}
    differences += [_difference(buffers[name], averages.get(name, leaves[name])) for name in buffers]
    worst = max(differences)
    weights = [torch.randn_like(b) for _, b in pairs]
    sum((a * weight).sum() for (a, _), weight in zip(pairs, weights, strict=True)).backward()
    sum((b * weight).sum() for (_, b), weight in zip(pairs, weights, strict=True)).backward()
    for name, parameter in parameters.items():
        if parameter.requires_grad:
            worst = max(worst, _difference(_gradient(parameter), _gradient(leaves[name])))
        else:  # the claim that no readout reaches it
            assert parameter.grad is None
    return Comparison(len(states), sum(p.requires_grad for p in parameters.values()), len(averages), worst)


def _by_readout(logits: Tensor | dict[str, Tensor]) -> list[Tensor]:
    return [logits] if isinstance(logits, Tensor) else [logits[name] for name in sorted(logits)]


def _gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def _difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    torch.testing.assert_close(a, b, rtol=TOLERANCE, atol=TOLERANCE)
    return float(((a - b).abs() / (1 + b.abs())).max().detach())
