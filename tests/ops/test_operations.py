"""Every operation: the constructor's module against the reference equation, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cortexgraph.ops import (
    ACTIVATIONS,
    NORMS,
    RESIZES,
    Bilinear,
    Conv,
    GlobalPool,
    Linear,
    Nearest,
    Operation,
    Pool,
    Registry,
)

CASES: list[tuple[Operation, tuple[int, int, int]]] = [
    (Conv(4, 6, (3, 3)), (4, 5, 7)),
    (Conv(4, 6, (3, 5), stride=(2, 1), bias=True), (4, 8, 6)),
    (Conv(4, 6, (3, 3), dilation=(2, 2), groups=2), (4, 7, 7)),
    (Conv(4, 4, (2, 2), stride=(2, 2)), (4, 8, 8)),
    (Conv(4, 4, (4, 4), stride=(2, 2), groups=4, bias=True), (4, 8, 8)),
    (Conv(3, 2, (1, 1)), (3, 2, 2)),
    *[(resize((6, 4)), (2, 3, 4)) for resize in (Nearest, Bilinear)],
    *[(resize((3, 4)), (2, 7, 8)) for resize in (Nearest, Bilinear, Pool)],
    (Nearest((5, 5)), (2, 3, 3)),
    *[(NORMS[name](4, False, None), (4, 3, 3)) for name in NORMS],
    (NORMS["group"](6, False, 3), (6, 3, 2)),
    *[(ACTIVATIONS[name], (3, 4, 4)) for name in ACTIVATIONS],
]


def _run(operation: Operation, shape: tuple[int, ...], training: bool) -> None:
    torch.manual_seed(0)
    module: nn.Module = eval(operation.constructor(), {"nn": nn}).double().train(training)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.3, 1.5)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    leaves = {name: state[name].requires_grad_() for name, _ in module.named_parameters()}
    x = torch.randn(3, *shape, dtype=torch.float64)
    x[0, 0] = 0  # silent units sit exactly at 0
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = operation.reference(b, state, training=training)
    found = module(a)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
    weight = torch.randn_like(expected)
    found_gradients = torch.autograd.grad((found * weight).sum(), [a, *module.parameters()])
    expected_gradients = torch.autograd.grad((expected * weight).sum(), [b, *leaves.values()])
    for one, other in zip(found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("operation", "shape"), CASES, ids=lambda case: getattr(case, "constructor", lambda: "")())
def test_constructor_equals_reference(operation: Operation, shape: tuple[int, int, int], training: bool) -> None:
    _run(operation, shape, training)


@pytest.mark.parametrize(("operation", "shape"), CASES, ids=lambda case: getattr(case, "constructor", lambda: "")())
def test_shapes_and_parameters_are_those_of_the_module(operation: Operation, shape: tuple[int, int, int]) -> None:
    module: nn.Module = eval(operation.constructor(), {"nn": nn})
    assert tuple(module(torch.randn(2, *shape)).shape[1:]) == operation.output(shape)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == dict(operation.parameters())


@pytest.mark.parametrize("mode", ["avg", "max", "flatten"])
def test_readout_pooling(mode: str) -> None:
    operation = GlobalPool(mode)  # type: ignore[arg-type]
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    module = nn.Sequential(eval(operation.constructor(), {"nn": nn}), nn.Flatten())
    torch.testing.assert_close(module(x), operation.reference(x, {}, training=False))
    assert operation.output((3, 4, 5)) == (module(x).shape[1], 1, 1)


def test_linear() -> None:
    operation = Linear(4, 3)
    module = eval(operation.constructor(), {"nn": nn}).double()
    x = torch.randn(2, 4, dtype=torch.float64)
    torch.testing.assert_close(module(x), operation.reference(x, module.state_dict(), training=False))
    assert operation.macs((4, 1, 1)) == 12


def test_macs_count_each_weight_at_each_output_place() -> None:
    conv = Conv(4, 6, (3, 3), stride=(2, 2), groups=2)
    assert conv.macs((4, 8, 8)) == 6 * 4 * 4 * (4 // 2) * 9


def test_every_resize_is_covered() -> None:
    assert {type(operation) for operation, _ in CASES} >= {RESIZES[name] for name in RESIZES}


def test_a_name_is_registered_once() -> None:
    registry: Registry[int] = Registry("number")
    registry.register("one")(1)
    with pytest.raises(ValueError, match="number `one` is registered already"):
        registry.register("one")(2)
    assert registry["one"] == 1
    assert list(registry) == ["one"]
