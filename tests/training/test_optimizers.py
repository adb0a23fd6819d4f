from __future__ import annotations

from typing import Any

import pytest
import torch

from cortexgraph.compiler import compile_spec
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import TrainSettings
from cortexgraph.training.optimizers import Muon, make_optimizer, parameter_groups

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


# ---- Muon ------------------------------------------------------------------------


def newton_schulz(gradient: torch.Tensor) -> torch.Tensor:
    """Five steps of Jordan's quintic iteration, written out anew."""
    x = gradient
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has Muon from 2.9")
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_is_torchs_in_float32(layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch) -> None:
    upward = {"from": "IT", "to": "V1", "transform": [{"conv_transpose": {"kernel": 2}}]}
    spec = tiny_spec(connections=["image -> V1 -> IT", "V1 -> V1", upward])
    network = compile_spec(spec).to(memory_format=layout)
    chosen = make_optimizer(network, TrainSettings(optimizer="muon", lr=0.05, weight_decay=0.2, momentum=0.8))
    assert isinstance(chosen, Muon)
    kernels = {name: p for name, p in network.named_parameters() if p.ndim == 4}
    assert kernels["IT_to_V1.conv_transpose.weight"].shape == (6, 4, 2, 2)  # torch keeps it as inputs × outputs

    def matrix_of(name: str, kernel: torch.Tensor) -> torch.Tensor:
        outputs_first = kernel.permute(1, 0, 2, 3) if "transpose" in name else kernel
        return outputs_first.detach().flatten(1).clone()

    matrices = [torch.nn.Parameter(matrix_of(*each)) for each in kernels.items()]
    torchs = torch.optim.Muon(matrices, 0.05, 0.2, 0.8, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for parameter in network.parameters():
            parameter.grad = torch.randn_like(parameter)
        for matrix, (name, kernel) in zip(matrices, kernels.items(), strict=True):
            assert kernel.grad is not None
            matrix.grad = matrix_of(name, kernel.grad)
        chosen.step()
        with monkeypatch.context() as patch:
            patch.setattr(torch, "bfloat16", torch.float32)  # the type in which torch orthogonalises
            patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.float)  # as torch 2.14 and earlier write it
            torchs.step()  # type: ignore[no-untyped-call]
    for matrix, (name, kernel) in zip(matrices, kernels.items(), strict=True):
        torch.testing.assert_close(matrix_of(name, kernel), matrix.detach())
        assert kernel.is_contiguous(memory_format=layout)


def test_muon_is_newton_schulz(spec: NetworkSpec) -> None:
    """One step goes where a hand-written iteration says, with the length that AdamW's would have."""
    network = compile_spec(spec)
    before = {name: p.detach().clone() for name, p in network.named_parameters() if p.ndim == 4}
    chosen = make_optimizer(network, TrainSettings(optimizer="muon", lr=0.05, weight_decay=0))
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    expected = {name: newton_schulz(p.grad.flatten(1)) for name, p in network.named_parameters() if name in before}  # type: ignore[union-attr]
    chosen.step()
    for name, direction in expected.items():
        step = (before[name] - network.get_parameter(name).detach()).flatten(1)
        assert torch.nn.functional.cosine_similarity(step.flatten(), direction.flatten(), 0) > 0.99
        size = 0.05 * 0.2 * max(direction.shape) ** 0.5
        torch.testing.assert_close(step.norm(), size * direction.norm(), rtol=0.1, atol=0)
        assert float(torch.linalg.svdvals(step / size).min()) > 0.3
        assert float(torch.linalg.svdvals(step / size).max()) < 1.6


@pytest.mark.parametrize(
    ("readout", "classifier"),
    [
        ({}, "readout.linear.weight"),
        ({"transform": [{"linear": 8}, "relu", "linear"]}, "readout.linear_2.weight"),
        ({"pool": "places"}, "readout.conv.weight"),
        ({"pool": "places", "transform": [{"conv": 3}, "relu", {"conv": 1}]}, "readout.conv_2.weight"),
        ({"pool": "places", "transform": ["conv_transpose"]}, "readout.conv_transpose.weight"),
        ({"pool": "places", "transform": [], "classes": 6}, None),
    ],
)
def test_muon_leaves_norms_biases_and_classifiers_to_adamw(readout: dict[str, Any], classifier: str | None) -> None:
    spec = tiny_spec(readout={"from": "IT", "classes": 3, "at": "all", **readout})
    one, other = compile_spec(spec), compile_spec(spec)
    assert classifier is None or classifier in one.state_dict()
    other.load_state_dict(one.state_dict())
    muon = make_optimizer(one, TrainSettings(optimizer="muon", lr=0.05, norm_lr_factor=2))
    adamw = make_optimizer(other, TrainSettings(optimizer="adamw", lr=0.1))
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        p.grad = torch.randn_like(p)
        q.grad = p.grad.clone()
    muon.step()
    adamw.step()
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q) == (p.ndim < 2 or name == classifier), name
