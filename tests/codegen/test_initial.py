"""How the convolutions of a connection start, as a spec asks for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cortexgraph.codegen.prelude import dirac_
from cortexgraph.compiler import compile_spec
from cortexgraph.spec import NetworkSpec


def weights(init: str | None, **connection: Any) -> dict[str, Tensor]:
    """The parameters of a lateral connection, whatever the areas and the readout start with."""
    torch.manual_seed(0)
    lateral = {"from": "A", "to": "A"} | connection | ({"init": init} if init else {})
    spec = NetworkSpec.model_validate(
        {
            "name": "initial",
            "input": {"size": 8},
            "areas": {"A": {"channels": 64, "size": 8}},
            "connections": ["image -> A", lateral],
            "readout": {"from": "A", "classes": 2},
            "time": {"steps": 3},
        }
    )
    state = compile_spec(spec).state_dict()
    return {name.removeprefix("A_to_A."): value for name, value in state.items() if name.startswith("A_to_A.")}


def test_identity_passes_each_channel_on() -> None:
    found = weights("identity")
    x = torch.randn(2, 64, 8, 8)
    torch.testing.assert_close(torch.nn.functional.conv2d(x, found["conv.weight"], found["conv.bias"], padding=1), x)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 8), (8, 3), (4, 4)])
def test_dirac_is_that_of_torch_for_as_many_outputs_as_there_are_inputs(inputs: int, outputs: int) -> None:
    weight = torch.randn(outputs, inputs, 3, 3)
    expected = weight.clone()
    torch.nn.init.dirac_(expected[:inputs])
    assert torch.equal(dirac_(weight.clone())[: min(inputs, outputs)], expected[: min(inputs, outputs)])
    assert torch.equal(dirac_(weight.clone())[inputs:], weight[inputs:])


def test_dirac_of_a_connection() -> None:
    assert torch.equal(weights("dirac")["conv.weight"], weights("identity")["conv.weight"])
    assert torch.equal(weights("dirac", groups=4)["conv.weight"], weights("identity", groups=4)["conv.weight"])


def test_he_has_the_variance_of_the_paper() -> None:
    weight = weights("he")["conv.weight"]
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_orthogonal_keeps_lengths() -> None:
    flat = weights("orthogonal")["conv.weight"].flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(64), rtol=1e-4, atol=1e-4)


def test_zeros_and_the_default_of_torch() -> None:
    assert not any(value.any() for value in weights("zeros").values())
    bound = 1 / (64 * 9) ** 0.5
    assert weights(None)["conv.weight"].abs().max().item() == pytest.approx(bound, rel=0.01)
    assert torch.equal(weights(None)["conv.weight"], weights("default")["conv.weight"])


def test_every_set_and_every_convolution_of_a_chain_starts_so() -> None:
    chain = ["depthwise", {"norm": "layer"}, {"residual": ["conv"]}, {"conv": 1}]
    found = weights("zeros", weights="per_step", transform=chain)
    convolutions = [name for name in found if "conv" in name or "depthwise" in name]
    assert len([name for name in convolutions if name.endswith("weight")]) == 9
    assert not any(found[name].any() for name in convolutions)
    assert all(bool((found[f"norm.{n}.weight"] == 1).all()) for n in range(3))
