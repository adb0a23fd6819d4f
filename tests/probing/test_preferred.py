"""The preferred stimulus of a linear unit is its kernel; what does not exist is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

import cortexgraph as cg
from cortexgraph.errors import CompileError, CortexGraphWarning
from cortexgraph.network import CompiledNetwork

pytestmark = pytest.mark.usefixtures("one_thread")


def one_area(**area: Any) -> CompiledNetwork:
    spec = cg.NetworkSpec.model_validate(
        {
            "name": "one",
            "input": {"channels": 3, "size": 9},
            "areas": {"A": {"channels": 2, "size": 9} | area},
            "connections": [{"from": "image", "to": "A", "kernel": 5}],
            "readout": {"from": "A", "classes": 2},
            "time": {"steps": 2},
        }
    )
    torch.manual_seed(0)
    return cg.compile(spec)


@pytest.fixture(scope="module")
def linear() -> CompiledNetwork:
    return one_area(body=[])


def kernels(network: CompiledNetwork) -> torch.Tensor:
    (weight,) = (p for p in network.parameters() if p.ndim == 4)
    return F.pad(weight.detach(), (2, 2, 2, 2))  # [unit, 3, 9, 9]: what the unit in the middle sees


def responses_to_grey(network: CompiledNetwork) -> torch.Tensor:
    return network.under(network.spec, {"A": [1]})(torch.zeros(1, 3, 9, 9))[1]["A", 1][0, :, 4, 4].detach()


def test_the_stimulus_of_a_linear_unit_is_its_kernel(linear: CompiledNetwork) -> None:
    found = cg.preferred_stimulus(linear, "A", [1, 0], step=1, smoothness=0, jitter=0, contrast=0.5, iterations=200)
    wanted = kernels(linear)[[1, 0]]
    assert F.cosine_similarity(found.stimuli.flatten(1), wanted.flatten(1)).min() > 0.99
    assert found.stimuli.square().mean((1, 2, 3)).sqrt().tolist() == pytest.approx([0.5, 0.5])
    most = 0.5 * (3 * 81) ** 0.5 * wanted.flatten(1).norm(dim=1)
    torch.testing.assert_close(found.responses - responses_to_grey(linear)[[1, 0]], most, rtol=0.01, atol=0)


def test_smooth_stimuli_lie_near_the_kernel_and_a_seed_repeats_them(linear: CompiledNetwork) -> None:
    one, again = (cg.preferred_stimulus(linear, "A", 0, iterations=60, jitter=0) for _ in range(2))
    assert torch.equal(one.stimuli, again.stimuli)
    assert F.cosine_similarity(one.stimuli.flatten(1), kernels(linear)[:1].flatten(1)) > 0.8


def test_a_video_is_driven_by_the_frame_that_the_unit_reads(linear: CompiledNetwork) -> None:
    found = cg.preferred_stimulus(linear, "A", 0, step=2, video=True, smoothness=0, jitter=0, iterations=200)
    assert found.stimuli.shape == (1, 2, 3, 9, 9)
    first, second = found.stimuli[0].flatten(1)
    assert first.norm() < 0.2 * second.norm()
    assert F.cosine_similarity(second, kernels(linear)[0].flatten(), 0) > 0.98


def test_a_unit_that_never_responds_is_named() -> None:
    network = one_area(activation="relu")
    with torch.no_grad():
        for parameter in network.image_to_A.parameters():
            parameter.fill_(-1 if parameter.ndim == 1 else 0)
    with pytest.warns(CortexGraphWarning, match="unit 1 of A did not respond at step 1"):
        cg.preferred_stimulus(network, "A", 1, step=1, iterations=1)


def test_everything_wrong_is_said_at_once(linear: CompiledNetwork) -> None:
    with pytest.raises(CompileError, match="unit 2, 7 of A was asked for, but it has 2 channels") as error:
        cg.preferred_stimulus(linear, "A", [2, 0, 7], step=9)
    assert [finding.code for finding in error.value.diagnostics] == ["unknown-unit", "step-beyond-end"]
    with pytest.raises(CompileError, match="no area is called `B`"):
        cg.preferred_stimulus(linear, "B")
    with pytest.raises(CompileError, match="no unit was named"):
        cg.preferred_stimulus(linear, "A", [])
    with pytest.raises(CompileError, match="it is centre or all"):
        cg.preferred_stimulus(linear, "A", over="middle")  # type: ignore[arg-type]
