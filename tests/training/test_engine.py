"""Trackers are Lightning's, named before any work where they are not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cortexgraph.data import ImageData
from cortexgraph.errors import CortexGraphError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import engine, train

from .test_resume import Make

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_every_tracker_that_is_not_there_is_named(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "is_installed", lambda name: False)
    with pytest.raises(CortexGraphError, match=r"wandb needs the package `wandb`, but it is not installed") as error:
        train(spec, data, settings(), tmp_path / "run", logger=["wandb", "mlflow", "comet"], quiet=True)
    assert [finding.code for finding in error.value.diagnostics] == ["missing-extra"] * 2 + ["unknown-tracker"]
    assert "Run `pip install mlflow`, or leave mlflow out." in str(error.value)
    assert not (tmp_path / "run").exists()


def test_the_table_is_always_written(spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path) -> None:
    train(spec, data, settings(epochs=1), tmp_path / "run", logger=["csv"], quiet=True)
    assert (tmp_path / "run" / "metrics.csv").exists()
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_a_tracker_gets_settings_and_metrics(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the client of wandb, which Lightning's logger would call."""
    calls: list[tuple[str, object]] = []

    class Tracker:
        def __init__(self, **options: object) -> None:
            calls.append(("named", options["name"]))

        def log_hyperparams(self, settings: dict[str, object]) -> None:
            calls.append(("lr", settings["lr"]))

        def log_metrics(self, values: dict[str, float], step: int) -> None:
            calls.append(("step", step))
            assert {"loss/train", "accuracy/test", "accuracy_by_step/4"} <= values.keys()

        def save(self) -> None: ...

        def finalize(self, status: str) -> None:
            calls.append(("finished", status))

    monkeypatch.setattr(engine, "WandbLogger", Tracker)
    monkeypatch.setitem(engine.TRACKERS, "wandb", "json")
    train(spec, data, settings(epochs=2), tmp_path / "run", logger=["wandb"], quiet=True)
    assert calls == [("named", "run"), ("lr", 0.006), ("step", 3), ("step", 6), ("finished", "success")]
