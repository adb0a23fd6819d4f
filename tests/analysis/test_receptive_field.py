"""Receptive fields against the extents of gradients, of operations and of networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import cortexgraph as cg
from cortexgraph.analysis import receptive_fields, window_of
from cortexgraph.ops import OPERATIONS
from cortexgraph.ops.evaluate import evaluate_operation
from cortexgraph.unrolling import Node
from tests.operations import make_operation

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "conv": [{"kernel": [3, 5], "dilation": [2, 1]}, {"stride": 2}, {"kernel": 2, "padding": 0}, {"kernel": 7}],
    "depthwise": [{"kernel": 3, "dilation": 3}],
    "separable": [{"kernel": [5, 3], "stride": [2, 1]}],
    "conv_transpose": [{"kernel": 2}, {"kernel": 3, "stride": 3}, {"kernel": 5, "stride": [2, 1]}, {"kernel": 1}],
    "gabor": [{"kernel": 5, "wavelength_px": 2.9, "stride": 2}],
    "linear": [{}],
    "normalisation_pool": [{"kernel": [5, 1]}, {"order": 1}],
    "radial_basis": [{"kernel": [2, 3]}],
    "max_pool": [
        {"kernel": 3, "stride": 2, "padding": 1},
        {"kernel": 2},
        {"kernel": 3, "stride": 2, "ceil_mode": True},
    ],
    "avg_pool": [{"kernel": [2, 3], "stride": 1}],
    "pad": [{"rim": [1, 2], "mode": mode} for mode in ("zeros", "reflect", "replicate")],
    "antialiased": [{"size": [18, 7]}, {"size": [5, 3]}],
    "nearest": [{"size": [15, 3]}],
    "bilinear": [{"size": [18, 7]}, {"size": [5, 11]}],
    "pool": [{"size": [4, 5]}],
    "upsample": [{"factor": 2}, {"factor": 3, "mode": "bilinear"}],
    "dropout": [{}],
    "clamp": [{"max": 100.0}],
    "product": [{"body": [{"conv": 3}], "by": [{"conv": {"kernel": 5, "dilation": 2}}, "sigmoid"]}],
    "residual": [{"body": [{"conv": 3}, "relu"], "shortcut": [{"conv": {"kernel": 5, "dilation": 2}}]}],
}
"""Options of the operations that gather over space; all others are tried without, where that is possible."""

STATISTICS = {"norm", "local_response"}
"""Their statistics over space are left out of receptive fields."""


def cases() -> list[tuple[str, dict[str, Any]]]:
    words = [word for word in OPERATIONS if word not in STATISTICS]
    return [(word, options) for word in words for options in OPTIONS.get(word, [{}])]


@pytest.mark.parametrize(("word", "options"), cases(), ids=str)
def test_the_field_of_an_operation_is_where_its_gradient_is_not_zero(word: str, options: dict[str, Any]) -> None:
    operation = make_operation(word, (2, 9, 11), 2, **options)
    found = gradient_places(operation)
    for axis in (0, 1):
        for place, places in enumerate(found[axis]):
            assert set(operation.field(axis, place)) == places, (axis, place)


def gradient_places(operation: Any) -> list[list[set[int]]]:
    """By axis and place of the result, the places of the input with a gradient, over many random inputs."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(60, *operation.shape, generator=generator, dtype=torch.float64).add(0.1).requires_grad_()
    y = evaluated(operation, x, generator)
    found: list[list[set[int]]] = [[], []]
    for axis in (0, 1):
        for place in range(y.shape[2 + axis]):
            (gradient,) = torch.autograd.grad(y.select(2 + axis, place).sum(), x, retain_graph=True)
            along = gradient.abs().sum((0, 1, 3 - axis))  # over batch, channels and the other axis
            found[axis].append(set(along.nonzero().flatten().tolist()))
    return found


def evaluated(operation: Any, x: Tensor, generator: torch.Generator) -> Tensor:
    def drawn(shapes: Any) -> dict[str, Tensor]:
        return {n: torch.rand(s, generator=generator, dtype=x.dtype) + 0.1 for n, s in shapes.items()}

    state: dict[str, Tensor] = drawn(operation.parameters())
    for name, chain in operation.chains().items():
        inner = x
        for link in chain:
            inner, _ = evaluate_operation(link.operation, inner, drawn(link.operation.parameters()), training=False)
        state[name] = inner
    return evaluate_operation(operation, x, state, training=False)[0]


# ---- networks ----------------------------------------------------------------


