from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from cortexgraph.compiler import compile_spec, unroll
from cortexgraph.passes import prune, release, share
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.unrolling import Node
from tests.strategies import specs

SMALL = {f"areas.{area}.channels": 2 for area in ("V1", "V2", "V4", "IT")}


def test_each_value_is_let_go_after_the_last_step_that_reads_it() -> None:
    graph = release(prune(unroll(load("ventral"), steps=4, record={"V2": [3]})))
    assert {str(node): graph.last_read(node) for node in graph.updates()} == {
        "V1@1": 2,
        "V1@2": 3,
        "V2@2": 3,
        "V2@3": 3,
        "V4@3": 4,
        "IT@4": 4,
    }
    delayed = release(unroll(load("leaky_ms")))
    assert delayed.last_read(Node("update", "V1", 1, 0)) == 4  # V1 reaches V4 after three more steps


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs())
def test_nothing_reads_a_value_later(spec: NetworkSpec) -> None:
    graph = release(share(unroll(spec)))
    for source, reader in graph.edges:
        if graph.live(source) and graph.live(reader) and source.kind != "image":
            assert (graph.last_read(source) or 0) >= reader.step


def alive(steps: int, **options: Any) -> int:
    """The largest number of states of V1 that are held at once in a forward pass, for an image or a video."""
    module = compile_spec(load("ventral", SMALL | {"readout.at": "all"}), steps=steps, **options).eval()
    states: list[weakref.ref[torch.Tensor]] = []
    held = []

    def note(_: object, __: object, state: torch.Tensor) -> None:
        states.append(weakref.ref(state))
        held.append(sum(ref() is not None for ref in states))

    module.get_submodule("V1").register_forward_hook(note)
    with torch.no_grad():
        module(torch.randn(2, steps, 3, 32, 32))
    return max(held)


@pytest.mark.parametrize("roll", ["never", "always"])
def test_the_states_held_at_once_do_not_grow_with_the_number_of_steps(roll: str) -> None:
    assert alive(12, roll=roll) == alive(40, roll=roll) <= 3
    assert alive(12, roll="never", passes=["prune"]) == 9
