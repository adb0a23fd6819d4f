from __future__ import annotations

from hypothesis import given, settings

from cortexgraph.compiler import build, emit
from cortexgraph.graph import resolved
from cortexgraph.spec import NetworkSpec, dumps, load, loads
from tests.strategies import specs


def same_source(a: NetworkSpec, b: NetworkSpec) -> bool:
    """Equal but for the digest of the spec."""
    return emit(a).replace(a.digest[:16], "") == emit(b).replace(b.digest[:16], "")


def test_everything_is_explicit() -> None:
    spec = resolved(build(load("ventral")))
    assert all(area.size and area.norm and area.activation and area.level is not None for area in spec.areas.values())
    assert all(c.kind and c.kernel and c.stride and c.bias is not None for c in spec.connections)
    assert spec.defaults.area.norm is None
    assert same_source(spec, load("ventral"))


@settings(max_examples=40, deadline=None)
@given(spec=specs())
def test_it_is_the_same_network_and_resolves_to_itself(spec: NetworkSpec) -> None:
    written = resolved(build(spec))
    assert same_source(written, spec)
    assert resolved(build(written)) == written
    assert loads(dumps(written)) == written


def test_a_measured_strength_is_kept_and_changes_no_network() -> None:
    plain = load("ventral")
    noted = load("ventral", ["connections[0].strength=0.037"])
    graph = build(noted)
    assert [c.strength for c in graph.connections if c.strength is not None] == [0.037]
    assert [c.strength for c in build(resolved(graph)).connections if c.strength is not None] == [0.037]
    assert same_source(noted, plain)


def test_a_norm_that_is_an_operation_of_its_own_stays_one() -> None:
    body = [{"residual": [{"local_response": {"neighbours": 3, "alpha": 0.5, "k": 2.0}}]}]
    spec = load("ventral", {"areas.V4.body": body})
    written = resolved(build(spec))
    assert resolved(build(written)) == written
    assert same_source(written, spec)


def test_a_tied_norm_keeps_its_groups() -> None:
    transform = [{"conv": 1}, {"norm": {"kind": "group", "groups": 2}}]
    connections = [
        "image -> A",
        {"from": "image", "to": "A", "name": "owner", "transform": transform},
        {"from": "image", "to": "A", "transform": transform, "delay": 1, "tie": "owner"},
    ]
    spec = NetworkSpec.model_validate(
        {
            "name": "tied",
            "input": {"channels": 2, "size": 4},
            "areas": {"A": {"channels": 4, "size": 4}},
            "connections": connections,
            "readout": {"from": "A", "classes": 2},
            "time": {"steps": 2},
        }
    )
    assert same_source(resolved(build(spec)), spec)
