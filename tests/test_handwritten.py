"""The ventral spec against a loop written by hand, with no code of cortexgraph but the parameters' names."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cortexgraph.compiler import compile_spec, interpret
from cortexgraph.spec import load
from tests.oracle import images, randomise

HIERARCHY = ("V1", "V2", "V4", "IT")


def ventral_by_hand(state: dict[str, Tensor], x: Tensor, steps: int) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
    """Simultaneous order: every area reads its neighbours as they stood one step before."""
    h: dict[str, Tensor] = {}
    updates = dict.fromkeys(HIERARCHY, 0)
    recorded = {}
    for t in range(1, steps + 1):
        new: dict[str, Tensor] = {}
        for level, area in enumerate(HIERARCHY):
            u = []
            if level == 0:
                u.append(F.conv2d(x, state["image_to_V1.conv.weight"], padding=2))
            elif (below := HIERARCHY[level - 1]) in h:
                u.append(F.conv2d(h[below], state[f"{below}_to_{area}.conv.weight"], stride=2, padding=1))
            if area in h:
                u.append(F.conv2d(h[area], state[f"{area}_to_{area}.conv.weight"], padding=1))
            if level < 3 and (above := HIERARCHY[level + 1]) in h:
                weight = state[f"{above}_to_{area}.conv.weight"]
                u.append(F.interpolate(F.conv2d(h[above], weight, padding=weight.shape[-1] // 2), scale_factor=2))
            if not u:
                continue
            prefix = f"{area}.norm.{updates[area]}."
            updates[area] += 1
            normed = F.batch_norm(
                sum(u[1:], u[0]),
                state[prefix + "running_mean"],
                state[prefix + "running_var"],
                state[prefix + "weight"],
                state[prefix + "bias"],
            )
            new[area] = recorded[area, t] = F.relu(normed)
        h |= new
    logits = F.linear(h["IT"].mean((2, 3)), state["readout.linear.weight"], state["readout.linear.bias"])
    return logits, recorded


@pytest.mark.parametrize("steps", [4, 6])
def test_ventral_by_hand_compiled_and_interpreted_agree(steps: int) -> None:
    torch.manual_seed(1)
    spec = load("ventral")
    module = randomise(compile_spec(spec, steps=steps, record=dict.fromkeys(HIERARCHY, "all")).double()).eval()
    x = images(spec, batch=2)
    parameters = [p for p in module.parameters() if p.requires_grad]
    state = {**module.state_dict(), **{name: p for name, p in module.named_parameters() if p.requires_grad}}

    logits, states = ventral_by_hand(state, x, steps)
    compiled, compiled_states = module(x)
    interpreted, interpreted_states = interpret(spec, state, x, steps=steps)

    assert states.keys() == compiled_states.keys() == interpreted_states.keys()
    torch.testing.assert_close(compiled, logits, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(interpreted, logits, rtol=1e-9, atol=1e-9)
    for key, value in states.items():
        torch.testing.assert_close(compiled_states[key], value, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(interpreted_states[key], value, rtol=1e-9, atol=1e-9)
    gradients = [torch.autograd.grad(result.square().sum(), parameters) for result in (logits, compiled, interpreted)]
    for by_hand, by_module, by_interpreter in zip(*gradients, strict=True):
        torch.testing.assert_close(by_module, by_hand, rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(by_interpreter, by_hand, rtol=1e-7, atol=1e-9)
