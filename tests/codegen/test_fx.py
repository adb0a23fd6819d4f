"""torch.fx takes emitted networks apart, and the nodes of `cg.trace` tell area and step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

import cortexgraph as cg
from cortexgraph.compiler import compile_spec
from cortexgraph.spec import NetworkSpec, load, zoo
from tests.oracle import images, published_size, randomise, record_all

UP_AND_DOWN = (("V1",), ("V2",), ("V4",), ("IT",), ("V4",), ("V2",), ("V1",))


@pytest.mark.parametrize("name", [name for name in zoo() if not published_size(name)])
def test_shipped_specs_can_be_traced(name: str) -> None:
    spec = load(name)
    network = compile_spec(spec).eval()
    x = images(spec, batch=2, dtype=torch.float32)
    torch.testing.assert_close(torch.fx.symbolic_trace(network)(x), network(x))


class Calls(TorchDispatchMode):
    """Lists every operation that is executed, with its arguments; a tensor is named by the order of appearance."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[str] = []
        self.tensors: dict[int, tuple[int, Tensor]] = {}  # kept, so that no other gets its id

    def named(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        number, _ = self.tensors.setdefault(id(value), (len(self.tensors), value))
        return f"{number}{list(value.shape)}"

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        self.listed.append(f"{func} {tree_map(self.named, (args, kwargs, result))}")
        return result


@pytest.mark.parametrize("name", [name for name in zoo() if published_size(name)])
def test_a_trace_of_published_size_calls_the_same_operations_on_the_same_tensors(name: str) -> None:
    """On tensors without values, because a few of these networks compute for seconds."""
    spec = load(name)
    with torch.device("meta"):
        network, x = compile_spec(spec).eval(), images(spec, batch=1).float()
    with Calls() as expected:
        network(x)
    with Calls() as traced:
        torch.fx.symbolic_trace(network)(x)
    assert len(traced.listed) > len(spec.areas)
    assert traced.listed == expected.listed


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
    [{}, {"order": "sequential"}, {"passes": []}, {"steps": 20}],
    ids=["plain", "sequential", "no passes", "rolled"],
)
def test_the_nodes_of_a_trace_are_the_states_by_area_and_step(options: dict[str, Any]) -> None:
    spec = spec_with_cells()
    torch.manual_seed(0)
    network = randomise(compile_spec(spec, **options)).eval()
    record = record_all(spec) if "steps" not in options else {"V2": [5, 9], "V4": [17], "IT": [18]}
    recorded = compile_spec(spec, record=record, **options).eval()
    recorded.load_state_dict(network.state_dict())
    x = images(spec, batch=2, dtype=torch.float32)
    expected = {f"{area}_step{step}": state for (area, step), state in recorded(x)[1].items()}
    traced = cg.trace(network)
    torch.testing.assert_close(traced(x), network(x))
    states: dict[str, Any] = {}

    class Interpreter(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            states[n.name] = super().run_node(n)
            return states[n.name]

    Interpreter(traced).run(x)
    common = [name for name in expected if name in states]
    assert len(common) >= 3
    for name in common:
        state = states[name][0] if isinstance(states[name], tuple) else states[name]
        torch.testing.assert_close(state.expand_as(expected[name]), expected[name])


def test_updates_in_one_step_are_numbered() -> None:
    names = [n.name for n in cg.trace(compile_spec(load("ventral"), steps=2, order=UP_AND_DOWN).eval()).graph.nodes]
    assert {"V2_step1", "V2_step1_1", "V4_step2"} <= set(names)


def test_the_graph_of_a_trace_can_be_run_again_as_code() -> None:
    """The code that torch.fx prints for the graph, with its names, is what it executes."""
    assert "V4_step3 = self.V4(" in cg.trace(compile_spec(load("ventral")).eval()).code
