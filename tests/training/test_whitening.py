"""Whitened first convolutions: their outputs on training images have the identity as covariance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from cortexgraph.compiler import compile_spec
from cortexgraph.data import ImageData
from cortexgraph.errors import SpecError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import TrainSettings, load_run, starting, train
from cortexgraph.training.starting import whiten, whiten_

from .conftest import striped_data, tiny_spec

pytestmark = pytest.mark.usefixtures("no_pictures")


def whitened_spec(**changes: object) -> NetworkSpec:
    image = {"from": "image", "to": "V1", "init": "whitened", "kernel": 3} | changes
    return tiny_spec(connections=[image, "V1 -> IT -> V1", "V1 -> V1", "IT -> IT"])


@pytest.mark.parametrize(("outputs", "groups"), [(12, 1), (60, 1), (18, 3)])
def test_outputs_are_white(outputs: int, groups: int) -> None:
    images = torch.randn(200, 3, 10, 10) + torch.randn(200, 3, 1, 1) + 0.3  # channels and places correlate
    convolution = nn.Conv2d(3, outputs, 3, groups=groups)
    before = convolution.weight.detach().clone()
    whiten_(convolution, images)
    components = 27 // groups
    first = outputs // groups if groups > 1 else min(outputs, components)
    for part in convolution(images).transpose(0, 1).flatten(1).chunk(groups):
        white = part[: min(first, components)]
        torch.testing.assert_close(torch.cov(white.double()).float(), torch.eye(len(white)), atol=2e-3, rtol=0)
    if outputs == 60:
        assert torch.equal(convolution.weight[27:54], -convolution.weight[:27])
        assert torch.equal(convolution.weight[54:], before[54:])


def test_train_whitens_and_can_freeze(data: ImageData, settings: Callable[..., TrainSettings], tmp_path: Path) -> None:
    spec = whitened_spec()
    usual, network = compile_spec(whitened_spec(init="default")), compile_spec(spec)
    own = [[line for line in each.source.splitlines() if "edit th" not in line] for each in (usual, network)]
    assert own[0] == own[1]  # but for the digest of the spec
    whiten(network, data)
    expected = network.get_parameter("image_to_V1.conv.weight")
    train(spec, data, settings(epochs=1, freeze=("image -> V1",)), tmp_path / "run", quiet=True)
    kept = load_run(tmp_path / "run").weights["image_to_V1.conv.weight"]
    assert torch.equal(kept, expected)
    other = striped_data(train=data.test)
    whiten(network, other)
    assert not torch.equal(network.get_parameter("image_to_V1.conv.weight"), kept)


def test_images_of_all_classes_give_the_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in the order of their classes: the patches of every second one come from both."""
    data, network = striped_data(), compile_spec(whitened_spec())
    half = len(data.train) // 2
    pixels = torch.cat([data.train.images[:half], 255 - data.train.images[:half] // 3])  # type: ignore[union-attr]
    ordered = replace(data, train=replace(data.train, images=pixels))  # type: ignore[type-var]
    monkeypatch.setattr(starting, "IMAGES", half)
    whiten(network, ordered)
    expected = compile_spec(whitened_spec())
    whiten(expected, replace(ordered, train=ordered.train[range(0, 2 * half, 2)]))
    key = "image_to_V1.conv.weight"
    assert torch.equal(network.get_parameter(key), expected.get_parameter(key))
    whiten(expected, replace(ordered, train=ordered.train[range(half)]))
    assert not torch.allclose(network.get_parameter(key), expected.get_parameter(key), atol=0.01)


@pytest.mark.parametrize("changes", [{"from": "V1", "to": "IT"}, {"kernel": None, "transform": ["conv"]}])
def test_only_a_convolution_of_the_image(changes: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="it is for a single convolution of the image"):
        tiny_spec(connections=["image -> V1 -> IT", {"from": "image", "to": "V1", "init": "whitened"} | changes])
