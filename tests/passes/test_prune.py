from __future__ import annotations

from collections.abc import Iterable

import networkx as nx
import pytest
from hypothesis import given, settings

from cortexgraph.compiler import unroll
from cortexgraph.errors import CompileError
from cortexgraph.passes import PASSES, cse, prune, run_passes
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.unrolling import Node, settle, verify
from tests.strategies import specs


def names(nodes: Iterable[Node]) -> list[str]:
    return [str(node) for node in nodes]


def test_sequential_order_keeps_what_the_last_sweep_needs() -> None:
    kept = prune(unroll(load("ventral"), steps=2, order="sequential"))
    assert names(kept.updates()) == ["V1@1", "V2@1", "V4@1", "IT@1", "V1@2", "V2@2", "V4@2", "IT@2"]


def test_recording_keeps_what_the_readout_does_not_need() -> None:
    kept = prune(unroll(load("ventral"), steps=4, record={"V1": [4]}))
    assert names(kept.updates("V1")) == ["V1@1", "V1@2", "V1@3", "V1@4"]
    assert names(kept.updates("V2")) == ["V2@2", "V2@3"]


def test_ordinals_stay_those_of_the_whole_graph() -> None:
    full = unroll(load("ventral"), steps=8)
    kept = prune(full)
    assert kept.ordinals == full.ordinals == {"V1": 8, "V2": 7, "V4": 6, "IT": 5}
    assert all(kept.ordinal(node) == full.ordinal(node) for node in kept.updates())


@settings(max_examples=40, deadline=None)
@given(spec=specs())
def test_it_keeps_exactly_the_live_ancestors_of_live_sinks(spec: NetworkSpec) -> None:
    full = unroll(spec)
    live = full.subgraph([node for node in full if full.live(node)])
    expected = {sink for sink in live if sink.kind == "readout"}
    expected |= {ancestor for sink in expected for ancestor in nx.ancestors(live, sink)}
    kept = verify(prune(full))
    assert set(kept) == expected
    assert set(kept.edges) == {edge for edge in full.edges if set(edge) <= expected}
    assert list(kept) == [node for node in full if node in expected]  # the order of execution


def test_passes_run_by_name_in_their_own_order() -> None:
    full = settle(unroll(load("ventral"), steps=4))
    assert run_passes(full, []) is full
    assert set(run_passes(full, ["prune"])) == set(prune(full))
    assert set(run_passes(full, ["share", "prune"])) == set(cse(prune(full)))  # share: its name in 0.1
    assert list(PASSES) == ["prune", "cse", "fold", "roll", "release"]
    with pytest.raises(CompileError, match="`shrink` is not a pass, but the passes are prune, cse, fold, roll,"):
        run_passes(full, ["shrink"])
