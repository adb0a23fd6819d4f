"""Attributions are complete, equal a hand-written integration, and name everything that is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import cortexgraph as cg
from cortexgraph.errors import CompileError, DataError
from cortexgraph.network import CompiledNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS, POINTS = 4, 100


def spec(**time: Any) -> cg.NetworkSpec:
    return cg.NetworkSpec.model_validate(
        {
            "name": "tiny",
            "input": {"channels": 1, "size": 8},
            "areas": {
                "V1": {"channels": 3, "size": 8, "activation": "tanh"},
                "V2": {"channels": 4, "size": 4, "activation": "tanh"},
            },
            "connections": ["image -> V1 -> V2 -> V1", "V1 -> V1", "V2 -> V2"],
            "readout": {"from": "V2", "classes": 3, "at": [3, STEPS]},
            "time": {"steps": STEPS} | time,
        }
    )


@pytest.fixture(scope="module")
def network() -> CompiledNetwork:
    torch.manual_seed(0)
    return cg.compile(spec())


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def result(network: CompiledNetwork, images: Tensor) -> Any:
    return cg.attribute(network, images, [2, 0], step=4, points=POINTS)


def logit(network: CompiledNetwork, x: Tensor) -> Tensor:
    """At step 4, of class 2 for the first image and 0 for the second."""
    return network(x)[range(2), 1, [2, 0]]


def test_the_frames_sum_to_the_difference_from_the_baseline(
    network: CompiledNetwork, images: Tensor, result: Any
) -> None:
    expected = logit(network, images) - logit(network, torch.zeros_like(images))
    torch.testing.assert_close(result.difference, expected.detach(), rtol=0, atol=1e-5)
    torch.testing.assert_close(result.frames.flatten(1).sum(1), result.difference, rtol=0, atol=1e-4)
    assert result.gap.abs().max() < 1e-4


def test_the_areas_of_every_step_and_the_later_frames_sum_to_the_same(result: Any) -> None:
    sums = result.sums()
    assert list(sums) == ["image", "V1", "V2"]
    assert [*sums["V1"]] == [1, 2, 3]
    assert [*sums["V2"]] == [2, 3, 4]
    for step in range(1, STEPS + 1):
        total = sum(sums[area][step] for area in ("V1", "V2") if step in sums[area])  # V1 is not read after step 3
        total += sum(sums["image"][later] for later in range(step + 1, STEPS + 1))
        torch.testing.assert_close(total, result.difference, rtol=0, atol=1e-3)


def test_the_frames_equal_a_hand_written_integration(network: CompiledNetwork, images: Tensor, result: Any) -> None:
    video, total = images[:, None].repeat(1, STEPS, 1, 1, 1), 0
    for n in range(POINTS):  # the midpoint rule
        x = (video * ((n + 0.5) / POINTS)).requires_grad_()
        total = total + torch.autograd.grad(logit(network, x).sum(), x)[0] / POINTS
    torch.testing.assert_close(result.frames, video * total, rtol=0, atol=1e-4)


def test_a_state_before_the_readout_equals_integrated_gradients_of_the_readout_alone(
    network: CompiledNetwork, images: Tensor, result: Any
) -> None:
    """The last state goes through a linear readout, for which attribution is weight times change of the state."""
    states = [network.under(network.spec, {"V2": [4]})(x)[1]["V2", 4] for x in (images, torch.zeros_like(images))]
    (weight,) = (parameter for parameter in network.parameters() if parameter.shape == (3, 4))
    expected = (states[0] - states[1]) * weight[[2, 0]][:, :, None, None] / 16
    torch.testing.assert_close(result.states["V2", 4], expected.detach(), rtol=0, atol=1e-4)


def test_videos_baselines_readout_steps_and_the_predicted_class(network: CompiledNetwork, images: Tensor) -> None:
    video = torch.randn(2, STEPS, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    modes = network.training
    result = cg.attribute(network, video, step=2, areas=["V1"], baseline=images[0], points=64)
    read = network.under(network.spec.read_at((2,)))
    logits, start = (read(x)[:, 0].detach() for x in (video, images[:1, None].expand_as(video)))
    assert result.targets.tolist() == logits.argmax(1).tolist()
    torch.testing.assert_close(result.difference, (logits - start)[range(2), result.targets], rtol=0, atol=1e-5)
    torch.testing.assert_close(result.frames.flatten(1).sum(1), result.difference, rtol=0, atol=1e-4)
    assert result.frames.shape == (2, 2, 1, 8, 8)
    assert {*result.states} == {("V1", 1)}
    assert network.training == modes
    assert all(parameter.grad is None for parameter in network.parameters())


def test_everything_wrong_is_said_at_once(network: CompiledNetwork, images: Tensor) -> None:
    with pytest.raises(CompileError, match="there is no class `cats`") as error:
        cg.attribute(network, images, "cats", step=9, areas=["V1"], classes=["cat", "dog", "owl"])
    assert [finding.code for finding in error.value.diagnostics] == ["bad-target", "step-beyond-end"]
    with pytest.raises(CompileError, match="no area is called `V9`") as error:
        cg.attribute(network, images, 3, step=1, areas=["V9", "V1"])
    assert [finding.code for finding in error.value.diagnostics] == ["bad-target", "unknown-area", "silent-readout"]
    relay = cg.compile(spec(order=["V1", "V2", "V1"]))
    with pytest.raises(CompileError, match="no state of V1 reaches the readout at step 1"):
        cg.attribute(relay, images, step=1, areas=["V1"])
    with pytest.raises(CompileError, match="V2 first responds at step 2"):
        cg.attribute(network, images, step=1)
    with pytest.raises(CompileError, match="3 classes were given, but there are 2 images"):
        cg.attribute(network, images, [0, 1, 2])
    with pytest.raises(CompileError, match="`V1` was given, but the readouts are V2"):
        cg.attribute(network, images, readout="V1")
    with pytest.raises(DataError, match="one image is"):
        cg.attribute(network, images, baseline=torch.zeros(1, 5, 5))
