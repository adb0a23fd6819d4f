"""Released checkpoints under the names of a spec: the same outputs as the released model's module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision.models
from torch import Tensor, nn

from cortexgraph.compiler import compile_spec
from cortexgraph.released import Weights, read_weights, write_weights
from tests.released import modules
from tests.released.modules import randomised

slow = pytest.mark.slow
MODELS = [
    pytest.param("cornet_z_imagenet", modules.CORnetZ, id="cornet_z"),
    pytest.param("cornet_r_imagenet", lambda: modules.CORnetR(False), id="cornet_r", marks=slow),
    pytest.param("cornet_rt_imagenet", lambda: modules.CORnetR(True), id="cornet_rt"),
    pytest.param("cornet_s_imagenet", modules.CORnetS, id="cornet_s", marks=slow),  # 53 M parameters
    pytest.param("resnet18_imagenet", torchvision.models.resnet18, id="resnet18"),
    pytest.param("resnet50_imagenet", torchvision.models.resnet50, id="resnet50", marks=slow),
    pytest.param("alexnet_imagenet", torchvision.models.alexnet, id="alexnet", marks=slow),
]


def outputs(weights: Weights, x: Tensor) -> Tensor:
    network = compile_spec(weights.spec)
    network.load_state_dict(weights.state)
    with torch.no_grad():
        logits = network.eval()(x)
    assert isinstance(logits, Tensor)
    return logits


@pytest.mark.parametrize(("spec", "make"), MODELS)
def test_a_released_checkpoint_gives_the_outputs_of_its_module(
    spec: str, make: Callable[[], nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    theirs = randomised(make())
    state = {f"module.{key}": value for key, value in theirs.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "released.pth")
    weights = read_weights(tmp_path / "released.pth", spec)
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = theirs(x)
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(outputs(weights, x), expected, rtol=0, atol=1e-5 * scale)
    assert weights.images.mean == (0.485, 0.456, 0.406)
    assert (weights.classes[0], len(weights.classes)) == ("tench", 1000)
    write_weights(weights, tmp_path / "ours.safetensors")
    again = read_weights(tmp_path / "ours.safetensors")
    assert (again.spec, again.images, again.classes) == (weights.spec, weights.images, weights.classes)
    assert all(torch.equal(again.state[name], value) for name, value in weights.state.items())
