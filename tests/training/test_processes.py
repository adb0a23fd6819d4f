"""Several processes train what one does, and the end of one of them ends the run, which stays resumable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from safetensors.torch import load_file

from cortexgraph.data import ImageData
from cortexgraph.errors import CortexGraphError, DataError, SpecError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import RunFolder, TrainSettings, processes, train

from .conftest import INGREDIENTS, striped_data, tiny_spec
from .test_fit import rows
from .test_resume import Make
from .test_tasks import brightness, with_targets

ROOT = Path(__file__).parents[2]
PLAIN: dict[str, Any] = {"epochs": 2, "batch_size": 16, "device": "cpu"}
EVERYTHING = PLAIN | INGREDIENTS | {"validation": 12, "batch_size": 8, "accumulate": 2, "freeze": ("V1 -> V1",)}
SCRIPT = """
import sys; sys.path.insert(0, {root!r})
import torch; torch.set_num_threads(1)
from tests.training.test_processes import *
for name, settings in {runs!r}.items():
    out = {folder!r} + "/" + name
    resume = RunFolder(out).is_run
    train(spec_for(settings), data_for(settings), TrainSettings(**settings), out, resume=resume, logger=["csv"])
"""
NUMBERS = PLAIN | {"loss": "huber", "validation": 3}
"""With validation images for some of four processes."""


def spec_for(settings: dict[str, Any]) -> NetworkSpec:
    return tiny_spec(**({"readout": {"from": "IT", "classes": 2, "at": "all"}} if "loss" in settings else {}))


def data_for(settings: dict[str, Any]) -> ImageData:
    """Stripes, or their mean and contrast as numbers."""
    return with_targets("numbers", brightness) if "loss" in settings else striped_data()


def program(folder: Path, **runs: dict[str, Any]) -> list[str]:
    """The command of a program that trains these runs one after another."""
    (folder / "program.py").write_text(SCRIPT.format(root=str(ROOT), folder=str(folder), runs=runs))
    return [sys.executable, str(folder / "program.py")]


def assert_close_runs(one: Path, several: Path) -> None:
    """Equal tables except for times, and equal weights, within the rounding of sums in another order."""
    for first, second in zip(rows(one), rows(several), strict=True):
        for name in first.keys() - {"seconds", "images_per_s"}:
            assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-4, abs=1e-6), name
    weights, others = (load_file(folder / "weights.safetensors") for folder in (one, several))
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, rtol=2e-4, atol=2e-5, msg=lambda text, name=name: name + text)


@pytest.mark.slow  # three and five programs import torch
@pytest.mark.parametrize("devices", [2, 4])
@pytest.mark.usefixtures("no_pictures")
def test_several_processes_train_what_one_does(tmp_path: Path, devices: int) -> None:
    """As the settings are, and with all ingredients, accumulation and validation."""
    settings = {"plain": PLAIN, "everything": EVERYTHING, "numbers": NUMBERS}
    runs = {name: values | {"devices": devices} for name, values in settings.items()}
    done = subprocess.run(program(tmp_path, **runs), capture_output=True, text=True, check=True, timeout=1200)
    assert done.stdout.count("epoch 2/2") == 3
    assert "Error" not in done.stderr
    for name, values in settings.items():
        train(spec_for(values), data_for(values), TrainSettings(**values), tmp_path / "one" / name, quiet=True)
        assert_close_runs(tmp_path / "one" / name, tmp_path / name)
        summary = RunFolder(tmp_path / name).read_summary()
        assert summary.scores == pytest.approx(RunFolder(tmp_path / "one" / name).read_summary().scores, rel=1e-5)
        assert (summary.device, summary.settings["devices"]) == (f"{devices} × cpu", devices)


@pytest.mark.slow  # two programs import torch
@pytest.mark.usefixtures("no_pictures")
def test_a_killed_process_ends_the_run_which_one_process_resumes(tmp_path: Path) -> None:
    settings, run = PLAIN | {"epochs": 8}, RunFolder(tmp_path / "run")
    command = program(tmp_path, run=settings | {"devices": 2})
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 900
    while not run.metrics.exists():
        assert running.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    listing = subprocess.run(["pgrep", "-P", str(running.pid)], capture_output=True, text=True, check=True)
    (other,) = map(int, listing.stdout.split())
    os.kill(other, signal.SIGKILL)
    start = time.monotonic()
    _, errors = running.communicate(timeout=120)
    assert time.monotonic() - start < 30
    assert running.returncode == 1
    assert errors.count("process 1 of 2: it was ended by SIGKILL.") == 1
    assert errors.count("[process-ended]") == 1
    assert run.state == "unfinished"
    assert 1 <= len(rows(run.path)) < 8
    train(tiny_spec(), striped_data(), TrainSettings(**settings), run.path, resume=True, quiet=True)
    train(tiny_spec(), striped_data(), TrainSettings(**settings), tmp_path / "whole", quiet=True)
    assert_close_runs(tmp_path / "whole", run.path)


@pytest.mark.slow  # two programs import torch
@pytest.mark.usefixtures("no_pictures")
def test_divided_parameters_train_what_whole_ones_do(tmp_path: Path) -> None:
    settings = PLAIN | {"devices": 2, "strategy": "fsdp"}
    subprocess.run(program(tmp_path, run=settings), capture_output=True, text=True, check=True, timeout=1200)
    train(tiny_spec(), striped_data(), TrainSettings(**PLAIN), tmp_path / "one", quiet=True)
    assert_close_runs(tmp_path / "one", tmp_path / "run")


@pytest.mark.slow  # three programs import torch
def test_torchrun_starts_the_processes(tmp_path: Path) -> None:
    script = program(tmp_path, run=PLAIN)[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29631"]
    done = subprocess.run([*launcher, script], capture_output=True, text=True, check=True, timeout=900)
    assert done.stdout.count("epoch 2/2") == 1
    assert RunFolder(tmp_path / "run").read_summary().device == "2 × cpu"


# ---- what cannot be -----------------------------------------------------------------


def refused(
    match: str, error: type[CortexGraphError], folder: Path, spec: NetworkSpec, data: ImageData, settings: TrainSettings
) -> None:
    """Training is refused, and writes nothing."""
    with pytest.raises(error, match=match):
        train(spec, data, settings, folder / "run", quiet=True)
    assert not (folder / "run").exists()


def test_more_gpus_than_there_are(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen = settings(device="cuda", devices=3, batch_size=12)
    refused(r"3 × cuda was asked for, but torch sees 2 GPUs here", CortexGraphError, tmp_path, spec, data, chosen)


def test_nodes_without_an_environment(spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path) -> None:
    match = r"nodes: 2 nodes were asked for, but nothing says which of them this is\.\n  Start .* by torchrun or srun"
    refused(match, CortexGraphError, tmp_path, spec, data, settings(nodes=2))


def test_other_processes_than_torchrun_started(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, value)
    match = r"devices: 1 × 2 processes were asked for, but 1 × 4 were started"
    refused(match, CortexGraphError, tmp_path, spec, data, settings(devices=2))
    assert processes.on_these_machines(settings()).devices == 4
    with pytest.raises(SpecError, match="18 images do not divide among 4 devices"):
        processes.on_these_machines(settings(batch_size=18))


def test_images_that_do_not_divide(spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path) -> None:
    match = r"settings\.devices: 48 images do not divide among 5 devices"
    refused(match, DataError, tmp_path, spec, data, settings(batch_size=50, devices=5))


def test_an_update_of_more_images_than_there_are(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path
) -> None:
    match = r"accumulate: an update needs 4 batches of 16 images, but there are 48 training images\."
    refused(match, DataError, tmp_path, spec, data, settings(accumulate=4))


def test_no_program_to_start_again(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(sys, "orig_argv", ["python"])  # a worker of xdist is a program, `python -c …`
    match = "devices: 2 processes are needed, but there is no program here that they could run"
    refused(match, CortexGraphError, tmp_path, spec, data, settings(devices=2))


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"RANK": "4", "LOCAL_RANK": "0", "GROUP_RANK": "1"}, False),
        ({"SLURM_PROCID": "2"}, False),
        ({"NODE_RANK": "1"}, False),
        ({"TORCHELASTIC_RUN_ID": "7", "RANK": "0", "GROUP_RANK": "0", "SLURM_PROCID": "1"}, True),  # srun torchrun …
        ({"TORCHELASTIC_RUN_ID": "7", "RANK": "1", "GROUP_RANK": "1", "SLURM_PROCID": "0"}, False),
    ],
)
def test_the_first_process(variables: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in processes.RANKS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert processes.is_first_process() == first


# ---- SLURM --------------------------------------------------------------------------

STEP = {"NUM_TASKS": "4", "NUM_NODES": "2", "TASKS_PER_NODE": "2(x2)", "NODELIST": "n[3-4]", "ID": "3"}
"""What srun says of a step on two of the four nodes of an allocation."""


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of the first task of the step."""
    variables = {f"SLURM_STEP_{name}": value for name, value in STEP.items()}
    variables |= {"SLURM_JOB_ID": "12", "SLURM_NODELIST": "n[1-4]", "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "2"}
    environment = dict(os.environ) | variables | {"SLURM_NNODES": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    monkeypatch.setattr(os, "environ", environment)
    return environment


@pytest.mark.usefixtures("step")
def test_the_tasks_of_a_step_are_the_devices_and_nodes(settings: Make) -> None:
    """Lightning would read some of it from the allocation."""
    chosen = processes.on_these_machines(settings(batch_size=16))
    assert (chosen.nodes, chosen.devices) == (2, 2)
    assert processes.on_these_machines(settings(batch_size=16, nodes=2, devices=2)) == chosen
    environment = processes.cluster_environment()
    environment.validate_settings(2, 2)
    assert (environment.world_size(), environment.main_address, environment.main_port) == (4, "n3", 18_012)
    with pytest.raises(CortexGraphError, match="devices: 1 × 4 processes were asked for, but 2 × 2 were started"):
        processes.on_these_machines(settings(devices=4))


def test_steps_that_cannot_train(step: dict[str, str], settings: Make) -> None:
    step |= {"SLURM_STEP_TASKS_PER_NODE": "3,1"}
    match = "nodes: srun started 3,1 tasks on 2 nodes, but each needs as many."
    with pytest.raises(CortexGraphError, match=match):
        processes.on_these_machines(settings())


def test_a_run_of_several_nodes_resumes_on_one_machine_and_under_srun(
    settings: Make, monkeypatch: pytest.MonkeyPatch, step: dict[str, str]
) -> None:
    """A run keeps the devices and nodes of its start."""
    stored = settings(batch_size=16, nodes=4, devices=2)
    resumed = processes.resumed_on_these_machines(stored)
    assert (processes.on_these_machines(resumed).nodes, processes.on_these_machines(resumed).devices) == (2, 2)
    del step["SLURM_STEP_NUM_TASKS"]
    assert processes.on_these_machines(processes.resumed_on_these_machines(stored)).processes == 1
    own = settings(batch_size=16, devices=2)
    assert processes.resumed_on_these_machines(own) == own
    step |= {"NODE_RANK": "0", "MASTER_ADDR": "n1"}
    assert processes.resumed_on_these_machines(stored) == stored


@pytest.mark.parametrize("variables", [{"SLURM_NTASKS": "1"}, {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}])
def test_one_task_and_a_batch_script_start_their_own_processes(
    variables: dict[str, str], settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without srun nothing else is started; Lightning would wait for the other tasks for ever."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert isinstance(processes.cluster_environment(), LightningEnvironment)
    assert processes.on_these_machines(settings(batch_size=16, devices=2)).devices == 2
    with pytest.raises(CortexGraphError, match="Start the command on every node by torchrun or srun"):
        processes.on_these_machines(settings(nodes=2))


@pytest.mark.parametrize(
    ("variables", "waits"),
    [({}, False), ({"SLURM_PROCID": "0"}, False), ({"SLURM_PROCID": "1"}, True), ({"RANK": "1", "PARENT": "2"}, False)],
)
def test_a_finding_of_all_processes_is_told_by_the_first(
    variables: dict[str, str], waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others, which this program has not started, are ended meanwhile."""
    for name, value in variables.items():
        monkeypatch.setenv({"PARENT": processes.PARENT}.get(name, name), value)
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    processes.wait_for_first_process()
    assert waited == [processes.GRACE_S] * waits


# ---- accumulation -------------------------------------------------------------------


@pytest.mark.usefixtures("no_pictures")
def test_accumulated_batches_are_one_large_batch(
    data: ImageData, settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without batch norms. 48 images make 2 updates of 20; the schedule, and the average, count updates."""
    spec = tiny_spec(defaults={"area": {"norm": {"kind": "group", "groups": 1}}})
    options = {"optimizer": "sgd", "lr": 0.05, "ema": 0.9}
    train(spec, data, settings(batch_size=20, **options), tmp_path / "large", quiet=True)
    train(spec, data, settings(batch_size=5, accumulate=4, **options), tmp_path / "small")
    assert "in batches of 5 × 4 = 20 images in each update (each epoch leaves out 8 images" in capsys.readouterr().out
    assert [row["step"] for row in rows(tmp_path / "small")] == ["2", "4", "6"]
    assert_close_runs(tmp_path / "large", tmp_path / "small")
