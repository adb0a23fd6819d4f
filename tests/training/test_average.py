"""The moving average of weights against one computed by hand, and where it goes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cortexgraph.compiler import compile_spec
from cortexgraph.data import ImageData
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import TrainSettings, evaluate, load_run, train
from cortexgraph.training.module import TrainingModule, moving_average

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_average_by_hand(spec: NetworkSpec) -> None:
    network = compile_spec(spec)
    averaged = moving_average(network, 0.6)
    by_hand: dict[str, torch.Tensor] = {}
    for count in range(8):
        for value in network.state_dict().values():
            value.copy_(torch.rand(value.shape) * 10)
        decay = min(0.6, (1 + count) / (10 + count))
        for name, value in network.state_dict().items():
            by_hand[name] = decay * by_hand[name] + (1 - decay) * value if count else value.clone()
        averaged.update_parameters(network)
    for name, value in averaged.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, by_hand[name])
    assert any(name.endswith("running_var") for name in by_hand)


def test_averaged_weights_are_evaluated_and_saved(
    spec: NetworkSpec, data: ImageData, settings: Callable[..., TrainSettings], tmp_path: Path, monkeypatch: Any
) -> None:
    kept: dict[str, torch.Tensor] = {}
    original = TrainingModule.on_train_batch_end

    def watched(self: TrainingModule, *arguments: object) -> None:
        if not kept:
            kept.update(copy.deepcopy(self.network.state_dict()))
        else:
            count = int(self.averaged.n_averaged)  # type: ignore[union-attr]
            decay = min(0.9, (1 + count) / (10 + count))
            for name, value in self.network.state_dict().items():
                kept[name] = decay * kept[name] + (1 - decay) * value
        original(self, *arguments)

    monkeypatch.setattr(TrainingModule, "on_train_batch_end", watched)
    summary = train(spec, data, settings(epochs=1, ema=0.9, lr=0.1), tmp_path / "run", quiet=True)
    saved = load_file(tmp_path / "run/weights.safetensors")
    last = load_run(tmp_path / "run", epoch="last").weights
    for name, value in saved.items():
        assert torch.equal(value, last[name])
        if value.is_floating_point():
            torch.testing.assert_close(value, kept[name])
    measured = evaluate(tmp_path / "run", data, device="cpu")
    assert {each.step: each.accuracy for each in measured.steps} == dict(summary.accuracy)
