from __future__ import annotations

import pytest
import torch

from cortexgraph.compiler import compile_spec
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import TrainSettings
from cortexgraph.training.module import make_optimizer, parameter_groups

from .conftest import tiny_spec


def names_by_decay(spec: NetworkSpec) -> tuple[set[str], set[str]]:
    network = compile_spec(spec)
    name_of = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = parameter_groups(network, TrainSettings(weight_decay=0.01))
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0]
    decaying, other = ({name_of[id(p)] for p in group["params"]} for group in groups)
    return decaying, other


def test_norms_and_biases_do_not_decay(spec: NetworkSpec) -> None:
    decaying, other = names_by_decay(spec)
    assert decaying == {
        *(f"{c}.conv.weight" for c in ("image_to_V1", "V1_to_IT", "IT_to_V1", "V1_to_V1", "IT_to_IT")),
        "readout.linear.weight",
    }
    assert "readout.linear.bias" in other
    assert {name.split(".")[1] for name in other} == {"norm", "linear"}


def test_what_no_readout_reaches_is_left_out() -> None:
    network = compile_spec(tiny_spec(readout={"from": "IT", "classes": 3, "at": "last"}))
    frozen = {id(p) for p in network.parameters() if not p.requires_grad}
    assert frozen
    assert not frozen & {id(p) for group in parameter_groups(network, TrainSettings()) for p in group["params"]}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_norms_and_biases_have_a_rate_of_their_own(spec: NetworkSpec, optimizer: str) -> None:
    network = compile_spec(spec)
    chosen = make_optimizer(network, TrainSettings(optimizer=optimizer, lr=0.1, norm_lr_factor=64, momentum=0.7))  # type: ignore[arg-type]
    weights, other = chosen.param_groups
    assert (weights["lr"], other["lr"]) == (0.1, 6.4)
    assert all(p.ndim <= 1 for p in other["params"])
    assert weights.get("momentum", weights.get("betas", [None])[0]) == 0.7


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_decay_shrinks_weights_alone(spec: NetworkSpec, optimizer: str) -> None:
    network = compile_spec(spec)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    chosen = make_optimizer(network, TrainSettings(optimizer=optimizer, lr=0.1, weight_decay=0.5))  # type: ignore[arg-type]
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    chosen.step()
    # Nesterov's step is lr · (g + momentum · g) with g = decay · w; AdamW's is lr · decay · w.
    shrink = 1 - 0.1 * 0.5 * (1.9 if optimizer == "sgd" else 1.0)
    for name, parameter in network.named_parameters():
        factor = shrink if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), factor * before[name])
