from __future__ import annotations

import keyword

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cortexgraph.compiler import build, compile_spec, interpret
from cortexgraph.graph.names import RESERVED, Namespace, renamed
from cortexgraph.spec import NetworkSpec
from tests.oracle import randomise


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("V1", "V1"),
        ("TH/TF", "TH_TF"),
        ("7a", "area_7a"),
        ("V1-L4", "V1_L4"),
        ("V1 (L2/3)", "V1_L2_3"),
        ("aire visuelle é", "aire_visuelle_e"),
        ("視覚", "area"),
        ("class", "class_2"),
        ("train", "train_2"),
        ("forward", "forward_2"),
    ],
)
def test_identifiers(text: str, identifier: str) -> None:
    assert Namespace().identifier(text) == identifier


def test_names_that_look_alike_stay_apart() -> None:
    names = Namespace()
    found = [names.identifier(text) for text in ("TH/TF", "TH-TF", "TH_TF", "TH/TF")]
    assert found == ["TH_TF", "TH_TF_2", "TH_TF_3", "TH_TF_4"]


def test_names_are_never_cut_and_stay_apart() -> None:
    names = Namespace()
    assert [names.identifier("inferotemporal cortex, anterior part") for _ in range(2)] == [
        "inferotemporal_cortex_anterior_part",
        "inferotemporal_cortex_anterior_part_2",
    ]
    assert names.identifier("7" * 64) == "area_" + "7" * 64


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=64), max_size=20))
def test_identifiers_of_any_names_are_unique_and_legal(texts: list[str]) -> None:
    names = Namespace()
    identifiers = [names.identifier(text) for text in texts]
    assert len(set(identifiers)) == len(texts)
    assert all(name.isidentifier() and not name.startswith("_") and name not in RESERVED for name in identifiers)


LONG = "inferotemporal cortex, anterior part", "inferotemporal cortex, posterior part", "options"


def long_names() -> NetworkSpec:
    first, second, third = LONG
    return NetworkSpec.model_validate(
        {
            "name": "long",
            "input": {"size": 8},
            "areas": {name: {"channels": n + 2, "size": 8, "norm": "batch"} for n, name in enumerate(LONG)},
            "connections": [f"image -> {first} -> {second} -> {third} -> {first}"],
            "readout": [{"from": name, "classes": 3 + n, "at": "all"} for n, name in enumerate(LONG[:2])],
            "time": {"steps": 4},
        }
    )


OLD = {
    "inferotemporal_cortex_anterior_part": "inferotemporal_c",
    "inferotemporal_cortex_posterior_part": "inferotemporal_c_2",
    "options_2": "options",
    "image_to_inferotemporal_cortex_anterior_part": "image_to_inferotemporal_c",
    "inferotemporal_cortex_anterior_part_to_inferotemporal_cortex_posterior_part": (
        "inferotemporal_c_to_inferotemporal_c_2"
    ),
    "inferotemporal_cortex_posterior_part_to_options_2": "inferotemporal_c_2_to_options",
    "options_2_to_inferotemporal_cortex_anterior_part": "options_to_inferotemporal_c",
    "readout_inferotemporal_cortex_anterior_part": "readout_inferotemporal_c",
    "readout_inferotemporal_cortex_posterior_part": "readout_inferotemporal_c_2",
}
"""Identifiers of today, and those of version 0.1."""


@pytest.mark.parametrize("prefix", ["", "network."])
def test_a_state_dict_of_version_0_1_loads_under_the_names_of_today(prefix: str) -> None:
    spec = long_names()
    source, target = randomise(compile_spec(spec)), compile_spec(spec)
    state = source.state_dict()
    assert {name.split(".")[0] for name in state} == OLD.keys()
    old = {f"{prefix}{OLD[first]}.{rest}": state[f"{first}.{rest}"] for first, rest in (k.split(".", 1) for k in state)}
    holder = nn.ModuleDict({"network": target}) if prefix else target
    holder.load_state_dict(old)
    for name, value in target.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert renamed(build(spec), state) == state
    x = torch.rand(2, 3, 8, 8)
    _, states = interpret(spec, {key.removeprefix(prefix): value for key, value in old.items()}, x)
    _, expected = interpret(spec, state, x)
    for key, value in states.items():
        assert torch.equal(value, expected[key]), key


def test_everything_that_a_torch_module_has_is_reserved() -> None:
    public = {name for name in dir(nn.Module()) if not name.startswith("_")}
    assert public <= RESERVED
    assert set(keyword.kwlist) <= RESERVED
