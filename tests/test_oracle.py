"""The compiled module equals the reference interpreter on every state and every gradient."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cortexgraph.spec import NetworkSpec, load, zoo
from tests.oracle import compare
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


@pytest.mark.parametrize("name", sorted(zoo()))
def test_every_shipped_spec_as_it_is(name: str) -> None:
    assert compare(load(name), batch=2).worst < 1e-8


each_way = given(spec=specs(), passes=st.sampled_from([None, []]), video=st.booleans(), training=st.booleans())
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = 2000


@QUICK
@each_way
def test_random_specs(spec: NetworkSpec, passes: list[str] | None, video: bool, training: bool) -> None:
    assert compare(spec, passes=passes, video=video, training=training).worst < 1e-8


@pytest.mark.slow
def test_two_thousand_random_specs(capsys: pytest.CaptureFixture[str]) -> None:
    """Larger ones too; `pytest -m slow -s -k two_thousand` prints what was compared."""
    seen = []

    @settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(spec=specs(max_areas=8), passes=st.sampled_from([None, []]), video=st.booleans(), training=st.booleans())
    def run(spec: NetworkSpec, passes: list[str] | None, video: bool, training: bool) -> None:
        seen.append(compare(spec, passes=passes, video=video, training=training))

    run()
    states, gradients = sum(c.states for c in seen), sum(c.gradients for c in seen)
    worst = max(comparison.worst for comparison in seen)
    with capsys.disabled():
        print(f"\n{len(seen)} specs: {states} states and {gradients} gradients agree; largest difference {worst:.1e}")
    assert len(seen) >= MANY
    assert worst < 1e-8
