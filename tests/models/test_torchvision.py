"""AlexNet and ResNets at published size equal torchvision's with the same weights, in 64 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch
import torchvision.models
from torch import nn

from cortexgraph.compiler import compile_spec
from cortexgraph.spec import load


def copied(theirs: nn.Module, ours: nn.Module) -> None:
    """Their tensors under our names: both list layers in the order in which they run, but for our first convolution."""
    values = list(theirs.state_dict().values())
    names = in_order(ours.state_dict())
    assert [tuple(value.shape) for value in values] == [tuple(ours.state_dict()[name].shape) for name in names]
    ours.load_state_dict(dict(zip(names, values, strict=True)))


def in_order(names: Iterable[str]) -> list[str]:
    """Our names in the order of torchvision's: what the image enters first, before the norm of its area."""
    return sorted(names, key=lambda name: not name.startswith("image_to"))


CASES = [
    pytest.param("alexnet_imagenet", torchvision.models.alexnet, marks=pytest.mark.slow),  # 6 s: 61 M parameters
    pytest.param("resnet18_imagenet", torchvision.models.resnet18),
    pytest.param("resnet50_imagenet", torchvision.models.resnet50, marks=pytest.mark.slow),  # 10 s
]


@pytest.mark.parametrize(("name", "make"), CASES)
def test_the_spec_equals_torchvision(
    name: str, make: Callable[..., nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    theirs, ours = make(weights=None).double().eval(), compile_spec(load(name)).double().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # away from where running statistics start
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    copied(theirs, ours)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    x = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    expected, found = theirs(x), ours(x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    worst = float(((found - expected).abs() / (1 + expected.abs())).max().detach())
    parameters = dict(ours.named_parameters())
    ours_gradients = torch.autograd.grad(found.square().sum(), [parameters[name] for name in in_order(parameters)])
    gradients = torch.autograd.grad(expected.square().sum(), [*theirs.parameters()])
    furthest = 0.0
    for a, b in zip(ours_gradients, gradients, strict=True):
        furthest = max(furthest, float((a - b).abs().max() / (b.abs().max() + 1e-12)))
    with capsys.disabled():
        print(f"\n{name}: logits {worst:.1e}, gradients {furthest:.1e}")
    assert furthest < 1e-8  # of the largest of each tensor
