"""Checkpointed training: the gradients, running averages and random draws of the plain network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from torch import nn

from cortexgraph.codegen.memory import MemoryBudget, read_checkpoint
from cortexgraph.compiler import compile_spec, emit
from cortexgraph.errors import CompileError
from cortexgraph.spec import NetworkSpec, load
from tests.oracle import copy_weights, images, randomise
from tests.strategies import specs

ROOT = Path(__file__).parents[2]


def small_ventral(**changes: Any) -> NetworkSpec:
    return load("ventral", {f"areas.{area}.channels": 4 for area in ("V1", "V2", "V4", "IT")} | changes)


def trained_once(network: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Logits, gradients and buffers of one step of training."""
    torch.manual_seed(3)  # of dropout
    found = network(x)
    logits = [found] if isinstance(found, torch.Tensor) else [found[name] for name in sorted(found)]
    sum(part.square().sum() for part in logits).backward()  # type: ignore[union-attr]
    grads = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {f"logits {n}": part.detach() for n, part in enumerate(logits)} | grads | dict(network.named_buffers())


def assert_equal(spec: NetworkSpec, checkpoint: Any, **options: Any) -> None:
    torch.manual_seed(0)
    plain = randomise(compile_spec(spec, roll="always", **options).double())
    again = compile_spec(spec, checkpoint=checkpoint, **options).double()
    copy_weights(plain, again)
    x = images(spec)
    expected, found = trained_once(plain, x), trained_once(again, x)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-8, atol=1e-8, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("checkpoint", ["sqrt", 1, 3, 1000, MemoryBudget(0.002, 3)])
@pytest.mark.parametrize("norm", [{"kind": "batch"}, {"kind": "batch", "per_step": True}], ids=["shared", "per step"])
def test_gradients_and_running_averages_are_those_of_the_plain_network(norm: dict[str, Any], checkpoint: Any) -> None:
    changes = {f"areas.{area}.norm": norm for area in ("V1", "V2", "V4", "IT")}
    assert_equal(small_ventral(**changes, **{"readout.at": "all"}), checkpoint, steps=24)


def test_dropout_draws_alike() -> None:
    assert_equal(small_ventral(**{"areas.V4.body": [{"dropout": 0.5}, "relu"]}), "sqrt", steps=24)


@pytest.mark.slow  # over 30 steps each, in float64
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(spec=specs(max_areas=3))
def test_random_specs(spec: NetworkSpec) -> None:
    try:
        source = emit(spec, steps=30, checkpoint="sqrt")
    except CompileError:  # no steady state within these steps
        assume(False)
    compile(source, "emitted", "exec")
    assert_equal(spec, "sqrt", steps=30)


def test_recorded_states_are_those_of_the_plain_network() -> None:
    spec = small_ventral()
    plain = compile_spec(spec, steps=24, record={"V4": "all"}, roll="always")
    again = compile_spec(spec, steps=24, record={"V4": "all"}, checkpoint=4)
    copy_weights(plain, again)
    x = images(spec).float()
    (_, expected), (logits, states) = plain(x), again(x)
    kept = {key: state.detach().clone() for key, state in states.items()}
    logits.sum().backward()
    assert list(states) == list(expected)
    for key, state in states.items():
        torch.testing.assert_close(state, expected[key])
        assert torch.equal(state, kept[key])  # backward has changed nothing


def test_the_source_pleases_the_linter_and_tells_what_is_computed_again(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(emit(small_ventral(), steps=100, checkpoint="sqrt"))
    (tmp_path / "b.py").write_text(
        emit(small_ventral(**{"readout.at": "all"}), steps=100, checkpoint=7, record={"V1": "all"})
    )
    assert "each as the one before; backward recomputes 11 at a time" in (tmp_path / "a.py").read_text()
    for command in (["format", "--check", "--diff"], ["check"]):
        words = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), str(tmp_path)]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checkpoint": "root"}, "'root' was given, but it is sqrt, a number"),
        ({"checkpoint": 0}, "0 was given, but it is sqrt"),
        ({"checkpoint": MemoryBudget(1e-9, 64)}, "the states take at least"),
        ({"checkpoint": "sqrt", "backend": "inductor"}, "torch.compile chooses itself"),
        ({"checkpoint": "sqrt", "passes": ["prune"]}, "no steady state"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile_spec(small_ventral(), steps=24, **options)


def test_a_budget_that_holds_everything_asks_for_no_checkpoint() -> None:
    assert "again(" not in emit(small_ventral(), steps=24, checkpoint=MemoryBudget(100, 1))
    assert read_checkpoint("4GB", 64) == MemoryBudget(4.0, 64)
    assert read_checkpoint("7", 64) == 7
    with pytest.raises(CompileError, match="'many' was given"):
        read_checkpoint("many", 64)
