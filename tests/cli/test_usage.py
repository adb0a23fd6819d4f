"""Wrong usage: everything that is wrong with a command line at once, with what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

SPEC = """name: a
input: {size: 8}
areas: {V1: {channels: 2, size: 8}}
connections: [image -> V1]
readout: {from: V1, classes: 2}
time: {steps: 2}
"""
EXPERIMENT = "name: e\nspec: ventral\nvariants: {short: {set: {time.steps: 4}}}\n"


def test_all_unknown_options_at_once(run: Run) -> None:
    result = run("train", "ventral", "--epoch", "3", "--learning-rate=0.1", "--batch_size", "4", "--lr", "1")
    assert result.code == 2
    text = " ".join(result.err.replace("│", " ").split())
    assert "No such option: --epoch. Did you mean --epochs?" in text
    assert "No such option: --learning-rate. Did you mean --lr?" in text
    assert "No such option: --batch_size. Did you mean --batch-size?" in text


def test_an_argument_after_two_dashes_is_no_option(run: Run) -> None:
    result = run("check", "--", "--nothing")
    assert "No such option" not in result.err
    assert result.code == 1


def test_settings_that_were_typed_are_named_as_options(run: Run) -> None:
    result = run("train", "ventral", "--batch-size", "0", "--optimizer", "adam", "--out", "r")
    assert result.code == 1
    assert "--batch-size: 0 was given, but it must be at least 1." in result.err
    assert "--optimizer: 'adam' was given" in result.err
    assert "settings." not in result.err


@pytest.mark.parametrize("name", ["spec", "experiment"])
def test_a_spec_is_no_experiment_and_an_experiment_no_spec(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "f.yaml").write_text(SPEC if name == "spec" else EXPERIMENT)
    result = run("compare", "f.yaml", "--dry-run") if name == "spec" else run("check", "f.yaml")
    assert result.code == 1
    (first, second) = result.err.splitlines()
    other = "an experiment" if name == "spec" else "a spec"
    this = "a spec" if name == "spec" else "an experiment"
    assert first == f"f.yaml:1: this is {this}, but {other} is needed."
    assert "`cortexgraph train f.yaml`" in second or "`cortexgraph compare f.yaml`" in second


def test_a_zoo_spec_is_no_experiment(run: Run) -> None:
    result = run("compare", "ventral")
    assert result.code == 1
    assert "name it in an experiment file, under `spec: ventral`" in result.err
