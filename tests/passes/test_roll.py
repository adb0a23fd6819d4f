from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import cortexgraph as cg
from cortexgraph.compiler import compile_spec, emit, lower, retimed, unroll
from cortexgraph.errors import CompileError, CortexGraphError
from cortexgraph.passes import PASSES, chosen, prune, roll, run_passes
from cortexgraph.passes.roll import is_moving
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.unrolling import Node, UnrolledGraph, settle, verify
from tests.oracle import compare, compiled, randomise
from tests.strategies import specs

COMPUTED = [name for name in PASSES if name not in {"roll", "release"}]
SMALL = {f"areas.{area}.channels": 2 for area in ("V1", "V2", "V4", "IT")}


def written_out(graph: UnrolledGraph) -> tuple[dict[Node, Any], dict[tuple[Node, Node], Any]]:
    """Nodes and edges of a rolled graph with every run of its loop, each at its step of time."""
    loop = graph.loop
    nodes, edges = {}, {}
    for node in graph:
        if not graph.written(node):
            continue
        still = graph.static(node)
        for run, step in enumerate([node.step] if still else graph.every_step(node)):
            here, by = node._replace(step=step), step - node.step
            ordinals = graph.every_ordinal(node) if node.kind == "update" and graph.live(node) else (0,)
            nodes[here] = (graph.live(node), ordinals[min(run, len(ordinals) - 1)], graph.constant(node))
            for source, _, edge in graph.in_edges(node, data=True):
                moves = loop is not None and node.step >= loop.first and is_moving(graph, source, node)
                moves |= loop is not None and node.step >= loop.end and source.step >= loop.first
                fixed = source.kind == "zero" or graph.static(source)
                there = source._replace(step=source.step + by) if moves and not fixed else source
                edges[there, here] = (set(edge["connections"]), edge["memory"])
    # one static image: that of a step inside the loop is no node of its own
    return {node: about for node, about in nodes.items() if not graph.static(node)}, edges


def rolled_ventral(steps: int) -> UnrolledGraph:
    return verify(roll(prune(settle(unroll(load("ventral"), steps=steps)))))


def test_the_steady_state_of_the_ventral_stream_is_a_loop_over_single_steps() -> None:
    rolled = rolled_ventral(20)
    loop = rolled.loop
    assert loop is not None
    assert (loop.first, loop.period, loop.times, loop.end) == (5, 1, 13, 18)
    assert loop.rates == dict.fromkeys(("V1", "V2", "V4", "IT"), 1)
    written = [str(node) for node in rolled.updates("IT") if rolled.written(node)]
    assert written == ["IT@4", "IT@5", "IT@18", "IT@19", "IT@20"]
    assert [*rolled.every_ordinal(Node("update", "IT", 5))] == list(range(2, 15))
    assert rolled.readout_steps("IT") == (20,)


def test_activity_that_goes_to_and_fro_has_a_period_of_two() -> None:
    spec = {
        "name": "pulse",
        "input": {"channels": 2, "size": 4, "present": "first"},
        "areas": {name: {"channels": 2, "size": 4} for name in "AB"},
        "connections": ["image -> A -> B -> A"],
        "readout": {"from": "A", "classes": 2, "at": "all"},
        "time": {"steps": 21},
    }
    network = NetworkSpec.model_validate(spec)
    rolled = roll(prune(settle(unroll(network))))
    assert rolled.loop is not None
    assert rolled.loop.period == 2
    assert rolled.readout_steps("A") == tuple(range(1, 22, 2))
    assert re.search(r"for [t_] in range\(\d+, 2[0-2], 2\):", emit(network, roll="always"))
    assert compare(network, roll="always").worst < 1e-8


def test_a_graph_without_a_steady_state_stays_as_it_is() -> None:
    kept = prune(settle(unroll(load("ventral"))))
    assert roll(kept) is kept


def longer(spec: NetworkSpec, more: int) -> NetworkSpec:
    spec = retimed(spec, spec.time.steps + more, None)
    try:
        lower(spec)
    except CortexGraphError:
        assume(False)
    return spec


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(spec=specs(), more=st.sampled_from([8, 45]), names=st.lists(st.sampled_from(COMPUTED), unique=True))
def test_written_out_a_rolled_graph_is_the_graph_that_was_rolled(
    spec: NetworkSpec, more: int, names: list[str]
) -> None:
    """Also where it comes from a shorter clock, with fewer steps than the network has."""
    spec = longer(spec, more)
    full, kept = lower(spec, passes=names)
    assert written_out(roll(kept)) == written_out(kept)
    _, rolled = lower(spec, passes=[*names, "roll"], roll="always")
    assert written_out(rolled) == written_out(kept)
    assert (rolled.ordinals, rolled.sets, rolled.steps) == (kept.ordinals, kept.sets, kept.steps)
    for readout in spec.readouts:
        name = readout.name or readout.source
        assert sorted(rolled.readout_steps(name)) == sorted(node.step for node in full.readouts if node.name == name)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    spec=specs(max_areas=3),
    more=st.sampled_from([8, 40]),
    passes=st.none() | st.lists(st.sampled_from([*PASSES]), unique=True).map(lambda names: [*names, "roll"]),
    video=st.booleans(),
    training=st.booleans(),
    record=st.booleans(),
)
def test_random_rolled_networks_equal_the_interpreter(spec: NetworkSpec, more: int, **ways: Any) -> None:
    ways["passes"] = None if ways["passes"] is None else chosen(ways["passes"])
    """Bit for bit the straight lines, which equal the interpreter; over many steps some multiply all rounding."""
    spec = longer(spec, more)
    straight, rolled = (compiled(spec, roll=roll, **ways) for roll in ("never", "always"))
    assert rolled.keys() == straight.keys()
    assert [key for key, value in rolled.items() if not value.equal(straight[key])] == []
    if spec.time.steps <= 16:
        assert compare(spec, roll="always", **ways).worst < 1e-8


