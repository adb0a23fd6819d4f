"""The compiled module equals the reference interpreter on every state, gradient and running average."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from cortexgraph.compiler import compile_spec, interpret
from cortexgraph.passes import PASSES
from cortexgraph.spec import NetworkSpec, load, zoo
from tests.oracle import compare, images, published_size, rounded
from tests.strategies import specs

UP_AND_DOWN = [["V1"], ["V2"], ["V4"], ["IT"], ["V4"], ["V2"], ["V1"]]


def small(name: str, order: object) -> NetworkSpec:
    """A shipped spec with a sixteenth of its channels, so that float64 on two cores stays quick."""
    spec = load(name)
    channels = {area: max(2, declared.channels // 16) for area, declared in spec.areas.items()}
    overrides = {f"areas.{area}.channels": n for area, n in channels.items()}
    return load(name, overrides | {"time.order": order})


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "order", ["simultaneous", "sequential", UP_AND_DOWN], ids=["simultaneous", "sequential", "up-down"]
)
@pytest.mark.parametrize("name", ["ventral", "ventral_feedforward"])
def test_ventral_streams_under_all_orders(name: str, order: object, training: bool) -> None:
    assert compare(small(name, order), training=training).worst < 1e-8


@pytest.mark.parametrize("norm", ["batch", "group", "layer", "instance", "local_response"])
@pytest.mark.parametrize("place", ["body", "block", "tied"])
def test_rounding_is_measured_at_every_norm_of_the_interpreter(norm: str, place: str) -> None:
    body: list[Any] = [{"residual": [{"norm": norm}]}] if place == "block" else [{"norm": norm}]
    transforms = [{"transform": [{"conv": 3}]}] * 2 if place != "tied" else [{"name": "a", "transform": body}] * 2
    ties = [{}, {"tie": "a", "name": "b"} if place == "tied" else {}]
    spec = NetworkSpec.model_validate(
        {
            "name": "rounded",
            "input": {"channels": 2, "size": 4},
            "areas": {"A": {"channels": 2, "size": 4, "body": ["relu"] if place == "tied" else [*body, "relu"]}},
            "connections": [{"from": "image", "to": "A", **transforms[n], **ties[n]} for n in range(2)],
            "readout": {"from": "A", "classes": 2},
            "time": {"steps": 1},
        }
    )
    state = compile_spec(spec).double().state_dict()
    x = images(spec)
    exact, _ = interpret(spec, state, x, training=True)
    with rounded(1e-3):
        nudged, _ = interpret(spec, state, x, training=True)
    assert isinstance(exact, Tensor)
    assert isinstance(nudged, Tensor)
    assert 1e-9 < float((exact - nudged).abs().max()) < 1e-1


@pytest.mark.parametrize("name", [name for name in zoo() if not published_size(name)])
def test_every_shipped_spec_as_it_is(name: str) -> None:
    assert compare(load(name), batch=2).worst < 1e-8


ways = {
    "passes": st.none() | st.lists(st.sampled_from([*PASSES]), unique=True),  # all, or any subset
    "video": st.booleans(),
    "training": st.booleans(),
    "record": st.booleans(),
    "roll": st.sampled_from(["never", "always"]),
}
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = 2000


@QUICK
@given(spec=specs(), **ways)
def test_random_specs(spec: NetworkSpec, **ways: Any) -> None:
    compare(spec, **ways)


@pytest.mark.slow
def test_two_thousand_random_specs(capsys: pytest.CaptureFixture[str]) -> None:
    """Larger ones too; `pytest -m slow -s -k two_thousand` prints what was compared."""
    seen = []

    @settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(spec=specs(max_areas=8), **ways)
    def run(spec: NetworkSpec, **ways: Any) -> None:
        seen.append(compare(spec, **ways))

    run()
    totals = [sum(getattr(c, what) for c in seen) for what in ("states", "gradients", "averages")]
    worst = max(comparison.worst for comparison in seen if comparison.stable)
    amplified = [comparison.worst for comparison in seen if not comparison.stable]
    with capsys.disabled():
        print(f"\n{len(seen)} specs: {totals[0]} states, {totals[1]} gradients and {totals[2]} entries of running")
        print(f"averages agree; largest difference {worst:.1e}")
        print(f"{len(amplified)} of them amplify rounding, to {max(amplified, default=0):.1e} at most")
    assert len(seen) >= MANY
    assert len(amplified) < MANY / 100
