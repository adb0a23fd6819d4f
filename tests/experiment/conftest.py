"""Experiments so small that a run takes a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from cortexgraph.experiment import ExperimentSpec, load_experiment

NET = """
cortexgraph: 1
name: net
input: {size: 16}
areas:
  V1: {channels: 4, size: 8, norm: {kind: batch, per_step: true}}
  IT: {channels: 6, size: 4, norm: batch}
connections: [image -> V1 -> IT -> V1, V1 -> V1]
readout: {from: IT, classes: 10}
time: {steps: 3}
"""
HEAD = """
cortexgraph: 1
name: tiny
spec: net.yaml
data: {source: shapes, train_images: 60, test_images: 40}
settings: {epochs: 1, batch_size: 20, device: cpu}
"""

Write = Callable[[str], ExperimentSpec]


def written(folder: Path, rest: str, *, net: bool = True) -> ExperimentSpec:
    """Write an experiment into the folder, with its spec or beside the one that is there, and read it."""
    if net:
        (folder / "net.yaml").write_text(NET)
    path = folder / "tiny.yaml"
    lines = {line.split(":")[0] for line in rest.splitlines() if line and not line.startswith(" ")}
    head = "\n".join(line for line in HEAD.strip().splitlines() if line.split(":")[0] not in lines)
    path.write_text(f"{head}\n{rest}\n")
    return load_experiment(path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an experiment beside its spec, and read it."""
    return partial(written, tmp_path)
