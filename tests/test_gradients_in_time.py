"""Warm-up steps without gradient, and truncated back-propagation through time, against hand-written loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cortexgraph as cg
from cortexgraph.compiler import compile_spec
from cortexgraph.network import CompiledNetwork
from cortexgraph.spec import NetworkSpec
from tests.changes import TWO_AREAS, changed
from tests.oracle import compare

STEPS = 6


def spec_of(*, norm: str = "none", at: Any = "last", steps: int = STEPS, **time: Any) -> NetworkSpec:
    """Two areas with a loop between them; V1 sees the static image directly, and a copy of V1 rests from step 1 on."""
    areas = {"V0": {"channels": 3, "size": 16}} | TWO_AREAS["areas"]
    paths = ["image -> V0 -> V1 -> V2", "image -> V1", "V2 -> V1", "V2 -> V2"]
    defaults = {"area": {"norm": norm, "activation": "tanh"}, "connection": {"kernel": 3}}
    data = changed(TWO_AREAS, {("areas",): areas, ("connections",): paths, ("time",): {"steps": steps} | time})
    return NetworkSpec.model_validate(
        data | {"defaults": defaults, "readout": {"from": "V2", "classes": 2, "at": at}, "input": {"size": 16}}
    )


def by_hand(network: CompiledNetwork, x: Tensor, *, warmup: int = 0, tbptt: int = STEPS) -> list[Tensor]:
    """The logits of all steps at which V2 is live, by a plain loop over steps."""
    n: Any = network
    v0 = v1 = v2 = None
    logits = []
    for t in range(1, STEPS + 1):
        if t > warmup + 1 and (t - warmup - 1) % tbptt == 0:
            v0, v1, v2 = (None if state is None else state.detach() for state in (v0, v1, v2))
        with torch.set_grad_enabled(t > warmup):
            drives = [(n.image_to_V1, x), (n.V0_to_V1, v0), (n.V2_to_V1, v2)]
            u1 = sum(path(state) for path, state in drives if state is not None)
            u2 = [path(state) for path, state in ((n.V1_to_V2, v1), (n.V2_to_V2, v2)) if state is not None]
            v0, v1, v2 = n.V0(n.image_to_V0(x)), n.V1(u1), n.V2(sum(u2)) if u2 else None
            logits += [n.readout(v2)] if v2 is not None else []
    return logits


X = torch.randn(2, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def gradients(network: nn.Module, logits: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    (logits * torch.linspace(1, 2, logits.numel()).double().view_as(logits)).sum().backward()
    return {
        name: parameter.grad.clone() for name, parameter in network.named_parameters() if parameter.grad is not None
    }


@pytest.mark.parametrize(
    ("warmup", "tbptt", "at"), [(2, None, "last"), (0, 2, "last"), (0, 4, "all"), (1, 2, [2, 4, 6])]
)
def test_gradients_are_those_of_a_loop_written_by_hand(warmup: int, tbptt: int | None, at: Any) -> None:
    torch.manual_seed(0)
    network = compile_spec(spec_of(at=at, warmup=warmup), tbptt=tbptt).double()
    by_step = by_hand(network, X, warmup=warmup, tbptt=tbptt or STEPS)
    chosen = by_step if at == "all" else [by_step[t - 2] for t in ([STEPS] if at == "last" else at)]
    expected = chosen[0] if at == "last" else torch.stack(chosen, 1)
    exact, logits = gradients(network, expected), network(X)
    torch.testing.assert_close(logits, expected)
    found = gradients(network, logits)
    assert found.keys() == exact.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, exact[name])


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_warm_up_is_what_the_interpreter_says(norm: str) -> None:
    assert compare(spec_of(norm=norm, warmup=2), video=norm == "batch").worst < 1e-8


def test_cuts_stand_in_the_emitted_file() -> None:
    whole, rolled = (
        compile_spec(spec_of(warmup=2, steps=40), tbptt=3, roll=roll, video=True) for roll in ("never", "auto")
    )
    assert "with torch.no_grad():  # the warm-up" in rolled.source
    assert "V1_before.detach()" in rolled.source
    rolled.load_state_dict(whole.state_dict())
    x = torch.randn(1, 40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = gradients(whole, whole(x).double())
    for name, gradient in gradients(rolled, rolled(x).double()).items():
        torch.testing.assert_close(gradient, expected[name])


def test_a_stream_warms_up_in_its_first_steps_alone() -> None:
    network = compile_spec(spec_of(warmup=2))
    _, state = network(X.float(), steps=2, return_state=True)
    assert not any(value.requires_grad for value in state.values())
    _, state = network(X.float(), state, steps=1, return_state=True)
    assert all(value.requires_grad for value in state.areas.values())


def test_a_warm_up_leaves_steps_to_train() -> None:
    findings = cg.check(spec_of(warmup=6))
    assert [(finding.code, finding.found) for finding in findings] == [
        ("warmup-beyond-end", "the warm-up takes 6 steps")
    ]
    with pytest.raises(cg.CompileError, match=r"tbptt: 0 was given, but tbptt is a number of steps from 1"):
        compile_spec(spec_of(), tbptt=0)
