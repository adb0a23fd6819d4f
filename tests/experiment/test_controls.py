"""The controls of `ventral_strong`, in `examples`: each differs from it in what its name says, and in nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from cortexgraph.compiler import unroll
from cortexgraph.experiment import load_experiment
from cortexgraph.experiment.plan import plan
from cortexgraph.spec import ConnectionSpec, NetworkSpec
from cortexgraph.unrolling import trained_parameters

FILE = Path(__file__).parents[2] / "examples" / "ventral_strong_controls.yaml"


@pytest.fixture(scope="module")
def controls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NetworkSpec]:
    runs = plan(load_experiment(FILE), tmp_path_factory.mktemp("runs"), {"source": "cifar10"})
    return {run.variant.name: run.variant.spec for run in runs}


def ends(*connections: ConnectionSpec) -> set[tuple[str, str]]:
    return {(connection.source, connection.target) for connection in connections}


def test_networks_without_some_connections_keep_all_others(controls: dict[str, NetworkSpec]) -> None:
    whole = controls["ventral_strong"].connections
    sweep, lateral, feedback = whole[:4], whole[4:7], whole[7:]
    assert all(one.source == one.target for one in lateral)
    assert ends(*feedback) == {("IT", "V2"), ("V2", "V1")}
    assert controls["without feedback"].connections == (*sweep, *lateral)
    assert controls["without lateral"].connections == (*sweep, *feedback)
    assert controls["unshared over time"].connections == whole
    assert ends(*controls["feedforward"].connections) == ends(*sweep)


def test_the_feedforward_network_has_as_many_parameters(controls: dict[str, NetworkSpec]) -> None:
    counts = {name: trained_parameters(unroll(spec)) for name, spec in controls.items()}
    assert counts["feedforward"] == pytest.approx(counts["ventral_strong"], rel=0.002)
    assert counts["unshared over time"] > 2 * counts["ventral_strong"]
