"""Connections that use the parameters of another one."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from cortexgraph.compiler import build, compile_spec
from cortexgraph.errors import GraphError
from cortexgraph.spec import NetworkSpec


def network(*connections: Any, **more: Any) -> NetworkSpec:
    return NetworkSpec.model_validate(
        {
            "name": "tied",
            "input": {"channels": 2, "size": 8},
            "areas": {"A": {"channels": 2, "size": 8, "body": []}, "B": {"channels": 3, "size": 4, "body": []}},
            "connections": ["image -> A", *connections],
            "readout": {"from": "A", "classes": 2},
            "time": {"steps": 3},
        }
        | more
    )


UP = {"from": "A", "to": "B", "bias": False}
DOWN = {"from": "B", "to": "A", "tie": {"connection": "A -> B", "transpose": True}}


def test_a_tied_connection_owns_nothing() -> None:
    module = compile_spec(network(UP, DOWN))
    assert not [name for name in module.state_dict() if name.startswith("B_to_A")]
    down = build(network(UP, DOWN)).connections[2]
    assert down.parameters() == 0
    assert down.owner == "A_to_B"


def test_a_transposed_tie_is_the_adjoint() -> None:
    """⟨w ⋆ a, b⟩ = ⟨a, wᵀ ⋆ b⟩ for all a and b."""
    module = compile_spec(network(UP, DOWN)).double()
    a, b = torch.randn(1, 2, 8, 8, dtype=torch.float64), torch.randn(1, 3, 4, 4, dtype=torch.float64)
    up, down = module.A_to_B(a), module.B_to_A(b)
    torch.testing.assert_close((up * b).sum(), (a * down).sum())


def test_a_tied_convolution_may_have_another_stride() -> None:
    side = {"from": "A", "to": "A", "tie": "image -> A", "dilation": 2}
    module = compile_spec(network(UP, DOWN, side))
    a = torch.randn(1, 2, 8, 8)
    weight, bias = module.image_to_A.conv.weight, module.image_to_A.conv.bias
    torch.testing.assert_close(module.A_to_A(a), F.conv2d(a, weight, bias, padding=2, dilation=2))


def test_the_gradient_of_both_uses_reaches_the_owner() -> None:
    module = compile_spec(network(UP, DOWN)).double()
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    module(x).sum().backward()
    weight = module.A_to_B.conv.weight
    assert weight.requires_grad
    assert weight.grad is not None
    alone = compile_spec(network(UP, {"from": "B", "to": "A"})).double()
    alone.load_state_dict(module.state_dict(), strict=False)
    assert float(weight.grad.abs().sum()) > 0


def test_a_copy_is_tied_to_the_copy() -> None:
    module = compile_spec(network(UP, DOWN))
    copied = deepcopy(module).double()
    with torch.no_grad():
        copied.A_to_B.conv.weight.zero_()
    b = torch.randn(1, 3, 4, 4)
    assert float(copied.B_to_A(b.double()).detach().abs().sum()) == 0
    assert float(module.B_to_A(b).detach().abs().sum()) > 0


def test_a_line_of_ties_ends_at_one_owner() -> None:
    first = {"from": "A", "to": "A", "name": "one", "kernel": 3}
    second = {"from": "A", "to": "A", "name": "two", "tie": "one", "delay": 1}
    third = {"from": "A", "to": "A", "tie": "two", "active": "first"}
    graph = build(network(UP, first, second, third))
    assert [connection.owner for connection in graph.connections[2:]] == [None, "one", "one"]


def test_per_step_parameters_are_shared_set_by_set() -> None:
    own = {"from": "A", "to": "A", "name": "own", "weights": "per_step"}
    tied = {"from": "A", "to": "A", "tie": "own", "delay": 1}
    module = compile_spec(network(UP, own, tied), record={"A": "all"})
    a = torch.randn(1, 2, 8, 8)
    for update in (1, 2, 3, 9):
        assert torch.equal(module.own(a, update), module.A_to_A_2(a, update))
    assert not torch.equal(module.own(a, 2), module.own(a, 3))


@pytest.mark.parametrize(
    ("tie", "message"),
    [
        ("A -> C", "no connection is called `A -> C`"),
        ("nothing", "no connection is called `nothing`"),
        ({"connection": "image -> A", "transpose": True}, "the transpose of image -> A goes from 2 to 2"),
        ("B -> A", "the connection is tied to itself"),
        ("A -> B", "weight 2 × 3 × 3 × 3"),
    ],
)
def test_what_cannot_be_tied(tie: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        build(network(UP, {"from": "B", "to": "A", "tie": tie}))


def test_only_a_single_convolution_can_be_transposed() -> None:
    up = {"from": "A", "to": "B", "transform": [{"depthwise": 3}, {"conv": 1}]}
    with pytest.raises(GraphError, match="only a single convolution"):
        build(network(up, DOWN))