def network(connections: list[Any], areas: dict[str, Any] | None = None, **time: Any) -> cg.NetworkSpec:
    norms = {"area": {"norm": {"kind": "batch"}}}
    sizes = {"A": {"channels": 2, "size": 16}, "B": {"channels": 2, "size": 8}, "C": {"channels": 2, "size": 4}}
    merged = {name: fields | (areas or {}).get(name, {}) for name, fields in sizes.items()}
    data = {
        "name": "fields",
        "input": {"channels": 1, "size": 16},
        "defaults": norms,
        "areas": merged,
        "connections": connections,
        "readout": {"from": "C", "classes": 2},
        "time": {"steps": 4} | time,
    }
    return cg.NetworkSpec.model_validate(data)


CHAIN = ["image -> A -> B -> C"]
NETWORKS = {
    "recurrent": network([*CHAIN, "C -> B -> A", "A -> A"]),
    "sequential": network([*CHAIN, {"from": "C", "to": "A", "kernel": 1, "delay": 1}], order="sequential", steps=3),
    "dilated": network(["image -> A", {"from": "A", "to": "B", "dilation": 2}, {"from": "B", "to": "C", "kernel": 1}]),
    "transposed": network([*CHAIN, {"from": "C", "to": "B", "kernel": 3, "resize": {"mode": "transposed"}}], steps=5),
    "bilinear": network([*CHAIN, {"from": "B", "to": "A", "resize": {"mode": "bilinear", "at": "before"}}]),
    "pooled": network(
        ["image -> A", {"from": "A", "to": "B", "transform": [{"avg_pool": 2}, {"conv": 1}]}, "B -> C"], steps=3
    ),
    "fully connected": network(
        ["image -> A -> B", {"from": "B", "to": "C", "transform": [{"linear": 2}, {"upsample": 4}]}, "C -> B"], steps=5
    ),
    "modulated": network(["image -> A", "A -> B -> C", {"from": "C", "to": "A", "role": "modulate"}], steps=5),
    "gru": network(CHAIN, {"B": {"cell": {"conv_gru": {"kernel": 3}}}}, steps=4),
    "reciprocal": network(CHAIN, {"A": {"cell": {"reciprocal_gated": {"kernel": 3}}}}, steps=4),
    "leaky": network([*CHAIN, "A -> A"], {"A": {"cell": "leaky"}}, steps=3),
    "zero input": network([*CHAIN, "B -> A"], silence="zero_input", steps=4),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_field_of_an_area_is_where_its_gradient_is_not_zero(name: str) -> None:
    spec = NETWORKS[name]
    unrolled = cg.unroll(spec)
    fields = receptive_fields(unrolled, "image")
    x = torch.rand(3, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    _, states = cg.interpret(spec, positive(spec), x)
    assert len(states) >= 6
    for (area, step), state in states.items():
        node = unrolled.state(area, step)
        assert isinstance(node, Node)
        assert (extent(state, x, 0), extent(state, x, 1)) == fields[node], (area, step)


def positive(spec: cg.NetworkSpec) -> dict[str, Tensor]:
    """Small positive weights, so that no two paths cancel; norms that do nothing."""
    torch.manual_seed(0)
    state = cg.compile(spec).double().state_dict()
    return {
        name: value if "running" in name or "num_batches" in name else value.abs() * 0.3 + 0.01
        for name, value in state.items()
    }


def extent(state: Tensor, x: Tensor, axis: int) -> int:
    """The largest hull, along an axis, of the gradient of one row or column of a state."""
    largest = 0
    if not state.requires_grad:
        return 0
    for place in range(state.shape[2 + axis]):
        (gradient,) = torch.autograd.grad(state.select(2 + axis, place).sum(), x, retain_graph=True, allow_unused=True)
        if gradient is None:
            continue
        at = gradient.abs().sum((0, 1, 3 - axis)).nonzero().flatten()
        largest = max(largest, int(at[-1] - at[0]) + 1 if len(at) else 0)
    return largest


def test_windows_of_connections() -> None:
    areas = cg.build(NETWORKS["dilated"])
    assert [window_of(connection) for connection in areas.connections] == [(3, 3), (5, 5), (1, 1)]


def test_a_long_unrolling_is_quick_to_analyse() -> None:
    """The steady state is found again, not computed again: as many different fields as in a short unrolling."""
    long = receptive_fields(cg.unroll(cg.load("ventral"), steps=250), "image")
    assert len(long) == 250 + 249 + 248 + 247
    assert {extent for node, extent in long.items() if node.step > 10} == {(32, 32)}
