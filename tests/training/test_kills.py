"""A run that is killed at any moment, and resumed until it is finished, gives what an uninterrupted one gives."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from pathlib import Path

import pytest

from cortexgraph.spec import NetworkSpec
from cortexgraph.training import RunFolder, TrainSettings, recorder, train

from .conftest import INGREDIENTS, striped_data, tiny_spec
from .test_resume import assert_equal_runs

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes"),
    pytest.mark.slow,  # run it alone (`-n 0 -m slow`): a process forked beside running OpenMP threads can hang
    pytest.mark.usefixtures("one_thread"),
]

KILLS = int(os.environ.get("CORTEXGRAPH_KILLS", "5"))


def trained_for(seconds: float, spec: NetworkSpec, settings: TrainSettings, folder: Path, start: Path | None) -> bool:
    """Start or resume the run in a process that is killed after some seconds; whether it had ended before."""
    state = RunFolder(folder).state
    if state == "finished":  # killed after its last write
        return True
    child = os.fork()
    if child == 0:
        try:
            resume = state == "unfinished"
            train(
                spec, striped_data(), settings, folder, resume=resume, init_from=None if resume else start, quiet=True
            )
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0
            return True
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


MORE = {"validation": 12, "restarts": (2,), "accumulate": 2, "precision": "bf16"}


@pytest.mark.parametrize("start", ["plain", "from", "whitened and dirac"])
def test_killed_at_random_moments(spec: NetworkSpec, tmp_path: Path, finished: Path, start: str) -> None:
    """A plain run, and two with every ingredient: from the weights of a run and partly frozen, or whitened."""
    settings, start_from = TrainSettings(epochs=4, batch_size=8, device="cpu"), None
    if start != "plain":
        settings = TrainSettings(epochs=4, batch_size=8, device="cpu", **MORE, **INGREDIENTS)  # type: ignore[arg-type]
    if start == "from":
        start_from, settings = finished, settings.model_copy(update={"freeze": ("V1", "V1 -> IT")})
    elif start != "plain":
        first = {"from": "image", "to": "V1", "init": "whitened", "kernel": 3}
        spec = tiny_spec(connections=[first, "V1 -> IT -> V1", {"from": "V1", "to": "V1", "init": "dirac"}])
    draw, kills, runs = random.Random(KILLS), 0, 0
    began = time.monotonic()
    train(spec, striped_data(), settings, tmp_path / "whole", init_from=start_from, quiet=True)
    duration = time.monotonic() - began
    while kills < KILLS:
        folder, runs = tmp_path / f"run{runs}", runs + 1
        while not trained_for(draw.uniform(0, 1.2 * duration), spec, settings, folder, start_from):
            kills += 1
            assert kills < 20 * KILLS, "no run gets to its end"
        assert_equal_runs(tmp_path / "whole", folder)
        assert not [path.name for path in folder.rglob(".*") if path.name != ".run.lock"]
    print(f"{kills} kills in {runs} runs")


def test_killed_within_epochs(spec: NetworkSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint before every batch, from which a killed run goes on."""
    settings = TrainSettings(epochs=2, batch_size=4, device="cpu", **INGREDIENTS)
    train(spec, striped_data(), settings, tmp_path / "whole", quiet=True)
    monkeypatch.setattr(recorder, "SAVE_EVERY_S", -1.0)
    run, kills = RunFolder(tmp_path / "run"), 0
    while not run.is_finished:
        child = os.fork()
        if child == 0:
            try:
                train(spec, striped_data(), settings, run.path, resume=run.is_run, quiet=True)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        before = run.within.stat().st_mtime_ns if run.within.exists() else 0
        while not os.waitpid(child, os.WNOHANG)[0]:
            if run.within.exists() and run.within.stat().st_mtime_ns > before and kills < KILLS:
                os.kill(child, signal.SIGKILL)
                assert os.waitpid(child, 0)[1] == signal.SIGKILL
                kills += 1
                break
            time.sleep(0.001)
    assert kills == KILLS
    assert_equal_runs(tmp_path / "whole", run.path)


def test_an_extension_killed_at_random_moments(spec: NetworkSpec, tmp_path: Path) -> None:
    """Between two kills, the run is the finished one of 2 epochs, or that of 4."""
    settings = TrainSettings(epochs=2, batch_size=16, device="cpu", validation=12)
    longer = settings.model_copy(update={"epochs": 4, "restarts": (2,)})
    train(spec, striped_data(), longer, tmp_path / "whole", quiet=True)
    run, draw, kills = RunFolder(tmp_path / "run"), random.Random(KILLS), 0
    start = time.monotonic()
    train(spec, striped_data(), settings, run.path, quiet=True)
    duration = time.monotonic() - start
    while run.read_summary().epochs < 4 or run.is_being_extended:
        child = os.fork()
        if child == 0:
            go_on = {"resume": True} if run.is_being_extended else {"extend": 2}
            try:
                train(spec, striped_data(), None, run.path, quiet=True, **go_on)  # type: ignore[arg-type]
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        time.sleep(draw.uniform(0, 1.2 * duration))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] in (0, signal.SIGKILL)
        kills += 1
        assert kills < 50, "the extension does not get to its end"
        assert run.read_summary().epochs in (2, 4)
    assert_equal_runs(tmp_path / "whole", run.path)
    print(f"{kills} kills")
