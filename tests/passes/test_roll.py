from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import cortexgraph as cg
from cortexgraph.compiler import compile_spec, emit, lower, retimed, unroll
from cortexgraph.errors import CompileError, CortexGraphError
from cortexgraph.passes import PASSES, chosen, prune, roll, run_passes
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.unrolling import Loop, Node, UnrolledGraph
from cortexgraph.unrolling.verify import verify
from tests.oracle import compare, randomise
from tests.strategies import specs

COMPUTED = [name for name in PASSES if name not in {"roll", "release"}]
SMALL = {f"areas.{area}.channels": 2 for area in ("V1", "V2", "V4", "IT")}


def runs(graph: UnrolledGraph, node: Node) -> Iterator[tuple[int, int]]:
    """The runs of the loop that a node stands for (one, outside), each with the distance of its steps."""
    loop = graph.loop
    if loop is None or node.step < loop.first:
        yield 0, 0
    elif node.step > loop.last:
        yield 0, loop.skipped
    else:
        yield from ((run, run * loop.period) for run in range(loop.times))


def written_out(graph: UnrolledGraph) -> tuple[dict[Node, Any], dict[tuple[Node, Node], Any]]:
    """Nodes and edges of a rolled graph with every run of its loop."""
    loop = graph.loop
    nodes, edges = {}, {}

    def source_of(source: Node, reader: Node, distance: int) -> Node:
        far = loop is None or source.kind == "zero" or reader.step - source.step > loop.reach
        return source if far else source._replace(step=source.step + distance)

    for node, data in graph.nodes(data=True):
        for run, distance in runs(graph, node):
            here = node._replace(step=node.step + distance)
            repeat = graph.repeat(node)
            like = None if repeat is None else (source_of(repeat.of, node, distance), repeat.still, repeat.evaluation)
            ordinal = graph.every_ordinal(node)[run] if node.kind == "update" and graph.live(node) else 0
            nodes[here] = (data["live"], ordinal, graph.read(node), graph.folded(node), graph.counted(node), like)
            for source, _, edge in graph.in_edges(node, data=True):
                edges[source_of(source, node, distance), here] = (set(edge["connections"]), edge["memory"])
    return nodes, edges


def test_the_steady_state_of_the_ventral_stream_is_a_loop_over_single_steps() -> None:
    kept = prune(unroll(load("ventral"), steps=20))
    rolled = verify(roll(kept))
    assert rolled.loop == Loop(5, 1, 13, 1, dict.fromkeys(("V1", "V2", "V4", "IT"), 1))
    assert [str(node) for node in rolled.updates("IT")] == ["IT@4", "IT@5", "IT@6", "IT@7", "IT@8"]
    assert [rolled.actual_step(step) for step in (4, 5, 6, 8)] == [4, 5, 18, 20]
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
    rolled = roll(prune(unroll(network)))
    assert rolled.loop is not None
    assert rolled.loop.period == 2
    assert rolled.readout_steps("A") == tuple(range(1, 22, 2))
    assert "for t in range(2, 22, 2):" in emit(network, roll="always")
    assert compare(network, roll="always").worst < 1e-8


def test_a_graph_without_a_steady_state_stays_as_it_is() -> None:
    kept = prune(unroll(load("ventral")))
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
    shortened, rolled = lower(spec, passes=[*names, "roll"], roll="always")
    assert written_out(rolled) == written_out(kept)
    assert (rolled.ordinals, rolled.sets, rolled.steps) == (kept.ordinals, kept.sets, kept.steps)
    if shortened.loop is not None:
        assert written_out(shortened) == written_out(full)
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
    assert compare(longer(spec, more), roll="always", **ways).worst < 1e-8


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
    lines = [emit(load("ventral"), steps=steps).count("\n") for steps in (100, 1_000, 25_000)]
    assert max(lines) - min(lines) < 20  # lists of parameter sets break into lines
    assert emit(load("ventral"), steps=60).count("for t in") == 0


def test_it_is_chosen_by_size_or_by_the_user() -> None:
    assert "for t in range" in emit(load("ventral"), steps=65)
    assert "for t in range" not in emit(load("ventral"), steps=65, roll="never")
    assert "for t in range" not in emit(load("ventral"), steps=65, passes=["prune"])
    assert "for t in range" in emit(load("ventral"), steps=20, roll="always")
    with pytest.raises(CompileError, match="roll: 'often' was given, but it is auto or always or never"):
        cg.emit(load("ventral"), roll="often")  # type: ignore[arg-type]


def test_run_passes_rolls_whatever_the_size() -> None:
    assert run_passes(unroll(load("ventral"), steps=12)).loop is not None


def test_a_loop_carries_nothing_that_it_asks_of_the_image() -> None:
    """Two updates of V1 in a step read one drive, which a static image would make equal to that of the step before."""
    spec = NetworkSpec.model_validate(
        {
            "name": "sweeps",
            "input": {"channels": 2, "size": 8},
            "areas": {"V1": {"channels": 2, "size": 8, "cell": "conv_lstm"}, "V2": {"channels": 4, "size": 4}},
            "connections": ["image -> V1 -> V2"],
            "readout": {"from": "V2", "classes": 3, "at": "all"},
            "time": {"steps": 14, "order": ["V1", "V2", "V1"]},
        }
    )
    source = emit(spec, roll="always")
    assert "image_to_V1_ta = image_to_V1(t)" in source
    assert "image_to_V1_before" not in source
    assert compare(spec, roll="always").worst < 1e-8