def test_a_loop_and_straight_lines_share_a_state_dict_and_agree() -> None:
    spec = load("ventral", SMALL | {"readout.at": "all"})
    record = {"V4": "all", "IT": [5, 40]}
    looped = randomise(compile_spec(spec, steps=40, record=record, roll="always")).eval()
    straight = compile_spec(spec, steps=40, record=record, roll="never").eval()
    straight.load_state_dict(looped.state_dict())
    assert "for t in range(" in looped.source
    assert "for t" not in straight.source
    for shape in [(2, 3, 32, 32), (2, 40, 3, 32, 32)]:
        x = torch.randn(shape)
        (logits, states), (expected, expected_states) = looped(x), straight(x)
        torch.testing.assert_close(logits, expected)
        assert [*states] == [*expected_states]
        torch.testing.assert_close([*states.values()], [*expected_states.values()])


def test_the_size_of_the_source_does_not_grow_with_the_number_of_steps() -> None:
    lines = [emit(load("ventral"), steps=steps).count("\n") for steps in (100, 1_000, 15_000)]
    assert max(lines) - min(lines) < 20  # lists of parameter sets break into lines


def test_it_is_chosen_where_a_period_repeats_three_times_or_by_the_user() -> None:
    assert "for t in range" in emit(load("ventral"), steps=10)
    assert "for t in range" not in emit(load("ventral"), steps=9)
    assert "for t in range" not in emit(load("ventral"), steps=65, roll="never")
    assert "for t in range" not in emit(load("ventral"), steps=65, passes=["prune"])
    assert "for t in range" in emit(load("ventral"), steps=20, roll="always")
    with pytest.raises(CompileError, match="roll: 'often' was given, but it is auto or always or never"):
        cg.emit(load("ventral"), roll="often")  # type: ignore[arg-type]


def test_run_passes_rolls_whatever_the_size() -> None:
    assert run_passes(settle(unroll(load("ventral"), steps=12))).loop is not None


SPARSE = [([3, 12, 14], 14), ([6, 10], 12), ([3, 298, 300], 300), ([1, 2, 30], 40), ([7], 5000)]


@pytest.mark.parametrize(("at", "steps"), SPARSE, ids=str)
@pytest.mark.parametrize("lateral", [False, True])
def test_sparse_readouts_under_rolling_equal_straight_lines(at: list[int], steps: int, lateral: bool) -> None:
    spec = NetworkSpec.model_validate(
        {
            "name": "sparse",
            "input": {"channels": 2, "size": 4},
            "areas": {"A": {"channels": 2, "size": 4, "cell": "leaky"}},
            "connections": ["image -> A", *(["A -> A"] if lateral else [])],
            "readout": {"from": "A", "classes": 2, "at": at},
            "time": {"steps": steps},
        }
    )
    rolled, straight = compile_spec(spec).eval(), compile_spec(spec, roll="never").eval()
    straight.load_state_dict(rolled.state_dict())
    x = torch.randn(2, 2, 4, 4)
    torch.testing.assert_close(rolled(x), straight(x))


def test_a_loop_makes_again_what_its_runs_carry() -> None:
    """Each of the last steps (four of eight) reads A from before them; what they would make of it is read no more."""
    late = {"from": "A", "to": "B", "delay": 3}
    spec = NetworkSpec.model_validate(
        {
            "name": "late",
            "input": {"channels": 2, "size": 4},
            "areas": {"A": {"channels": 2, "size": 4}, "B": {"channels": 2, "size": 4}},
            "connections": ["image -> A", "image -> B", late, "B -> A", "B -> B"],
            "readout": {"from": "B", "classes": 2, "at": "all"},
            "time": {"steps": 6, "order": [["B"], ["A"]]},
        }
    )
    for steps in (6, 7, 8, 9, 20):
        assert compare(retimed(spec, steps, None), roll="always", record=False).worst < 1e-8
