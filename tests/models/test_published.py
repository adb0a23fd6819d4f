"""Every spec of the library equals its paper's equations, written by hand, and has as many parameters as published."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cortexgraph.analysis import summarise
from cortexgraph.compiler import check, lower, unroll
from cortexgraph.spec import load, zoo
from cortexgraph.spec.loading import citation
from tests.models.by_hand import classical, cornet, feedforward, recurrent, source_paper, ventral
from tests.models.parity import ByHand, compare_by_hand
from tests.oracle import published_size

ROOT = Path(__file__).parents[2]

MODELS: dict[str, ByHand] = {
    **source_paper.MODELS,
    **feedforward.MODELS,
    **recurrent.MODELS,
    **classical.MODELS,
    **cornet.MODELS,
    **ventral.MODELS,
}
SMALL = [name for name in MODELS if not published_size(name)]
LARGE = [name for name in MODELS if published_size(name)]
FROM_TORCHVISION = {"alexnet_imagenet", "resnet18_imagenet", "resnet50_imagenet"}
AS_RELEASED = {"blt_imagenet", "blt_vs_imagenet"}
"""Held to modules with the released names, at every step of readout, in `tests/released`."""

PARAMETERS = {
    "alexnet_imagenet": 61_100_840,  # torchvision
    "resnet18_imagenet": 11_689_512,  # torchvision
    "resnet50_imagenet": 25_557_032,  # torchvision
    "cornet_z_imagenet": 2_071_656,  # of the released code, layer by layer
    "cornet_r_imagenet": 5_208_936,  # likewise
    "cornet_rt_imagenet": 5_208_936,  # likewise
    "cornet_s_imagenet": 53_416_616,  # likewise
    "bl_ecoset": 27_979_605,  # likewise
    "rcnn96": 672_202,  # 0.67 M in the paper
    "resnet20": 269_722,  # 0.27 M in the paper
    "recursive_conv": 8 * 8 * 3 * 32 + 32 + 9 * 32 * 32 + 32 + 8 * 8 * 32 * 10 + 10,  # V, b, W, c, classifier
}


def test_every_spec_of_the_library_is_held_to_an_independent_implementation() -> None:
    assert set(zoo()) == {*MODELS, *FROM_TORCHVISION, *AS_RELEASED}


@pytest.mark.parametrize("name", SMALL)
def test_the_spec_equals_the_equations(name: str) -> None:
    assert compare_by_hand(load(name), MODELS[name], training=True).worst < 1e-9


@pytest.mark.slow  # 80 s: the rest of both modes and of both implementations
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", SMALL)
def test_the_interpreted_spec_equals_the_equations_too(
    name: str, training: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    difference = compare_by_hand(load(name), MODELS[name], training=training, interpreted=True)
    with capsys.disabled():
        print(f"\n{name}: {difference}")
    assert difference.worst < 1e-9


@pytest.mark.slow  # tens of GFLOP in float64
@pytest.mark.parametrize("name", LARGE)
def test_the_spec_of_published_size_equals_the_equations(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    difference = compare_by_hand(load(name), MODELS[name], training=False, batch=1)
    with capsys.disabled():
        print(f"\n{name}: {difference}")
    assert difference.worst < 1e-9


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameters_are_as_many_as_published(name: str) -> None:
    assert summarise(*lower(load(name))).parameters == PARAMETERS[name]


@pytest.mark.parametrize("name", sorted(zoo()))
def test_the_spec_is_short_sound_and_cited(name: str) -> None:
    text = zoo()[name].read_text()
    assert len(text.splitlines()) <= 75
    spec = load(name)
    assert spec.name == name
    assert check(spec) == []
    assert spec.references
    assert spec.description.endswith(".")


def test_every_reference_is_in_the_bibliography_and_every_entry_is_cited() -> None:
    entries = re.findall(r"^@\w+\{([^,]+),", (ROOT / "docs" / "references.bib").read_text(), re.MULTILINE)
    assert len(entries) == len(set(entries))
    cited = {key for name in zoo() for key in load(name).references}
    protocols = (path.read_text() for path in (ROOT / "cortexgraph" / "protocol" / "shipped").glob("*.yaml"))
    cited |= {
        key
        for text in protocols
        for line in re.findall(r"^references: \[(.+)\]", text, re.M)
        for key in line.split(", ")
    }
    assert cited <= set(entries)
    pages = [*(ROOT / "cortexgraph").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    text = "".join(path.read_text() for path in pages)  # by key, or by the first author
    assert [key for key in entries if key not in cited and not re.search(rf"{key}|{citation((key,))[:6]}", text)] == []


# ---- what the papers say of time -----------------------------------------------


def test_in_cornet_rt_the_image_reaches_it_at_the_fourth_step() -> None:
    graph = unroll(load("cornet_rt"))
    seen = graph.from_image()
    assert [node.step for node in graph.updates("IT") if node in seen] == [4, 5]
    assert graph.live_steps("IT") == (1, 2, 3, 4, 5)  # before, it gives ReLU of the norm's shift


def test_in_cornet_r_it_reaches_it_at_the_second_step() -> None:
    graph = unroll(load("cornet_r"))
    seen = graph.from_image()
    assert [node.step for node in graph.updates("IT") if node in seen] == [2, 3, 4, 5]


def test_cornet_s_iterates_two_four_and_two_times() -> None:
    graph = unroll(load("cornet_s"))
    assert {area: graph.ordinals[area] for area in ("V1", "V2", "V4", "IT")} == {"V1": 1, "V2": 2, "V4": 4, "IT": 2}


def test_modules_of_the_clockwork_rnn_tick_at_their_periods() -> None:
    graph = unroll(load("clockwork_rnn"))
    ticks = {
        name: [node.step for node in graph.updates(name) if any(s.kind == "image" for s in graph.predecessors(node))]
        for name in ("fast", "middle", "slow")
    }
    assert ticks == {"fast": [1, 2, 3, 4, 5, 6, 7, 8], "middle": [1, 3, 5, 7], "slow": [1, 5]}
