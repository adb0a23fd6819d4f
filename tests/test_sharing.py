"""Weights shared over time and per step: the same network, and the ordinary deep ResNet that it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, nn

import cortexgraph as cg
from tests.oracle import images, randomise
from tests.strategies import specs

BLOCK = ["norm", "relu", {"conv": 3}, "norm", "relu", {"conv": 3}]


def resnet(blocks: int, **norm: Any) -> cg.NetworkSpec:
    """A pre-activation ResNet of `blocks` blocks as a recurrent network of one state: h ← h + f(h)."""
    entry = {"norm": {"kind": "batch", **norm}}
    block = [entry if part == "norm" else part for part in BLOCK]
    return cg.NetworkSpec.model_validate(
        {
            "name": "resnet",
            "input": {"size": 8},
            "defaults": {"area": {"body": []}, "connection": {"bias": False}},
            "areas": {
                "h": {"channels": 6, "size": 8},
                "post": {"channels": 6, "size": 8, "body": [{"norm": "batch"}, "relu"]},
            },
            "connections": [
                {"from": "image", "to": "h", "active": "first"},
                {"from": "h", "to": "h", "transform": [{"residual": block}]},
                {"from": "h", "to": "post", "transform": []},
            ],
            "readout": {"from": "post", "classes": 5},
            "time": {"steps": blocks + 1, "order": "sequential"},
        }
    )


class Block(nn.Module):
    """x + conv(relu(bn(conv(relu(bn(x)))))), He et al. 2016."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.bn1(x)))
        return x + self.conv2(torch.relu(self.bn2(y)))


