"""torch.fx and torchvision's feature extractors take emitted networks apart, and their nodes tell area and step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from cortexgraph.compiler import compile_spec, unroll
from cortexgraph.spec import NetworkSpec, load, zoo
from tests.oracle import images, randomise, record_all

UP_AND_DOWN = (("V1",), ("V2",), ("V4",), ("IT",), ("V4",), ("V2",), ("V1",))


@pytest.mark.parametrize("name", sorted(zoo()))
def test_shipped_specs_can_be_traced(name: str) -> None:
    spec = load(name)
    network = compile_spec(spec).eval()
    x = images(spec, batch=2).float()
    torch.testing.assert_close(torch.fx.symbolic_trace(network)(x), network(x))


def spec_with_cells() -> NetworkSpec:
    """Cells with hidden states, per-step norms, silence as zeros and an area that is updated twice a step."""
    norm = {"kind": "batch", "per_step": True}
    return load(
        "ventral",
        {f"areas.{area}.channels": 4 for area in ("V1", "V2", "V4", "IT")}
        | {"areas.V2.cell": "conv_lstm", "areas.V4.cell": "conv_gru", "areas.V4.norm": norm}
        | {"time.silence": "zero_input"},
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"order": "sequential"}, {"passes": []}, {"steps": 20, "roll": "always"}],
    ids=["plain", "sequential", "no passes", "rolled"],
)
def test_a_feature_extractor_gives_the_states_by_area_and_step(options: dict[str, Any]) -> None:
    spec = spec_with_cells()
    torch.manual_seed(0)
    network = randomise(compile_spec(spec, **options)).eval()
    record = record_all(spec) if "steps" not in options else {"V2": [5, 9], "V4": [17], "IT": [18]}
    recorded = compile_spec(spec, record=record, **options).eval()
    recorded.load_state_dict(network.state_dict())
    x = images(spec, batch=2).float()
    wanted = {f"{area}.step{step}": state for (area, step), state in recorded(x)[1].items()}
    _, names = get_graph_node_names(network, suppress_diff_warning=True)
    there = [name for name in names if name in wanted]
    assert len(there) >= 3
    extracted = create_feature_extractor(network, there, suppress_diff_warning=True)(x)
    for name in there:
        torch.testing.assert_close(extracted[name].expand_as(wanted[name]), wanted[name])


def test_the_nodes_of_a_trace_are_named_by_area_and_step() -> None:
    graph = torch.fx.symbolic_trace(compile_spec(load("ventral")).eval()).graph
    named = [node.name for node in graph.nodes if "step" in node.name]
    needed = unroll(load("ventral"))
    assert set(named) <= {f"{node.name}_step{node.step}" for node in needed.live_updates()}
    assert {"V1_step1", "V2_step3", "V4_step5", "IT_step6"} <= set(named)


def test_updates_in_one_step_are_numbered() -> None:
    _, names = get_graph_node_names(compile_spec(load("ventral"), steps=2, order=UP_AND_DOWN).eval())
    assert {"V2.step1", "V2.step1_1", "V4.step2"} <= set(names)


def test_the_graph_of_a_trace_can_be_run_again_as_code() -> None:
    """The code that torch.fx prints for the graph, with its names, is what it executes."""
    traced = torch.fx.symbolic_trace(compile_spec(load("ventral")).eval())
    assert "V4_step3 = torch.positive" in traced.code.replace("torch.functional.", "torch.")
