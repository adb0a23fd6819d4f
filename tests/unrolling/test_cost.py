"""The one count of parameters against those of the compiled network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cortexgraph as cg
from cortexgraph.cli.app import app
from cortexgraph.pages import page
from cortexgraph.training import packed
from cortexgraph.training.run_folder import RunFolder
from cortexgraph.unrolling import total_parameters, trained_parameters

LARGE = {name for name in cg.zoo() if name.endswith("imagenet") or name == "bl_ecoset"}

TIED = """
cortexgraph: 1
name: tied
input: {channels: 3, size: 8}
areas: {A: {channels: 4, size: 8, norm: {kind: batch, per_step: true}}, B: {channels: 4, size: 8}, C: {channels: 2}}
connections:
  - {from: image, to: A, kernel: 3}
  - {from: A, to: B, kernel: 3, bias: false, weights: per_step}
  - {from: B, to: A, kernel: 3, bias: false, kind: feedback, tie: A -> B}
  - {from: B, to: C, kernel: 3, stride: 1, kind: feedforward}
readout: {from: B, pool: avg, classes: 3, at: [2, 5]}
time: {steps: 6}
"""


@pytest.mark.parametrize("spec", [*sorted(set(cg.zoo()) - LARGE), TIED])
def test_the_counts_are_those_of_the_compiled_network(spec: str) -> None:
    network = cg.compile(spec if spec != TIED else cg.loads(TIED))
    full = cg.unroll(network.spec)
    assert total_parameters(full) == sum(p.numel() for p in network.parameters())
    assert trained_parameters(full) == sum(p.numel() for p in network.parameters() if p.requires_grad)


def test_every_place_says_one_number_of_parameters(tmp_path: Path) -> None:
    """Where fewer are trained, the same line says how many."""
    both = "328,122 parameters (327,770 trained; no readout depends on the others)"
    shown = CliRunner().invoke(app, ["show", "ventral"]).output
    assert both in re.sub(r"\s+", " ", shown)
    assert both in RunFolder(packed()["ventral-cifar10"]).summary_text.read_text()
    assert RunFolder(packed()["ventral-cifar10"]).read_summary().parameters_text == both
    assert "328 k parameters" in cg.draw("ventral").svg()
    assert ">328 k<" in page("ventral")
