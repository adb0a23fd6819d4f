from __future__ import annotations

import re
from typing import Any

from cortexgraph.compiler import compile_spec, emit
from cortexgraph.spec import NetworkSpec, load
from tests.oracle import compare


def test_the_blocks_of_cornet_s_are_one_class_and_its_tied_blocks_another() -> None:
    source = emit(load("cornet_s"))
    assert re.findall(r"class (Block\w*)\(Chain\)", source) == ["Block", "Block2"]
    assert "self.V4_in_to_V4 = Block(64, 256, 4)" in source
    assert "self.V4_to_V4 = Block2(self.V4_in_to_V4)" in source
    assert source.count("nn.Conv2d(") == 6 + 4 - 1  # the stem's two, three between areas, four in the block


def blocks(**first: Any) -> NetworkSpec:
    """Three connections of one structure, with the options of the first changed."""
    chain = [
        {"conv": {"kernel": 3, "channels": 4}}, "norm", "relu", {"conv": {"kernel": 1}}, {"norm": "layer"}, "tanh",
        {"dropout": 0.25}, {"conv": 3},
    ]  # fmt: skip
    return NetworkSpec.model_validate(
        {
            "name": "block",
            "input": {"channels": 2, "size": 8},
            "areas": {"A": {"channels": 2}, "B": {"channels": 3}, "C": {"channels": 5}},
            "connections": [
                {"from": "image", "to": "A", "transform": chain} | first,
                {"from": "A", "to": "B", "transform": chain},
                {"from": "B", "to": "C", "transform": chain},
            ],
            "readout": {"from": "C", "classes": 2},
            "time": {"steps": 3},
        }
    )


def test_chains_that_differ_only_in_numbers_are_one_class_and_keep_their_values_and_names() -> None:
    module = compile_spec(blocks())
    source = module.source
    assert re.findall(r"self.(\w+) = Block\(", source) == ["image_to_A", "A_to_B", "B_to_C"]
    assert "class BlockNetwork(nn.Module)" in source or "class Block(nn.Module)" not in source
    separate = {name for name, _ in compile_spec(blocks(init="zeros")).named_parameters()}
    assert {name for name, _ in module.named_parameters()} == separate
    assert compare(blocks()).stable
    assert compare(blocks(), training=False).stable


def test_a_chain_of_another_structure_stays_apart() -> None:
    other = emit(blocks(transform=["conv", "relu", "conv", "relu", "conv", "relu"]))
    assert re.findall(r"self.(\w+) = Block\(", other) == ["A_to_B", "B_to_C"]
    assert "Block" not in emit(load("ventral"))
