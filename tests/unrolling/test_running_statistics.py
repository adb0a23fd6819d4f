"""Running statistics of batch norms: which evaluations move them, counted by hand, whatever passes run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from cortexgraph.compiler import compile_spec, interpret
from cortexgraph.passes import PASSES
from cortexgraph.spec import NetworkSpec
from tests.oracle import compare, tensors

NORMED = [{"conv": 1}, {"norm": "batch"}]


def network(connections: list[Any], *, norm: Any = None, at: Any = "last", **time: Any) -> NetworkSpec:
    area = {"channels": 2, "size": 4} | ({"norm": norm} if norm else {})
    return NetworkSpec.model_validate(
        {
            "name": "counted",
            "input": {"channels": 2, "size": 4},
            "areas": {"A": area, "B": area},
            "connections": connections,
            "readout": {"from": "B", "classes": 2, "at": at},
            "time": {"steps": 4} | time,
        }
    )


def counts(spec: NetworkSpec, *, video: bool = False, record: Any = None, passes: Sequence[str] | None = None) -> Any:
    """How often each batch norm took statistics in, in one training run."""
    module = compile_spec(spec, record=record, passes=passes).train()
    module(torch.randn(3, *([spec.time.steps] if video else []), 2, 4, 4))
    ending = ".num_batches_tracked"
    return {name.removesuffix(ending): int(n) for name, n in tensors(module).items() if name.endswith(ending)}


WAYS = [
    {"record": record, "passes": passes}
    for record in (None, {"A": "all", "B": "all"})
    for passes in (None, [], *([name] for name in PASSES))
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_update_counts_if_a_readout_depends_on_it(way: dict[str, Any]) -> None:
    spec = network(["image -> A -> B", "B -> B"], norm="batch", at=[2, 3])
    read = {"A.norm": 1, "B.norm": 2}  # A at 1, held since; B at 2 and 3
    assert counts(spec, **way) == (read if way["record"] is None else {"A.norm": 1, "B.norm": 3})


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_held_updates_do_not_count(way: dict[str, Any]) -> None:
    spec = network(["image -> A -> B"], norm="batch", at="all", order="sequential")
    assert counts(spec, **way) == {"A.norm": 1, "B.norm": 1}  # A1 = A2 = … for a static image
    assert counts(spec, video=True, **way) == {"A.norm": 4, "B.norm": 4}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_sets_that_no_readout_reaches_stay(way: dict[str, Any]) -> None:
    spec = network(["image -> A -> B"], norm={"kind": "batch", "per_step": True})
    found = counts(spec, **way)
    recorded = way["record"] is not None
    expected = {f"A.norm.{n}": int(n == 2 or recorded) for n in range(4)}
    assert found == expected | {f"B.norm.{n}": int(n == 2 or recorded) for n in range(3)}


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(("video", "expected"), [(False, 1), (True, 2)])
def test_a_static_image_is_one_value_and_a_frame_another(way: dict[str, Any], video: bool, expected: int) -> None:
    spec = network([{"from": "image", "to": "A", "transform": NORMED}, "A -> B"], at=[2, 3])
    recorded = 4 if video and way["record"] is not None else expected
    assert counts(spec, video=video, **way) == {"image_to_A.norm": recorded}  # frames 1 and 2; A is live at all four


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_connection_is_evaluated_once_for_each_state_that_it_reads(way: dict[str, Any]) -> None:
    read = {"from": "A", "to": "B", "transform": NORMED}
    spec = network(["image -> A", read, "B -> B"], at="all", steps=2, order=["A", "B", "B", "B"])
    assert counts(spec, **way) == {"A_to_B.norm": 1}  # A is held at step 2
    assert counts(spec, video=True, **way) == {"A_to_B.norm": 2}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_where_dropout_draws_anew_every_reading_counts(way: dict[str, Any]) -> None:
    read = {"from": "A", "to": "B", "transform": [*NORMED, "dropout"]}
    spec = network(["image -> A", read, "B -> B"], at="all", steps=2, order=["A", "B", "B", "B"])
    assert counts(spec, **way) == {"A_to_B.norm": 6}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_tied_norm_counts_for_both_connections(way: dict[str, Any]) -> None:
    late = {"from": "A", "to": "B", "transform": NORMED, "tie": "owner", "delay": 2}
    spec = network(["image -> A", {"from": "A", "to": "B", "name": "owner", "transform": NORMED}, late])
    read = counts(spec, **way)
    assert read == {"owner.norm": 2}  # A1 through both connections; later updates of A are held
    assert counts(spec, video=True, **way) == {"owner.norm": 2 if way["record"] is None else 4}


def test_the_order_and_the_momentum_are_those_of_torch() -> None:
    spec = network(["image -> A", {"from": "A", "to": "A", "transform": []}, "A -> B"], norm="batch", at=[3, 4])
    module = compile_spec(spec).train()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    x = torch.randn(3, 2, 4, 4)
    statistics: dict[str, torch.Tensor] = {}
    interpret(spec, state, x, training=True, running_statistics=statistics)
    mean, variance = torch.zeros(2), torch.ones(2)
    h = torch.zeros(3, 2, 4, 4)
    for _ in range(3):  # A at 1, 2 and 3
        u = F.conv2d(x, state["image_to_A.conv.weight"], padding=1) + h
        h = F.relu(F.batch_norm(u, mean, variance, training=True, momentum=0.1))
    module(x)
    for found in (module.state_dict(), statistics):
        torch.testing.assert_close(found["A.norm.running_mean"], mean)
        torch.testing.assert_close(found["A.norm.running_var"], variance)
        assert int(found["A.norm.num_batches_tracked"]) == 3


def test_nothing_moves_in_evaluation() -> None:
    spec = network(["image -> A -> B"], norm="batch")
    module = compile_spec(spec).eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module(torch.randn(3, 2, 4, 4))
    statistics: dict[str, torch.Tensor] = {}
    interpret(spec, before, torch.randn(3, 2, 4, 4), running_statistics=statistics)
    assert statistics == {}
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


OWNER = {"from": "image", "to": "A", "transform": NORMED, "name": "owner"}
TIED: list[list[Any]] = [
    [OWNER, "A -> B", {"from": "image", "to": "A", "transform": NORMED, "tie": "owner", "delay": 1}],
    [OWNER, "A -> B", {"from": "image", "to": "B", "transform": NORMED, "tie": "owner", "delay": 2}],
    [OWNER, "A -> B", {"from": "B", "to": "A", "transform": NORMED, "tie": "owner", "silence": "zero_input"}],
    [OWNER, "A -> B", {"from": "image", "to": "B", "transform": [*NORMED, "dropout"], "tie": "owner"}],
]


@pytest.mark.parametrize("connections", TIED, ids=["twice", "skip", "back", "dropout"])
@pytest.mark.parametrize("video", [False, True])
@pytest.mark.parametrize("record", [False, True])
def test_connections_take_turns_with_a_norm_that_they_share(connections: Any, video: bool, record: bool) -> None:
    spec = network(connections, at=[3], order=["B", "A", "B"])
    found = compare(spec, video=video, record=record)
    assert found.stable
    assert found.averages >= 3


@pytest.mark.parametrize("cell", ["ugrnn", {"conv_gru": 1}, "conv_lstm", "leaky"], ids=str)
def test_what_no_image_reaches_keeps_averages_and_memory_in_training(cell: Any) -> None:
    data = network(["image -> A -> B"], norm="batch", at="all", silence="zero_input").model_dump(
        mode="json", by_alias=True
    )
    data["input"]["present"] = [4]
    data["areas"]["B"]["cell"] = cell
    found = compare(NetworkSpec.model_validate(data))
    assert found.stable
    assert found.averages == 6


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_zeros_that_are_read_before_a_static_image_count_before_it(way: dict[str, Any]) -> None:
    late = {"from": "image", "to": "A", "transform": NORMED, "delay": 1}
    spec = network(["image -> A", late, "A -> B"], at="all", silence="zero_input", order="sequential")
    assert counts(spec, **way) == {"image_to_A_2.norm": 2}
    record = way["record"] is not None
    assert compare(spec, record=record, passes=way["passes"]).worst < 1e-8


@pytest.mark.parametrize("training", [True, False])
def test_a_connection_of_per_step_weights_beside_a_norm_of_the_image(training: bool) -> None:
    """`update` of the connection counts updates of its target, also where the image is evaluated before all steps."""
    own = {"from": "B", "to": "A", "transform": [{"conv": 3}, {"norm": "batch"}], "weights": "per_step"}
    spec = network([{"from": "image", "to": "A", "transform": NORMED}, "A -> B", own], at="all", steps=5)
    assert compare(spec, training=training).worst < 1e-8
    source = compile_spec(spec).source
    assert [int(n) for n in re.findall(r"self\.B_to_A\(.*update=(\d)", source)] == [3, 4]
