"""Trackers are Lightning's, named before any work where they are not installed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cortexgraph.data import ImageData
from cortexgraph.errors import CortexGraphError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import Interrupted, engine, train

from .conftest import striped_data
from .test_resume import Make, interrupt_after

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


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("flags : sse avx2 avx512_bf16 amx_tile", "bf16"),
        ("flags : sse avx512_bf16", "bf16"),
        ("flags : amx_tile amx_bf16", "bf16"),
        ("Features : asimd bf16 i8mm", "bf16"),
        ("flags : sse avx2 avx512f", "32"),
        ("", "32"),
    ],
)
def test_automatic_precision_of_processors(flags: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_processor", lambda: f"model name : bf16less\n{flags}\n")
    assert engine.choose_precision("auto", torch.device("cpu")) == precision
    assert engine.choose_precision("auto", torch.device("mps")) == "32"
    assert engine.choose_precision("bf16", torch.device("cpu")) == "bf16"


@pytest.mark.parametrize(("capability", "precision"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "32")])
def test_automatic_precision_of_gpus(
    capability: tuple[int, int], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert engine.choose_precision("auto", torch.device("cuda", 0)) == precision


def test_the_precision_that_was_computed_in_is_in_the_summary(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_processor", lambda: "flags : sse")
    summary = train(spec, data, settings(epochs=1, precision="auto"), tmp_path / "run", quiet=True)
    assert summary.precision == "32"


# ---- trackers elsewhere: Lightning's own loggers, with a stand-in for the client that each of them calls ----------


class Service:
    """What a tracking service keeps: the runs by their names, and the one that wandb calls active."""

    def __init__(self) -> None:
        self.runs: dict[str, list[object]] = {}
        self.run: WandbRun | None = None  # `wandb.run`

    def begun(self, name: str | None) -> str:
        name = name or f"run{len(self.runs) + 1}"
        self.runs.setdefault(name, [])
        return name

    def init(self, **options: Any) -> WandbRun:
        self.run = WandbRun(self, self.begun(options["id"]))
        return self.run


class WandbRun:
    def __init__(self, service: Service, name: str) -> None:
        self.service, self.id, self.name, self.config = service, name, name, SimpleNamespace(update=self.update)

    def update(self, settings: dict[str, object], allow_val_change: bool) -> None:
        self.service.runs[self.id].append(("lr", settings["lr"]))

    def log(self, values: dict[str, float]) -> None:
        assert {"loss/train", "accuracy/test", "accuracy_by_step/4"} <= values.keys()
        self.service.runs[self.id].append(int(values["trainer/global_step"]))

    def finish(self, exit_code: int) -> None:
        self.service.runs[self.id].append(("ended", exit_code))
        self.service.run = None


class MlflowClient:
    def __init__(self, service: Service) -> None:
        self.service = service

    def get_experiment_by_name(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(experiment_id=name, lifecycle_stage="active")

    def create_run(self, experiment_id: str, tags: object) -> SimpleNamespace:
        return self.get_run(self.service.begun(None))

    def get_run(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(info=SimpleNamespace(run_id=name, experiment_id="tiny"))

    def log_batch(self, run_id: str, params: object = None, metrics: list[dict[str, int]] | None = None) -> None:
        self.service.runs[run_id] += [("lr", 0.006)] if metrics is None else [metrics[0]["step"]]

    def set_terminated(self, run_id: str, status: str) -> None:
        code = {"FINISHED": 0, "FAILED": 1, "KILLED": 1}[status]  # the service knows no other
        self.service.runs[run_id].append(("ended", code))


@pytest.fixture(params=["wandb", "mlflow"])
def tracker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Service]:
    """The name of a tracker, and a service that stands in for its own."""
    service = Service()
    mlflow = SimpleNamespace(set_tracking_uri=lambda uri: None)
    modules: dict[str, object] = {
        "wandb": service,
        "wandb.sdk.lib": SimpleNamespace(RunDisabled=type(None)),
        "wandb.wandb_run": SimpleNamespace(Run=WandbRun),
        "mlflow": mlflow,
        "mlflow.tracking": SimpleNamespace(MlflowClient=lambda uri: MlflowClient(service), context=None),
        "mlflow.utils.mlflow_tags": SimpleNamespace(MLFLOW_RUN_NAME="name"),
        "mlflow.entities": SimpleNamespace(Metric=dict, Param=dict),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("wandb", "mlflow"):
        monkeypatch.setattr(f"lightning.pytorch.loggers.{name}._{name.upper()}_AVAILABLE", True)
        monkeypatch.setitem(engine.TRACKERS, name, "json")
    return request.param, service


def test_a_tracker_gets_settings_and_metrics_of_each_run(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, tracker: tuple[str, Service]
) -> None:
    """Two trainings in one process are two runs."""
    name, service = tracker
    for run in ("one", "two"):
        train(spec, data, settings(epochs=2), tmp_path / run, logger=[name], quiet=True)
    assert service.runs == {run: [("lr", 0.006), 3, 6, ("ended", 0)] for run in ("run1", "run2")}


def test_a_resumed_run_goes_on_in_its_tracker(
    spec: NetworkSpec,
    data: ImageData,
    settings: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tracker: tuple[str, Service],
) -> None:
    name, service = tracker
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_epoch_end", 1)
        with pytest.raises(Interrupted, match="after 1 of 2"):
            train(spec, data, settings(epochs=2), tmp_path / "run", logger=[name], quiet=True)
    assert service.runs == {"run1": [("lr", 0.006), 3, ("ended", 1)]}
    train(spec, data, settings(epochs=2), tmp_path / "run", logger=[name], resume=True, quiet=True)
    assert service.runs == {"run1": [("lr", 0.006), 3, ("ended", 1), ("lr", 0.006), 6, ("ended", 0)]}
    train(spec, data, settings(epochs=2), tmp_path / "run", logger=[name], overwrite=True, quiet=True)
    assert service.runs["run2"] == [("lr", 0.006), 3, 6, ("ended", 0)]


def test_trackers_are_closed_after_an_error(
    spec: NetworkSpec, settings: Make, tmp_path: Path, tracker: tuple[str, Service]
) -> None:
    name, service = tracker
    broken = striped_data(std=(1e-38,), mean=(0.3,))
    with pytest.raises(CortexGraphError, match="the training loss is infinite"):
        train(spec, broken, settings(), tmp_path / "run", logger=[name, "tensorboard"], quiet=True)
    assert service.runs == {"run1": [("lr", 0.006), ("ended", 1)]}


def test_a_run_of_wandb_that_was_active_before_stays(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, tracker: tuple[str, Service]
) -> None:
    name, service = tracker
    if name == "mlflow":
        return
    service.init(id="mine")
    with pytest.warns(UserWarning, match="already in progress"):
        train(spec, data, settings(epochs=1), tmp_path / "run", logger=[name], quiet=True)
    assert service.runs == {"mine": [("lr", 0.006), 3]}
