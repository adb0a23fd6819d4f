from __future__ import annotations

import re
import weakref
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from cortexgraph.compiler import compile_spec, emit
from cortexgraph.spec import NetworkSpec, load
from tests.strategies import specs

SMALL = {f"areas.{area}.channels": 2 for area in ("V1", "V2", "V4", "IT")}


def deletions(source: str) -> dict[str, list[str]]:
    """The names that are deleted under each banner."""
    found: dict[str, list[str]] = {}
    banner = ""
    for line in source.splitlines():
        if "# ---- " in line:
            banner = line.split("# ---- ")[1].rstrip(" -")
        if banner and line.strip().startswith("del "):
            found[banner] = line.strip()[4:].split(", ")
    return found


def test_each_value_is_deleted_after_the_last_step_that_reads_it() -> None:
    spec = load("ventral", SMALL)
    assert deletions(emit(spec, steps=4, record={"V2": [3]})) == {
        "step 2": ["image_to_V1", "V1_1"],
        "step 3": ["V1_2", "V2_2", "V2_3"],
    }
    assert deletions(emit(spec, steps=4, passes=["prune"])) == {}
    delayed = deletions(emit(load("leaky_ms"), roll="never"))
    assert "V1_1" in delayed["step 4"]  # V1 reaches V4 after three more steps


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs())
def test_nothing_reads_a_value_after_it_is_deleted(spec: NetworkSpec) -> None:
    gone: set[str] = set()
    for line in emit(spec, roll="never").splitlines():
        code = line.split("  #")[0]
        if code.strip().startswith("del "):
            gone |= set(code.strip()[4:].strip("()").split(", "))
        else:
            assert not gone & set(re.findall(r"(?<![.\w\"])\w+", code)), line


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
