"""Compiled against interpreted: states, logits and gradients, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cortexgraph.pipeline import compile_spec, interpret, unroll
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


def compare(
    spec: NetworkSpec, *, passes: Sequence[str] | None = None, video: bool = False, training: bool = True
) -> float:
    """Assert that compiled and interpreted agree; the largest difference, relative above 1."""
    torch.manual_seed(0)
    module = randomise(compile_spec(spec, record=record_all(spec), passes=passes).double()).train(training)
    x = images(spec, video_steps=spec.time.steps if video else None)
    parameters = dict(module.named_parameters())
    leaves = {
        name: value.detach().clone().requires_grad_(name in parameters and parameters[name].requires_grad)
        for name, value in module.state_dict().items()
    }
    expected, expected_states = interpret(spec, leaves, x, training=training)
    found, states = module(x)
    assert states.keys() == expected_states.keys()
    worst = max(_difference(found, expected), *(_difference(states[key], expected_states[key]) for key in states))
    weight = torch.randn_like(expected)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    for name, parameter in parameters.items():
        if parameter.requires_grad:
            worst = max(worst, _difference(_gradient(parameter), _gradient(leaves[name])))
        else:  # the claim that no readout reaches it
            assert parameter.grad is None
    return worst


def _gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def _difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    torch.testing.assert_close(a, b, rtol=TOLERANCE, atol=TOLERANCE)
    return float(((a - b).abs() / (1 + b.abs())).max().detach())
