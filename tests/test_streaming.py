"""A stream that is run in pieces equals one run bit for bit."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import cortexgraph as cg
from cortexgraph.compiler import compile_spec, retimed
from cortexgraph.graph import Readout
from cortexgraph.network import CompiledNetwork, unwrapped
from cortexgraph.spec import NetworkSpec
from tests.changes import TWO_AREAS, changed
from tests.oracle import images, randomise, record_all
from tests.strategies import specs
from tests.test_oracle import small

Run = dict[Any, Tensor]
"""Logits by readout and step, recorded states by area and step, and buffers by name."""


def whole(readout: Readout, pieces: list[Tensor], cuts: Sequence[int]) -> Tensor:
    """The logits of the pieces in the order in which one run returns them."""
    if readout.at == "last":
        return pieces[-1]
    logits = torch.cat(pieces, 1)
    if isinstance(readout.at, str):
        return logits
    ends = [*itertools.accumulate(cuts)]
    order = [t for first, end in zip([0, *ends], ends, strict=False) for t in readout.at if first < t <= end]
    return logits[:, [order.index(t) for t in readout.at]]


def in_pieces(network: nn.Module, x: Any, cuts: Sequence[int], *, video: bool) -> Run:
    network, state, start = copy.deepcopy(network), None, 0
    readouts = unwrapped(network).unrolled.areas.readouts
    torch.manual_seed(7)
    run: Run = {}
    logits: dict[Any, list[Tensor]] = {}
    for steps in cuts:
        part = frames_of(x, slice(start, start + steps)) if video else x
        values, states, state = network(part, state, steps=steps, return_state=True)
        run |= states
        for name, value in (values if isinstance(values, dict) else {"": values}).items():
            if value is not None:
                logits.setdefault(name, []).append(value)
        start += steps
    for readout in readouts:
        name = readout.name if len(readouts) > 1 else ""
        if readout.over_time != "concat":  # which needs all its steps in one piece
            run["logits", name] = whole(readout, logits[name], cuts)
    return run | dict(network.named_buffers())


def frames_of(x: Any, steps: slice) -> Any:
    """These frames of a video, or of the inputs that are videos."""
    if isinstance(x, dict):
        return {name: frames_of(each, steps) if each.ndim == 5 else each for name, each in x.items()}
    return x[:, steps]


def at_once(network: nn.Module, x: Any) -> Run:
    network = copy.deepcopy(network)
    torch.manual_seed(7)
    values, states = network(x)
    logits = values if isinstance(values, dict) else {"": values}
    return {**states, **{("logits", name): value for name, value in logits.items()}, **dict(network.named_buffers())}


def assert_equal_in_pieces(
    spec: NetworkSpec, cuts: Sequence[int], *, training: bool, video: bool, **options: Any
) -> None:
    torch.manual_seed(0)
    network = randomise(compile_spec(spec, record=record_all(spec), **options).double()).train(training)
    x = images(spec, 2, sum(cuts) if video else None, static=[*spec.inputs][1:][-1:])
    expected, found = at_once(network, x), in_pieces(network, x, cuts, video=video)
    assert expected.keys() - found.keys() <= {key for key in expected if key[0] == "logits"}
    different = [key for key, value in found.items() if not torch.equal(expected[key], value)]
    assert different == []


@pytest.mark.parametrize(
    ("name", "training"), [("ventral", True), ("cornet_s", False), ("convlstm", False), ("convrnn_rgc", True)]
)
def test_shipped_networks_go_on_where_they_stopped(name: str, training: bool) -> None:
    spec = small(name, cg.load(name).time.order)
    steps = max(4, spec.time.steps)
    spec = retimed(spec, steps, None)
    assert_equal_in_pieces(spec, [steps // 3 + 1, steps - steps // 3 - 1], training=training, video=False)
    assert_equal_in_pieces(spec, [1] * steps, training=training, video=True)


@given(spec=specs(), cut=st.integers(1, 3), video=st.booleans(), training=st.booleans())
@settings(max_examples=8, deadline=None, suppress_health_check=[*HealthCheck], phases=[Phase.explicit, Phase.generate])
def test_random_networks_go_on_where_they_stopped(spec: NetworkSpec, cut: int, video: bool, training: bool) -> None:
    steps = spec.time.steps
    cuts = [cut, steps - cut] if cut < steps else [1] * steps
    assert_equal_in_pieces(spec, cuts, training=training, video=video)


def spec_of(**changes: Any) -> NetworkSpec:
    data = changed(TWO_AREAS, {("connections",): [*TWO_AREAS["connections"], "V2 -> V1 -> V1"]})
    return NetworkSpec.model_validate(data | {"readout": {"from": "V2", "classes": 2, "at": "all"}} | changes)


def test_evaluations_that_move_statistics_are_carried_beside_heads_that_others_share() -> None:
    normed = {"from": "V1", "to": "V2", "transform": ["tanh", {"norm": "batch"}, {"conv": 3}]}
    paths = ["image -> V1", *({**normed, "delay": delay} for delay in (0, 1, 3)), "V2 -> V1"]
    readout = {"from": "V2", "classes": 2, "at": "all"}
    data = changed(TWO_AREAS, {("connections",): paths, ("readout",): readout, ("time", "silence"): "zero_input"})
    spec = NetworkSpec.model_validate(data)
    assert_equal_in_pieces(spec, [1, 1, 2], training=True, video=True)
    assert_equal_in_pieces(spec, [2, 1, 1], training=True, video=False)


def network_of(**changes: Any) -> CompiledNetwork:
    torch.manual_seed(0)
    return compile_spec(spec_of(**changes)).eval()


X = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("over_time", ["mean", "cumulative"])
def test_logits_combined_over_time_count_all_steps_of_the_stream(over_time: str) -> None:
    network = network_of(readout={"from": "V2", "classes": 2, "at": "all", "over_time": over_time})
    first, state = network(X, steps=2, return_state=True)
    assert torch.equal(torch.cat([first, network(X, state, steps=2)], 1), network(X))


def test_a_classifier_of_concatenated_states_needs_its_steps_in_one_call() -> None:
    network = network_of(readout={"from": "V2", "classes": 2, "at": [2, 3], "over_time": "concat"})
    first, state = network(X, steps=2, return_state=True)
    assert first is None
    assert network(X, state, steps=2) is None
    assert torch.equal(network(X, steps=4), network(X))


def test_loops_and_single_steps_agree() -> None:
    network = network_of()
    pieces, state = [], None
    for steps in (30, 1, 20):
        logits, state = network(X, state, steps=steps, return_state=True)
        pieces.append(logits)
    whole = compile_spec(network.spec, steps=51).eval()
    whole.load_state_dict(network.state_dict())
    assert torch.equal(torch.cat(pieces, 1), whole(X))


def test_gradients_flow_through_the_state_until_it_is_detached() -> None:
    network = network_of()

    def gradients(detach: bool) -> list[Tensor]:
        network.zero_grad()
        _, state = network(X, steps=3, return_state=True)
        network(X, state.detach() if detach else state, steps=1).sum().backward()
        return [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]

    network.zero_grad()
    network(X)[:, -1].sum().backward()
    expected = [parameter.grad for parameter in network.parameters()]
    for grad, exact in zip(gradients(detach=False), expected, strict=True):
        torch.testing.assert_close(grad, exact)
    assert len(gradients(detach=True)) < len(expected)  # the last step alone does not reach back to the image


def test_another_image_is_seen_from_the_first_step_of_its_call() -> None:
    network, other = network_of(), X.flip(0)
    logits, state = network(X, steps=2, return_state=True)
    logits = torch.cat([logits, network(other, state, steps=3)], 1)
    video = torch.stack([X, X, other, other, other], 1)
    torch.testing.assert_close(logits, network(video, steps=5))
    assert torch.equal(network(X.clone(), state, steps=3), network(X, state, steps=3))


def test_a_caller_may_write_the_next_image_over_the_last() -> None:
    network = network_of(connections=["image -> V1 -> V2", {"from": "image", "to": "V2", "delay": 1}])
    frames = torch.randn(4, 1, *images(network.spec, 1).shape[1:])
    buffer, states = torch.empty_like(frames[0]), [cg.Stepper(network), cg.Stepper(network)]
    for frame in frames:
        reused, own = states[0].step(buffer.copy_(frame)), states[1].step(frame)
        assert all(torch.equal(reused[1][area], state) for area, state in own[1].items())


def test_pieces_are_compiled_once_in_the_steady_state() -> None:
    network = network_of()
    stepper = cg.Stepper(network)
    for _ in range(8):
        stepper.step(X)
    compiled = len(network._pieces._classes)
    for _ in range(20):
        stepper.step(X)
    assert len(network._pieces._classes) == compiled
    assert stepper.time == 28
    assert stepper.state is not None
    assert [*stepper.state] == [("V1", 28), ("V2", 28)]


def test_a_stepper_shows_logits_and_states_of_each_step() -> None:
    network = network_of()
    stepper, whole = cg.Stepper(network), compile_spec(network.spec, record="all").eval()
    whole.load_state_dict(network.state_dict())
    logits, states = whole(X)
    for t in (1, 2, 3, 4):
        now, shown = stepper.step(X)
        assert {name: torch.equal(value, states[name, t]) for name, value in shown.items()} == dict.fromkeys(
            shown, True
        )
        assert (now is None) if t == 1 else torch.equal(now[:, 0], logits[:, t - 2])
    assert [*cg.Stepper(network).step(X)[1]] == ["V1"]
    assert stepper.reset().states == {}


def test_a_state_can_be_stored(tmp_path: Path) -> None:
    network = network_of()
    _, state = network(X, steps=2, return_state=True)
    torch.save(state.detach(), tmp_path / "state.pt")
    again = torch.load(tmp_path / "state.pt", weights_only=False)
    assert torch.equal(network(X, again, steps=2), network(X, state, steps=2))
    assert state.to(torch.float64)["V1", 2].dtype == torch.float64


def test_sets_per_step_that_end_are_announced_once() -> None:
    areas = TWO_AREAS["areas"] | {"V1": TWO_AREAS["areas"]["V1"] | {"norm": {"kind": "batch", "per_step": True}}}
    network = network_of(areas=areas)
    _, state = network(X, return_state=True)
    with pytest.warns(cg.CortexGraphWarning, match=r"beyond the parameters per step \(V1 has 4 sets\)"):
        _, state = network(X, state, return_state=True)
    network(X, state)


@pytest.mark.parametrize(
    ("x", "steps", "message"),
    [
        (X[:1], 1, r"the state is of 2 images, but x has 1"),
        (X.double(), 1, r"the state is torch.float32 on cpu, but x is torch.float64 on cpu\.\n  Give `state.to\(x\)`"),
        (X, 0, r"steps: 0 was given"),
        (X[:, None], 3, r"a video of 1 frames and steps=3 were given"),
    ],
)
def test_what_does_not_fit_a_stream_is_a_finding(x: Tensor, steps: int, message: str) -> None:
    network = network_of()
    _, state = network(X, return_state=True)
    with pytest.raises(cg.DataError, match=message):
        network(x, state, steps=steps)


def test_all_findings_about_a_state_come_at_once() -> None:
    _, state = network_of(name="other")(X, return_state=True)
    with pytest.raises(cg.DataError, match=r"of another network(.|\n)*the state is of 2 images"):
        network_of()(X[:1], state)
    with pytest.raises(cg.DataError, match=r"a list was given, but it is what `network\(x, return_state=True\)`"):
        network_of()(X, [])  # type: ignore[arg-type]


def test_a_stepper_of_another_module_is_a_finding() -> None:
    with pytest.raises(cg.CompileError, match=r"a Linear was given, but a network of `cg\.compile` is needed"):
        cg.Stepper(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (("V1", 99), r"\('V1', 99\) is not a carried state, but the carried states are V1 at step 2 and V2 at step 2"),
        ("V1", r"'V1' is not a carried state(.|\n)*Name an area and a step, such as `state\[\('V1', 2\)\]`"),
    ],
)
def test_a_state_that_is_not_carried_is_a_finding(key: Any, message: str) -> None:
    _, state = network_of()(X, steps=2, return_state=True)
    assert key not in state
    with pytest.raises(cg.CompileError, match=message):
        state[key]
