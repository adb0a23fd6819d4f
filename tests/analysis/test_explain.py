from __future__ import annotations

import pytest
import torch
from torch import nn

from cortexgraph.analysis import explain
from cortexgraph.compiler import compile_spec
from cortexgraph.spec import load

UP_AND_DOWN = ["V1", "V2", "V4", "IT", "V4", "V2", "V1"]


@pytest.mark.parametrize(
    ("overrides", "passes"),
    [
        ({}, None),
        ({}, []),
        ({"time.order": "sequential"}, None),
        ({"time.order": UP_AND_DOWN}, None),
        ({"time.order": UP_AND_DOWN}, ["prune"]),
        ({"time.silence": "zero_input"}, None),
        ({"time.silence": "zero_input", "readout.at": "all"}, ["share", "fold"]),
        ({"defaults.area.norm": "batch", "time.order": "sequential"}, None),
    ],
)
def test_its_counts_are_the_multiply_adds_that_the_module_executes(
    overrides: dict[str, object], passes: list[str] | None
) -> None:
    """Counted by hooks on convolutions and linear layers, in batches of one and of five images."""
    spec = load("ventral", overrides)
    last = explain(spec, passes=passes).effects[-1]
    module = compile_spec(spec, passes=passes).eval()
    counts = dict.fromkeys((1, 5), 0)

    def count(layer: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        weight = layer.get_parameter("weight")
        counts[batch] += weight[0].numel() * made.numel()

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    for batch in counts:
        with torch.no_grad():
            module(torch.randn(batch, 3, 32, 32))
    assert counts == {batch: batch * last.macs + last.macs_once for batch in counts}


def test_it_says_what_each_pass_did() -> None:
    found = explain(load("ventral"), steps=100)
    assert [effect.name for effect in found.effects] == ["", "settle", "prune", "cse", "fold", "roll", "release"]
    assert found.effects[1].did.endswith("leaves out 6 unread ones with a norm")
    assert found.effects[2].did == "leaves out 6 silent, 0 unread updates"
    assert found.effects[5].did == "steps 5 to 97 as a loop"
    assert [effect.updates for effect in found.effects] == [394, 388, 388, 388, 388, 388, 388]
    assert [effect.name for effect in explain(load("ventral"), passes=["share"]).effects] == ["", "settle", "cse"]


def test_it_says_what_is_saved() -> None:
    found = explain(load("ventral"))
    assert found.saved == pytest.approx(1 - found.effects[-1].flops / found.effects[0].flops)
    assert 0.4 < found.saved < 0.5
