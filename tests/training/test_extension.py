"""A finished run that goes on gives what a run with a warm restart gives, and stays whole until then."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cortexgraph.data import ImageData
from cortexgraph.errors import CortexGraphError, DataError, SpecError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import Interrupted, RunFolder, TrainSettings, evaluate, load_run, recorder, train
from cortexgraph.training.job import begin_extension
from cortexgraph.training.optimizers import lr_factor
from cortexgraph.training.schedules import SCHEDULES

from .conftest import striped_data
from .test_resume import BATCHES, assert_equal_runs, interrupt_after

pytestmark = pytest.mark.usefixtures("no_pictures")

Make = Callable[..., TrainSettings]


@pytest.fixture(params=["plain", "validation"])
def chosen(request: pytest.FixtureRequest, settings: Make) -> TrainSettings:
    return settings(epochs=2) if request.param == "plain" else settings(epochs=2, validation=12, freeze=["V1"])


@pytest.fixture
def run(spec: NetworkSpec, data: ImageData, chosen: TrainSettings, tmp_path: Path) -> RunFolder:
    """A finished run of two epochs."""
    train(spec, data, chosen, tmp_path / "run", quiet=True, command=["cortexgraph", "train"])
    return RunFolder(tmp_path / "run")


def restarted(spec: NetworkSpec, data: ImageData, chosen: TrainSettings, folder: Path) -> Path:
    """A run of 2 + 2 epochs, never interrupted."""
    train(spec, data, chosen.model_copy(update={"epochs": 4, "restarts": (2,)}), folder, quiet=True)
    return folder


def contents(run: RunFolder) -> dict[str, bytes]:
    """The files of a run, without those of its extension."""
    paths = [path for path in run.path.rglob("*") if path.is_file() and path.name != ".run.lock"]
    own = {str(path.relative_to(run.path)): path.read_bytes() for path in paths}
    return {name: content for name, content in own.items() if not name.startswith("extension/")}


def test_the_schedule_starts_again() -> None:
    settings = TrainSettings(epochs=6, restarts=(1, 4), schedule="cosine")
    factors = [lr_factor(settings, batch, 60) for batch in range(61)]
    cosine, warmup = SCHEDULES["cosine"], settings.warmup
    expected = [cosine(batch, length, warmup) for length in (10, 30, 20) for batch in range(length)]
    assert factors == [*expected, cosine(20, 20, warmup)]


@pytest.mark.parametrize("restarts", [(3,), (2, 1), (1, 1), (0,)])
def test_restarts_rise_and_lie_within_the_run(restarts: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match=r"settings\.restarts"):
        TrainSettings(epochs=3, restarts=restarts)


def test_extended(spec: NetworkSpec, data: ImageData, chosen: TrainSettings, run: RunFolder, tmp_path: Path) -> None:
    summary = train(spec, data, None, run.path, extend=2, quiet=True, command=["cortexgraph", "train", "--extend", "2"])
    assert_equal_runs(restarted(spec, data, chosen, tmp_path / "whole"), run.path)
    assert run.read_summary() == summary
    assert (summary.epochs, summary.run) == (4, run.path)
    assert run.train_settings().restarts == (2,)
    assert run.read_settings().command == "cortexgraph train && cortexgraph train --extend 2"
    assert not run.extension.path.exists()
    assert {s.step: s.accuracy for s in evaluate(run.path, data).steps} == summary.accuracy
    train(spec, data, None, run.path, extend=1, quiet=True)  # and once more
    assert (run.read_summary().epochs, run.train_settings().restarts) == (5, (2, 4))


def test_an_interrupted_extension_is_resumed_and_the_run_stays_until_then(
    spec: NetworkSpec,
    data: ImageData,
    chosen: TrainSettings,
    run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(run)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_batch_end", BATCHES + 1)
        with pytest.raises(Interrupted, match="after 3 of 4" if not chosen.validation else "of 4"):
            train(spec, data, None, run.path, extend=2, quiet=True)
    assert contents(run) == before
    assert load_run(run.path).settings == chosen
    with pytest.raises(DataError, match=r"an extension of this run is not finished.*\n.*--resume --out"):
        train(spec, data, None, run.path, extend=2, quiet=True)
    train(spec, data, chosen, run.path, resume=True, quiet=True)  # the settings that it was started with will do
    assert_equal_runs(restarted(spec, data, chosen, tmp_path / "whole"), run.path)
    assert not run.extension.path.exists()


@pytest.mark.parametrize("moves", [0, 1, 5])
def test_cut_off_while_it_takes_the_place_of_the_run(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    chosen, run = settings(epochs=2), RunFolder(tmp_path / "run")
    train(spec, data, chosen, run.path, quiet=True)
    replace: Any = Path.replace
    count = 0

    def cut(self: Path, target: Path) -> None:
        nonlocal count
        if "extension" in self.parts and Path(target).parent in {run.path, run.checkpoints, run.tensorboard}:
            count += 1
            if count > moves:
                raise RuntimeError("power cut")
        replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut)
        with pytest.raises(RuntimeError, match="power cut"):
            train(spec, data, None, run.path, extend=2, quiet=True)
    train(spec, data, None, run.path, resume=True, quiet=True)
    assert_equal_runs(restarted(spec, data, chosen, tmp_path / "whole"), run.path)
    assert load_run(run.path).settings.epochs == run.read_summary().epochs == 4
    assert not run.extension.path.exists()


def test_an_extension_that_fails_loses_nothing(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    train(spec, data, settings(epochs=2), run.path, quiet=True)
    before = contents(run)

    def fails(*arguments: object) -> None:
        raise CortexGraphError("diverged")

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "check_finite", fails)
        with pytest.raises(CortexGraphError, match="diverged"):
            train(spec, data, None, run.path, extend=2, quiet=True)
    assert contents(run) == before
    assert not run.extension.path.exists()


def test_what_cannot_be_extended(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(DataError, match="there is no run here to extend"):
        train(spec, data, None, run.path, extend=2, quiet=True)
    assert not run.path.exists()
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_epoch_end", 1)
        with pytest.raises(Interrupted, match="after 1 of 3"):
            train(spec, data, settings(), run.path, quiet=True)
    before = contents(run)
    with pytest.raises(DataError, match=r"this run is not finished\.\n.*--resume --out"):
        train(spec, data, None, run.path, extend=2, quiet=True)
    assert contents(run) == before
    train(spec, data, None, run.path, resume=True, quiet=True)
    before = contents(run)
    others: list[tuple[Any, ...]] = [(spec, striped_data(mean=(0.4,)), None), (spec, data, settings(lr=0.2))]
    for arguments in others:
        with pytest.raises(DataError, match="the run was started with"):
            train(*arguments, run.path, extend=2, quiet=True)
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(DataError, match=r"both .* were asked for"):
            train(spec, data, None, run.path, extend=2, quiet=True, **options)
    with pytest.raises(DataError, match="a run that is resumed or extended has its own weights"):
        train(spec, data, None, run.path, extend=2, quiet=True, init_from="ventral-cifar10")
    assert contents(run) == before


def test_a_run_of_version_0_1_is_extended(spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path) -> None:
    """It stored fewer settings."""
    run = RunFolder(tmp_path / "run")
    train(spec, data, settings(epochs=2), run.path, quiet=True)
    stored = json.loads(run.settings.read_text())
    stored["settings"] = {"epochs": 2, "batch_size": 16, "device": "cpu"}
    run.settings.write_text(json.dumps(stored))
    last = torch.load(run.last, weights_only=True)
    del last["callbacks"]["Recorder"]["identity"]
    torch.save(last, run.last)
    state, metadata = run.tensors(run.weights)
    del metadata["identity"]
    recorder.save_tensors(run.weights, state, metadata)
    train(spec, data, None, run.path, extend=1, quiet=True)
    assert [row["epoch"] for row in csv.DictReader(run.metrics.read_text().splitlines())] == ["1", "2", "3"]


def test_overwriting_removes_an_unfinished_extension(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    train(spec, data, settings(epochs=1), run.path, quiet=True)
    begin_extension(run, 1, "")
    shutil.copytree(run.path / "checkpoints", run.path / ".extension.part")  # killed while the extension was made
    train(spec, data, settings(epochs=1), run.path, overwrite=True, quiet=True)
    assert not run.extension.path.exists()
    assert not (run.path / ".extension.part").exists()
    assert load_file(run.weights)
