from __future__ import annotations

import keyword

import pytest
from torch import nn

from cortexgraph.graph.names import MAX_LENGTH, RESERVED, Namespace


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


def test_long_names_are_cut() -> None:
    names = Namespace()
    found = [names.identifier("inferotemporal cortex, anterior part") for _ in range(2)]
    assert len(set(found)) == 2
    found += [names.identifier("7" * 40), names.identifier("an area_with a gap here")]
    assert all(len(name) <= MAX_LENGTH + 2 and name.isidentifier() for name in found)


def test_everything_that_a_torch_module_has_is_reserved() -> None:
    public = {name for name in dir(nn.Module()) if not name.startswith("_")}
    assert public <= RESERVED
    assert set(keyword.kwlist) <= RESERVED
