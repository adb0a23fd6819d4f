"""Interventions against a forward pass written by hand, and against the interpreter."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import cortexgraph as cg
from cortexgraph.compiler import build, compile_spec
from cortexgraph.network import CompiledNetwork
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import interpret_graph
from tests.changes import TWO_AREAS, changed

STEPS = 4
X = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
OTHER = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))


def network_of(steps: int = STEPS, **options: Any) -> CompiledNetwork:
    torch.manual_seed(0)
    data = changed(TWO_AREAS, {("connections",): ["image -> V1 -> V2", "V2 -> V1 -> V1"], ("time", "steps"): steps})
    data |= {"defaults": {"connection": {"kernel": 3}}}
    return compile_spec(NetworkSpec.model_validate(data), record="all", **options).eval()


def by_hand(network: Any, changes: dict[tuple[str, int], Any]) -> dict[tuple[str, int], Tensor]:
    """The states of all steps; a change is a function of a state or of what a connection carries."""

    def done(place: str, t: int, value: Tensor) -> Tensor:
        return changes.get((place, t), lambda value: value)(value)

    v1 = v2 = None
    states = {}
    for t in range(1, STEPS + 1):
        u1 = network.image_to_V1(X)
        if v1 is not None:
            u1 = u1 + network.V1_to_V1(v1)
        if v2 is not None:
            u1 = u1 + done("V2 -> V1", t, network.V2_to_V1(v2))
        v2 = done("V2", t, network.V2(done("V1 -> V2", t, network.V1_to_V2(v1)))) if v1 is not None else None
        v1 = done("V1", t, network.V1(u1))
        states |= {("V1", t): v1} | ({("V2", t): v2} if v2 is not None else {})
    return states


def without(units: list[int], value: Tensor) -> Tensor:
    value = value.clone()
    value[:, units] = 0
    return value


def at_a_place(value: Tensor) -> Tensor:
    value = value.clone()
    value[:, 2, 3, 1] = OTHER[0, 2, 3, 1]
    return value


CASES = {
    "zero": (cg.ablate([0, 2]), lambda v: without([0, 2], v)),
    "mean": (cg.ablate(to="mean"), lambda v: v.mean(0, keepdim=True).expand_as(v)),
    "scale": (cg.scale(0.5), lambda v: v / 2),
    "value": (cg.clamp(0.25), lambda v: torch.full_like(v, 0.25)),
    "bounds": (cg.clamp(low=0.1, high=0.3), lambda v: v.clamp(0.1, 0.3)),
}


@pytest.mark.parametrize("place", [("V1", 2), ("V2 -> V1", 3)])
@pytest.mark.parametrize("case", CASES)
def test_changes_equal_a_forward_pass_by_hand(case: str, place: tuple[str, int]) -> None:
    change, function = CASES[case]
    network = network_of()
    logits, states = cg.intervene(network, {place: change})(X)
    expected = by_hand(network, {place: function})
    assert states.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(states[key], value)
    torch.testing.assert_close(logits, network.readout(expected["V2", STEPS]))
    plain = by_hand(network, {})
    assert [key for key in plain if not torch.equal(plain[key], expected[key])]


def test_states_equal_a_loop_of_plain_torch() -> None:
    """Two recurrent areas as anyone would write them, from the weights alone: nothing of cortexgraph runs in the loop.

    V1 is scaled at step 2 and silenced at step 4; V2 is clamped at step 3 and has noise at step 5.
    """
    data = changed(TWO_AREAS, {("connections",): ["image -> V1 -> V2 -> V1", "V1 -> V1"], ("time", "steps"): 6})
    data |= {"defaults": {"area": {"norm": "none", "activation": "tanh"}, "connection": {"kernel": 3, "bias": True}}}
    torch.manual_seed(0)
    network = compile_spec(NetworkSpec.model_validate(data), record="all").eval()
    changes = {("V1", 2): cg.scale(0.5), ("V1", 4): cg.ablate(), ("V2", 3): cg.clamp(low=-0.1, high=0.2)}
    changed_network = cg.intervene(network, changes | {("V2", 5): cg.add_noise(0.3)})
    torch.manual_seed(7)
    logits, states = changed_network(X)

    weights = network.state_dict()

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        return functional.conv2d(x, weights[f"{name}.conv.weight"], weights[f"{name}.conv.bias"], stride, padding=1)

    torch.manual_seed(7)
    v1, v2 = torch.tanh(conv("image_to_V1", X)), None
    for t in range(1, 7):
        if t > 1:
            u = conv("image_to_V1", X) + conv("V1_to_V1", v1)
            if v2 is not None:
                u = u + functional.interpolate(conv("V2_to_V1", v2), scale_factor=2, mode="nearest")
            v1, v2 = torch.tanh(u), torch.tanh(conv("V1_to_V2", v1, stride=2))
        if t == 2:
            v1 = 0.5 * v1
        if t == 3:
            v2 = v2.clamp(-0.1, 0.2)
        if t == 4:
            v1 = torch.zeros_like(v1)
        if t == 5:
            v2 = v2 + 0.3 * torch.randn(v2.shape)
        torch.testing.assert_close(states["V1", t], v1)
        if v2 is not None:
            torch.testing.assert_close(states["V2", t], v2)
    torch.testing.assert_close(
        logits, functional.linear(v2.mean((2, 3)), weights["readout.linear.weight"], weights["readout.linear.bias"])
    )


def test_patches_and_several_places() -> None:
    network = network_of()
    changed_network = cg.intervene(network, {("V1", 2): cg.patch(OTHER[0], [(2, 3, 1)]), ("V2", "all"): cg.scale(2)})
    expected = by_hand(network, {("V1", 2): at_a_place} | {("V2", t): lambda v: 2 * v for t in range(1, STEPS + 1)})
    for one in (changed_network, torch.load(_saved(changed_network), weights_only=False)):
        for key, value in one(X)[1].items():
            torch.testing.assert_close(value, expected[key])
    assert changed_network.state_dict().keys() == network.state_dict().keys()
    assert "V1_2 = self.patch_V1(V1_2)  # intervention" in changed_network.source


def _saved(network: CompiledNetwork) -> Any:
    import io

    stream = io.BytesIO()
    torch.save(network, stream)
    stream.seek(0)
    return stream


@pytest.mark.parametrize("options", [{}, {"passes": []}, {"roll": "never"}], ids=str)
def test_the_interpreter_agrees(options: dict[str, Any]) -> None:
    interventions: Any = {
        ("V1", 3): [cg.ablate([1]), cg.clamp(high=0.2)],
        ("V1 -> V2", "all"): cg.scale(0.5),
        ("image -> V1", 5): cg.ablate(to="mean"),
    }
    network = cg.intervene(network_of(steps=12, **options), interventions)
    areas = build(network.spec).under(network.options.interventions)
    logits, states = interpret_graph(areas, network.state_dict(), {"image": X})
    found, recorded = network(X)
    torch.testing.assert_close(found, logits)
    assert recorded.keys() == states.keys()
    for key, value in states.items():
        torch.testing.assert_close(recorded[key], value)
    one, state = network(X, steps=7, return_state=True)[1:]
    two = network(X, state, steps=5)[1]
    assert all(torch.equal(value, recorded[key]) for key, value in {**one, **two}.items())


def test_random_changes_draw_at_every_call() -> None:
    network = cg.intervene(network_of(), {("V1", "all"): cg.add_noise(0.1), ("V2", 3): cg.ablate(to="resample")})
    assert not torch.equal(network(X)[0], network(X)[0])


def test_connections_with_the_same_ends_change_together() -> None:
    data = changed(TWO_AREAS, {("connections",): [*TWO_AREAS["connections"], "V1 -> V2"]})
    network = compile_spec(NetworkSpec.model_validate(data)).eval()
    silent = cg.intervene(network, {("V1 -> V2", "all"): cg.ablate()})
    torch.testing.assert_close(silent(X), silent(0 * X))
    assert not torch.equal(network(X), network(0 * X))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cg.scale(math.nan), "scale: nan was given"),
        (lambda: cg.clamp(low=-math.inf, high=1), "clamp: -inf was given(.|\n)*Leave a bound out"),
        (lambda: cg.clamp(low=2, high=1), "the lower bound is not above the upper one"),
        (lambda: cg.add_noise(-1), "a standard deviation is at least 0"),
        (lambda: cg.ablate(units=3), r"units=3 was given(.|\n)*`units=\[0, 1\]`"),  # type: ignore[arg-type]
        (lambda: cg.ablate(units=[1.5]), r"units=\[1.5\] was given"),  # type: ignore[list-item]
    ],
)
def test_changes_that_mean_nothing_are_findings(make: Any, message: str) -> None:
    with pytest.raises(cg.CompileError, match=message):
        make()


def test_a_patch_of_several_images_needs_as_many() -> None:
    network = cg.intervene(network_of(), {("V1", 2): cg.patch(np.ones((3, *OTHER.shape[1:])))})
    with pytest.raises(cg.DataError, match=rf"intervention V1: the patch is of 3 images, but x has {len(X)}"):
        network(X)


def test_a_file_says_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "v2.npy", np.zeros((4, 8, 8)))
    file = tmp_path / "cut.yaml"
    file.write_text("- {at: V1, steps: [2], ablate: zero, units: [0, 1]}\n- {at: V2, steps: 3, patch: v2.npy}\n")
    network = network_of()
    _, states = cg.intervene(network, file)(X)
    expected = by_hand(network, {("V1", 2): lambda v: without([0, 1], v), ("V2", 3): lambda v: 0 * v})
    for key, value in states.items():
        torch.testing.assert_close(value, expected[key])


def test_all_findings_come_at_once() -> None:
    with pytest.raises(cg.CompileError) as caught:
        cg.intervene(
            network_of(),
            {
                ("V3", 1): cg.ablate(),
                ("V2", (1, 9)): cg.ablate([7]),
                ("V1", 2): cg.patch(torch.zeros(1, 2, 2)),
                ("V1", 0): cg.ablate(),
            },
        )
    text = str(caught.value)
    for part in (
        "there is no area or connection `V3`",
        "step 9 was given, but the network runs for 4 steps",
        "V2 is silent at step 1",
        "there is no unit 7, but V2 has channels 0 to 3 of 8 × 8 units",
        r"the patch is [1, 1, 2, 2], but the values of V1 are [B, 4, 16, 16]",
        "step 0 was given",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("at: V1", r"cut.yaml:1: no list was found"),
        (
            "- {at: V1, abblate: zero}\n- {scale: 2}",
            r"cut.yaml:1: \[0\]: `abblate` is no(.|\n)*cut.yaml:2: \[1\]: ",
        ),
        ("- {at: V1, patch: missing.npy}", r"cut.yaml:1: \[0\]: patch: 'missing.npy'"),
        ("- {at: V1, ablate: nothing}", r"cut.yaml:1: \[0\]: to='nothing' was given"),
    ],
)
def test_what_is_wrong_in_a_file_has_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "cut.yaml"
    file.write_text(text)
    with pytest.raises(cg.SpecError, match=message):
        cg.intervene(network_of(), file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda network: setattr(network, "V1", torch.nn.Tanh()), r"V1 is Tanh\(\), not ReLU\(\)"),
        (lambda network: network.V2.register_forward_hook(lambda *_: None), r"V2 has a hook"),
    ],
)
def test_a_network_that_its_user_changed_is_refused(change: Any, message: str) -> None:
    network = network_of()
    change(network)
    with pytest.raises(cg.CompileError, match=message):
        cg.intervene(network, {("V1", 2): cg.ablate()})
