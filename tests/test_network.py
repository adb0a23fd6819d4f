"""A compiled network is an ordinary module: it is saved, pickled, sent to other processes, inspected and edited."""

from __future__ import annotations

import copy
import inspect
import io
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
import torch
from torch import nn

import cortexgraph as cg
from cortexgraph.compiler import compile_spec
from cortexgraph.network import CompiledNetwork
from cortexgraph.program import CompileOptions
from cortexgraph.spec import load
from tests.codegen.test_blocks import blocks
from tests.oracle import randomise

SMALL = {f"areas.{area}.channels": 4 for area in ("V1", "V2", "V4", "IT")}
OPTIONS = {
    "record": {"V4": "all", "IT": (12,)},
    "passes": ("prune", "cse", "roll"),
    "roll": "always",
    "memory_format": "channels_last",
    "checkpoint": 2,
    "video": True,
}


def network() -> CompiledNetwork:
    torch.manual_seed(0)
    return randomise(compile_spec(load("ventral", SMALL), steps=12, **OPTIONS)).eval()  # type: ignore[arg-type, return-value]


def saved_and_loaded(network: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    loaded: nn.Module = torch.load(file, weights_only=False)
    return loaded


def pickled_and_loaded(network: nn.Module) -> nn.Module:
    loaded: nn.Module = pickle.loads(pickle.dumps(network))
    return loaded


@pytest.mark.parametrize("again", [saved_and_loaded, pickled_and_loaded, copy.deepcopy])
def test_a_network_that_was_saved_or_copied_is_the_same(again: Callable[[CompiledNetwork], CompiledNetwork]) -> None:
    one = network()
    two = again(one)
    assert (two.spec, two.options, two.source) == (one.spec, one.options, one.source)
    assert all(mine is not theirs for mine, theirs in zip(one.parameters(), two.parameters(), strict=True))
    for x in (torch.randn(2, 3, 32, 32), torch.randn(2, 12, 3, 32, 32)):  # the static program is compiled on first use
        with torch.no_grad():
            (found, states), (expected, expected_states) = two(x), one(x)
        assert torch.equal(found, expected)
        assert all(torch.equal(states[key], value) for key, value in expected_states.items())


def logits(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = network(x)[0]
    return result


def test_a_network_goes_to_a_process_that_starts_afresh() -> None:
    one, x = network(), torch.randn(2, 3, 32, 32)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(logits, (one, x))
    torch.testing.assert_close(found, logits(one, x))


KINDS: dict[str, Callable[[], CompiledNetwork]] = {
    "a loop": lambda: compile_spec(load("ventral", SMALL), steps=40, record={"IT": "all"}),
    "segments": lambda: compile_spec(load("ventral", SMALL), steps=40, checkpoint=4),
    "blocks": lambda: compile_spec(blocks(), record="all"),
    "sets per step": lambda: compile_spec(cg.unshare(load("ventral", SMALL)), record="all"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_local_classes_have_their_source_and_survive_copies(kind: str) -> None:
    one = KINDS[kind]().eval()
    emitted = {part for part in map(type, one.modules()) if part.__module__ == type(one).__module__}
    for part in emitted:
        assert inspect.getsource(part).startswith(f"class {part.__name__}(")
        assert inspect.getsource(part).rstrip() in one.source
    assert {"Chain", type(one).__name__} <= {part.__name__ for part in emitted}
    assert kind != "blocks" or "Block" in {part.__name__ for part in emitted}
    x = torch.randn(2, *one.unrolled.areas.image_shape)
    with torch.no_grad():
        expected = one(x)
        for again in (saved_and_loaded, pickled_and_loaded, copy.deepcopy):
            torch.testing.assert_close(again(one)(x), expected, rtol=0, atol=0)


def test_inspect_finds_the_emitted_lines() -> None:
    one = network()
    forward = inspect.getsource(type(one).__mro__[2].forward)
    assert "# ---- step 1 " in forward
    assert textwrap.dedent(forward) in textwrap.dedent(one.source) or forward in one.source


@pytest.mark.parametrize(
    "edit",
    [
        lambda network: cg.lesion(network, "IT -> V4"),
        cg.unshare,
        cg.share,
        lambda network: cg.share(cg.unshare(network)),
    ],
    ids=["lesion", "unshare", "share", "unshare and share"],
)
def test_an_edited_network_is_compiled_with_the_same_options(edit: Callable[[nn.Module], CompiledNetwork]) -> None:
    edited = edit(network())
    assert edited.options == CompileOptions(**OPTIONS)  # type: ignore[arg-type]
    assert edited.spec.time.steps == 12
    assert not edited.training
    logits, states = edited(torch.randn(2, 12, 3, 32, 32))
    assert logits.shape == (2, 10)
    assert {area for area, _ in states} == {"V4", "IT"}


BROKEN = """
from cortexgraph.compiler import emit
from cortexgraph.passes import PASSES
from cortexgraph.spec import load

assert False  # asserts are off
def backwards(graph):
    broken = graph.noted()
    broken.add_read(graph.readouts[0], next(graph.updates()))
    return broken

PASSES["prune"] = backwards
try:
    emit(load("ventral"))
except AssertionError as error:
    print(error)
"""


def test_graphs_are_verified_where_python_leaves_assertions_out() -> None:
    done = subprocess.run([sys.executable, "-O", "-c", BROKEN], capture_output=True, text=True, check=True)
    assert "before it is computed" in done.stdout


@pytest.mark.parametrize("again", [pickled_and_loaded, copy.deepcopy])
def test_a_copy_of_a_network_that_torch_compiled_runs_its_own_weights(
    again: Callable[[CompiledNetwork], CompiledNetwork],
) -> None:
    one = compile_spec(load("ventral", SMALL), steps=4)
    one.compile(backend="eager")  # as `backend="inductor"` does, without its minute of work
    x = torch.randn(2, 3, 32, 32)
    one(x)
    two = again(one)
    for parameter in two.parameters():
        nn.init.zeros_(parameter)
    assert two(x).abs().max() == 0
    assert one(x).abs().max() > 0