class ResNet(nn.Module):
    """An ordinary deep network, written by hand, every block with weights of its own."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(Block(6) for _ in range(blocks)))
        self.bn, self.fc = nn.BatchNorm2d(6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.blocks(self.stem(x))))
        return self.fc(x.mean((2, 3)))


def load_by_hand(network: nn.Module, blocks: int) -> ResNet:
    """The ordinary ResNet with the weights of a compiled network; update 1 of h is the image alone."""
    state, deep = network.state_dict(), ResNet(blocks)
    found = {"stem.weight": state["image_to_h.conv.0.weight"]}
    for n in range(blocks):
        for name, part in (("bn1", "norm"), ("conv1", "conv"), ("bn2", "norm_2"), ("conv2", "conv_2")):
            start = f"h_to_h.residual.body.{part}.{n + 1}."
            found |= {f"blocks.{n}.{name}.{key[len(start) :]}": state[key] for key in state if key.startswith(start)}
    found |= {f"bn.{key[len('post.norm.0.') :]}": state[key] for key in state if key.startswith(f"post.norm.{blocks}.")}
    found |= {f"fc.{key}": state[f"readout.linear.{key}"] for key in ("weight", "bias")}
    deep.load_state_dict(found)
    return deep.to(memory_format=torch.channels_last)  # the layout of compiled networks, for equality to the last bit


def trained(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("per_step", [False, True], ids=["shared norms", "norms per step"])
def test_a_shared_resnet_is_its_recurrent_network(per_step: bool) -> None:
    """Unshared, it is the ordinary deep ResNet to the last bit; trained apart and shared again, a recurrent one."""
    blocks = 5
    torch.manual_seed(0)
    recurrent = randomise(cg.compile(resnet(blocks, per_step=per_step))).eval()
    unshared = cg.unshare(recurrent)
    deep = load_by_hand(unshared, blocks).eval()
    x = torch.randn(4, 3, 8, 8).to(memory_format=torch.channels_last)
    expected = recurrent(x)
    assert torch.equal(unshared(x), expected)
    assert torch.equal(deep(x), expected)
    assert trained(unshared) == sum(p.numel() for p in deep.parameters())
    conv, norm = 2 * 6 * 6 * 9, 2 * 2 * 6
    rest = 3 * 6 * 9 + 2 * 6 + 6 * 5 + 5
    assert trained(recurrent) == rest + conv + norm * (blocks if per_step else 1)
    assert trained(deep) == rest + blocks * (conv + norm)


def test_the_deep_resnet_and_the_unshared_network_train_alike() -> None:
    """Also in training mode, where the norms take their statistics from the batch: logits and gradients."""
    torch.manual_seed(1)
    unshared = cg.unshare(randomise(cg.compile(resnet(3)))).double()
    deep = load_by_hand(unshared, 3).double()
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64).to(memory_format=torch.channels_last)
    for network in (unshared, deep):
        network.train()(x).square().sum().backward()
    assert torch.equal(unshared(x), deep(x))
    for n in range(3):
        found = unshared.get_parameter(f"h_to_h.residual.body.conv_2.{n + 1}.weight").grad
        expected = deep.get_parameter(f"blocks.{n}.conv2.weight").grad
        assert found is not None
        assert found.abs().max() > 0
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_sharing_takes_the_mean_the_first_or_the_last_set_that_a_readout_reaches() -> None:
    unshared = randomise(cg.unshare(cg.compile(resnet(3))))
    prefix = "h_to_h.residual.body.conv"
    sets = [unshared.state_dict()[f"{prefix}.{n}.weight"] for n in range(4)]
    for take, expected in (("first", sets[1]), ("last", sets[3]), ("mean", torch.stack(sets[1:]).mean(0))):
        shared = cg.share(unshared, take)
        assert torch.equal(shared.state_dict()[f"{prefix}.weight"], expected)
        assert cg.check(shared.spec) == []


def test_norms_may_stay_per_step() -> None:
    unshared = randomise(cg.unshare(cg.compile(resnet(3))))
    shared = cg.share(unshared, norms=False)
    names = set(shared.state_dict())
    assert {"h_to_h.residual.body.norm.3.weight", "post.norm.3.weight", "h_to_h.residual.body.conv.weight"} <= names
    assert torch.equal(shared.state_dict()["post.norm.3.bias"], unshared.state_dict()["post.norm.3.bias"])
    assert cg.share(shared).state_dict().keys() == cg.share(unshared).state_dict().keys()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs())
def test_any_network_computes_the_same_unshared_and_comes_back(spec: cg.NetworkSpec) -> None:
    torch.manual_seed(0)
    network = cg.share(randomise(cg.compile(spec).double()).eval(), "last")
    unshared = cg.unshare(network)
    x = images(spec)
    for found, expected in ((unshared(x), network(x)), (cg.share(unshared, "first")(x), network(x))):
        pairs = zip(found.values(), expected.values(), strict=True) if isinstance(found, dict) else [(found, expected)]
        assert all(torch.equal(a, b) for a, b in pairs)
    assert cg.share(unshared, "last").spec == network.spec
    back = cg.share(unshared, "last").state_dict()
    assert all(torch.equal(back[name], tensor) for name, tensor in network.state_dict().items())


def test_a_spec_from_a_file_keeps_its_lines() -> None:
    spec = cg.load("ventral")
    assert cg.unshare(spec).origin.file == spec.origin.file
    assert cg.share(cg.unshare(spec), norms=False) == spec


@pytest.mark.parametrize("default", [{"norm": "batch"}, {"body": ["relu", {"norm": "group"}]}], ids=["norm", "body"])
def test_norms_of_the_defaults_stay_per_step_too(default: dict[str, Any]) -> None:
    data = cg.load("ventral").model_dump(mode="json", by_alias=True, exclude_unset=True)
    spec = cg.NetworkSpec.model_validate(data | {"defaults": {"area": default}})
    unshared = cg.unshare(spec)
    kept = {name for name in cg.compile(unshared).state_dict() if "norm" in name}
    assert {name for name in cg.compile(cg.share(unshared, norms=False)).state_dict() if "norm" in name} == kept
    assert cg.share(unshared) == spec


def test_an_unknown_choice_of_weights() -> None:
    with pytest.raises(cg.CompileError, match=r"'median' was given, but `mean`, `first` and `last` are known"):
        cg.share(cg.load("ventral"), "median")
