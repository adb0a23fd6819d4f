"""Start states: an area that has one is live before step 1; by hand, and against the interpreter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cortexgraph.compiler import check, compile_spec, unroll
from cortexgraph.graph import assemble, resolved
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling.cost import total_parameters, trained_parameters
from tests.models.parity import States, Weights, compare_by_hand
from tests.oracle import compare


def network(connections: list[Any], *, areas: dict[str, Any] | None = None, **more: Any) -> NetworkSpec:
    declared: dict[str, Any] = areas or {"A": {}, "B": {"start": "learned"}}
    spec = {
        "name": "starts",
        "input": {"channels": 2, "size": 8},
        "areas": {name: {"channels": 3, "size": 4} | area for name, area in declared.items()},
        "connections": connections,
        "readout": {"from": "B", "classes": 2, "at": more.pop("at", "all")},
        "time": {"steps": 4} | more,
    }
    return NetworkSpec.model_validate(spec)


BACK = {"from": "B", "to": "A", "kernel": 3}


@pytest.mark.parametrize("training", [True, False])
def test_a_learned_start_state_is_read_before_the_area_is_first_updated(training: bool) -> None:
    """Feedback reaches A at steps 1 and 2 from B's state before step 1, also with a delay."""

    def by_hand(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        start = w.state["B_start.value"].reshape(1, -1, 1, 1).expand(len(x), -1, 4, 4)
        states: States = {("B", -1): start, ("B", 0): start}
        logits = []
        for t in range(1, 5):
            back = w.conv("B_to_A.conv", states["B", t - 1]) + w.conv("B_to_A_2.conv", states["B", t - 2])
            states["A", t] = F.relu(w.conv("image_to_A.conv", x, stride=2) + back)
            drive = w.conv("A_to_B.conv", states["A", t - 1]) if t > 1 else torch.zeros_like(back)
            states["B", t] = 0.5 * states["B", t - 1] + F.relu(drive)
            logits.append(w.classify(states["B", t].mean((2, 3))))
        del states["B", 0], states["B", -1]
        return torch.stack(logits, 1), states

    areas = {"A": {}, "B": {"start": "learned", "cell": {"leaky": 0.5}}}
    spec = network(["image -> A -> B", BACK, BACK | {"delay": 1}], areas=areas)
    assert compare_by_hand(spec, by_hand, training=training, interpreted=True).worst < 1e-9


def test_a_memoryless_area_that_nothing_drives_falls_silent_after_its_start_state() -> None:
    graph = unroll(network(["image -> A -> B", BACK]))
    assert graph.live_steps("B") == (2, 3, 4)
    reads = {str(node): sorted(str(source) for _, source in graph.terms(node)) for node in graph.live_updates("A")}
    assert reads == {
        "A@1": ["B@0", "image@1"],
        "A@2": ["image@2"],
        "A@3": ["B@2", "image@3"],
        "A@4": ["B@3", "image@4"],
    }


CELLS: list[Any] = ["simple", {"leaky": 0.5}, "conv_gru", "conv_lstm", "intersection", "reciprocal_gated"]


@pytest.mark.parametrize("start", ["zeros", "learned"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_goes_on_from_a_start_state_as_interpreted(cell: Any, start: str) -> None:
    output = {} if cell == "simple" else {"output": ["tanh"]}
    areas = {"A": {"start": start, "cell": cell}, "B": {"start": start, "cell": cell} | output}
    spec = network(["image -> A -> B", BACK, {"from": "A", "to": "B", "delay": 2}], areas=areas)
    found = compare(spec)
    assert found.worst < 1e-8
    assert compare(spec, training=False, roll="auto", passes=[]).worst < 1e-8
    explicit = resolved(assemble(spec))
    assert [area.start for area in explicit.areas.values()] == [start, start]
    assert {finding.code for finding in check(explicit)} <= {"image-independent"}


@pytest.mark.parametrize("silence", ["zero_input", "zero_drive"])
def test_start_states_that_do_not_depend_on_the_image_are_computed_for_a_batch_of_one(silence: str) -> None:
    spec = network(
        ["image -> A -> B", BACK], areas={"A": {"start": "learned"}, "B": {"start": "zeros"}}, silence=silence
    )
    module = compile_spec(spec)
    assert "self.A_start(x[:1])" in module.source
    assert compare(spec).worst < 1e-8


def test_a_start_state_learns_and_one_that_nothing_reads_does_not() -> None:
    areas = {"A": {"start": "learned"}, "B": {"start": "learned"}}
    spec = network(["image -> A -> B", BACK], areas=areas, at="last")
    module = compile_spec(spec)
    module(torch.randn(2, 2, 8, 8)).sum().backward()
    starts = {name: p for name, p in module.named_parameters() if "start" in name}
    assert {name: p.grad is not None for name, p in starts.items()} == {"A_start.value": False, "B_start.value": True}
    assert not starts["A_start.value"].requires_grad
    read = compile_spec(spec, order="sequential", steps=1)
    read(torch.randn(2, 2, 8, 8)).sum().backward()
    parameters = dict(read.named_parameters())
    assert parameters["B_start.value"].grad is not None and not parameters["A_start.value"].requires_grad
    graph = unroll(spec, order="sequential", steps=1)
    assert total_parameters(graph) == sum(p.numel() for p in parameters.values())
    assert trained_parameters(graph) == sum(p.numel() for p in parameters.values() if p.requires_grad)
