"""Random specs: small networks with any edges, sizes, orders, delays and windows of presentation."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from cortexgraph.pipeline import unroll
from cortexgraph.spec import NetworkSpec

NAMES = ("V1", "TH/TF", "7a", "V1-L4", "train")
SIZES = (8, 4, 2)
NORMS = (
    None,
    {"kind": "batch"},
    {"kind": "batch", "per_step": True},
    {"kind": "group", "groups": 2},
    {"kind": "layer", "per_step": True},
    {"kind": "instance"},
)


@st.composite
def specs(draw: st.DrawFn, max_areas: int = 4, max_steps: int = 5) -> NetworkSpec:
    """A spec whose readouts are live (a feedforward chain runs through all areas, which may fall silent again)."""
    names = NAMES[: draw(st.integers(1, max_areas))]
    size = sorted((draw(st.sampled_from(SIZES)) for _ in names), reverse=True)
    areas = {name: _area(draw, n) for name, n in zip(names, size, strict=True)}
    connections = _connections(draw, names)
    order = draw(_orders(names))
    steps = draw(st.integers(len(names), len(names) + max_steps - 1))
    shown = st.lists(st.integers(1, steps), min_size=1, unique=True)
    present: Any = draw(st.one_of(st.sampled_from(["always", "first"]), shown))
    spec: dict[str, Any] = {
        "cortexgraph": 1,
        "name": "random",
        "input": {"channels": 2, "size": 8, "present": present},
        "areas": areas,
        "connections": connections,
        "readout": {"from": names[-1], "classes": 3, "pool": draw(st.sampled_from(["avg", "max", "flatten"]))},
        "time": {"steps": steps, "order": order},
    }
    live = unroll(NetworkSpec.model_validate(spec)).live_steps(names[-1])
    assume(live)
    at: Any = draw(st.one_of(st.just("all"), st.lists(st.sampled_from(live), min_size=1, unique=True)))
    spec["readout"]["at"] = "last" if at == [steps] and draw(st.booleans()) else at
    return NetworkSpec.model_validate(spec)


def _area(draw: st.DrawFn, size: int) -> dict[str, Any]:
    area: dict[str, Any] = {"channels": draw(st.sampled_from([2, 4])), "size": size}
    norm = draw(st.sampled_from(NORMS))
    if norm is not None:
        area["norm"] = norm
    activation = draw(st.sampled_from([None, "tanh", "softplus", "gelu"]))
    return area if activation is None else area | {"activation": activation}


def _connections(draw: st.DrawFn, names: tuple[str, ...]) -> list[dict[str, Any]]:
    chain = [{"from": a, "to": b} for a, b in zip(("image", *names), names, strict=False)]
    ends = st.tuples(st.sampled_from(("image", *names)), st.sampled_from(names))
    extra = [{"from": a, "to": b, "delay": draw(st.integers(0, 2))} for a, b in draw(st.lists(ends, max_size=6))]
    for connection in (*chain, *extra):
        connection["kernel"] = draw(st.sampled_from([1, 3]))
        if draw(st.booleans()):
            connection["bias"] = draw(st.booleans())
    return [*chain, *extra]


def _orders(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    group = st.lists(st.sampled_from(names), min_size=1, max_size=len(names), unique=True)
    explicit = st.lists(group, max_size=3).map(lambda groups: [[name] for name in names] + groups)
    backwards = st.just([[name] for name in reversed(names)])
    return st.one_of(st.sampled_from(["simultaneous", "sequential"]), explicit, backwards)
