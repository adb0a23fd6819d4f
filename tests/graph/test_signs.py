"""Signs of connections and areas (Dale's law), and weight norm, from the spec to the trained network."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cortexgraph.compiler import check, compile_spec
from cortexgraph.drawing import draw
from cortexgraph.graph import assemble, resolved
from cortexgraph.spec import NetworkSpec
from tests.ops.references import independent
from tests.oracle import compare


def network(connections: list[Any], **more: Any) -> NetworkSpec:
    """An excitatory area E, an inhibitory one I, and an area of both; `more` is set on every area."""
    signs: dict[str, Any] = {"E": {"sign": "excitatory"}, "I": {"sign": "inhibitory", "level": 0}, "B": {}}
    return NetworkSpec.model_validate(
        {
            "name": "signs",
            "input": {"channels": 2, "size": 6},
            "areas": {name: {"channels": 3, "size": 6} | sign | more for name, sign in signs.items()},
            "connections": connections,
            "readout": {"from": "B", "classes": 2},
            "time": {"steps": 3},
        }
    )


LOOP = ["image -> E -> B", "image -> I", "E -> I -> E", {"from": "I", "to": "B", "gain": 0.5}, "I -> I"]


@pytest.mark.parametrize("training", [True, False])
def test_signed_networks_equal_the_reference(training: bool) -> None:
    normed = {"from": "B", "to": "E", "transform": [{"conv": {"kernel": 1, "weight_norm": True}}, "relu", "depthwise"]}
    tied = {"from": "B", "to": "B", "kernel": 3, "weight_norm": True, "name": "owner", "weights": "per_step"}
    again = {"from": "B", "to": "B", "kernel": 3, "weight_norm": True, "dilation": 2, "tie": "owner", "delay": 1}
    turned = {"from": "E", "to": "I", "tie": {"connection": "I -> E", "transpose": True}}
    spec = network([*LOOP, normed | {"sign": "inhibitory"}, tied, again, turned], norm="group")
    with independent():
        found = compare(spec, training=training)
    assert found.gradients > 10


def test_a_network_by_hand_with_the_signs_written_out() -> None:
    torch.manual_seed(0)
    module = compile_spec(network(["image -> E -> B", "image -> I", {"from": "I", "to": "B", "gain": 0.5}]))
    state, x = module.state_dict(), torch.randn(2, 2, 6, 6)

    def conv(name: str, value: Tensor, sign: float = 0.0) -> Tensor:
        weight, bias = state[f"{name}.conv.weight"], state[f"{name}.conv.bias"]
        used = weight if sign == 0 else weight.abs()
        return (sign or 1.0) * functional.conv2d(value, used, bias, padding=1)

    e, i = conv("image_to_E", x).relu(), conv("image_to_I", x).relu()
    b = (conv("E_to_B", e, 1.0) + conv("I_to_B", i, -0.5)).relu()
    expected = functional.linear(b.mean((2, 3)), state["readout.linear.weight"], state["readout.linear.bias"])
    torch.testing.assert_close(module(x), expected)


def test_training_keeps_the_signs_and_moves_the_weights() -> None:
    torch.manual_seed(0)
    module = compile_spec(network(LOOP))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(module(torch.randn(4, 2, 6, 6)), torch.tensor([0, 1, 0, 1])).backward()
        optimizer.step()
    for part in ("E_to_B", "I_to_B", "I_to_E", "I_to_I"):
        assert not torch.equal(module.state_dict()[f"{part}.conv.weight"], before[f"{part}.conv.weight"])
        e, i = (torch.rand(1, 3, 6, 6) for _ in range(2))
        rise = module.get_submodule(part)(e + i) - module.get_submodule(part)(e)
        assert (rise >= 0).all() if part.startswith("E") else (rise <= 0).all()


def test_a_signed_network_is_pickled_resolved_and_drawn_as_inhibitory() -> None:
    spec = network(LOOP)
    module, x = compile_spec(spec).eval(), torch.randn(2, 2, 6, 6)
    assert torch.equal(pickle.loads(pickle.dumps(module))(x), module(x))
    explicit = resolved(assemble(spec))
    assert check(explicit) == []
    assert compile_spec(explicit).source.partition("class ")[2] == module.source.partition("class ")[2]
    assert "inhibitory" in draw(spec).source


def test_a_tie_needs_the_same_sign_on_both() -> None:
    spec = network(["image -> E -> I -> B", "E -> B", {"from": "B", "to": "B", "tie": "E -> B"}])
    (finding,) = check(spec)
    assert (finding.code, finding.found) == ("bad-tie", "the weights of one of them have one sign")
