"""Whole runs on tiny images."""

from __future__ import annotations

import csv
import json
import math
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cortexgraph.compiler import build, compile_spec
from cortexgraph.data import ImageData
from cortexgraph.errors import CortexGraphError, DataError
from cortexgraph.graph import resolved
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.training import TrainSettings, load_run, train

from .conftest import striped_data, tiny_spec

Make = Callable[..., TrainSettings]
STEPS = (2, 3, 4)  # at which IT is live


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_run_folder_is_complete(finished: Path) -> None:
    found = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    events = {name for name in found if name.startswith("tensorboard/events")}
    assert len(events) == 1
    assert found - events == {
        ".run.lock",
        "spec.yaml",
        "settings.json",
        "data.json",
        "model.py",
        "areas.svg",
        "areas.pdf",
        "unrolled.svg",
        "unrolled.pdf",
        "metrics.csv",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "weights.safetensors",
        "curves.png",
        "curves.svg",
        "summary.json",
        "summary.md",
    }


def test_spec_and_settings_are_kept(finished: Path) -> None:
    assert load(finished / "spec.yaml") == resolved(build(tiny_spec()))
    stored = json.loads((finished / "settings.json").read_text())
    assert TrainSettings.model_validate(stored["settings"]).batch_size == 8
    assert stored["cortexgraph_run"] == 1
    assert (stored["settings"]["lr"], stored["settings"]["weight_decay"]) == (0.2, 0.01)  # what is in force


def test_emitted_source_takes_the_weights_on_its_own(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cortexgraph", None)
    model = runpy.run_path(str(finished / "model.py"))
    network = model[model["__all__"][0]]()
    network.load_state_dict(load_file(finished / "weights.safetensors"))
    assert network.eval()(torch.zeros(2, 1, 8, 8)).shape == (2, 3, 3)


def test_metrics(finished: Path) -> None:
    table = rows(finished)
    assert list(table[0]) == [
        *("epoch", "step", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy"),
        *(f"test_accuracy_step_{step}" for step in STEPS),
        *("images_per_s", "seconds"),
    ]
    assert [row["epoch"] for row in table] == ["1", "2", "3", "4"]
    assert [row["step"] for row in table] == ["6", "12", "18", "24"]
    assert all(row["test_accuracy"] == row["test_accuracy_step_4"] for row in table)
    assert float(table[-1]["train_loss"]) < float(table[0]["train_loss"]) < 1.5
    assert float(table[-1]["lr"]) == pytest.approx(0.2 / 250_000)
    assert float(table[-1]["train_accuracy"]) > 0.6  # chance is 1/3


def test_summary(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    table = rows(finished)
    best = max(table, key=lambda row: float(row["test_accuracy"]))
    assert summary["best_epoch"] == int(best["epoch"])
    assert summary["accuracy"] == {str(step): float(table[-1][f"test_accuracy_step_{step}"]) for step in STEPS}
    assert summary["best_accuracy"] == {str(step): float(best[f"test_accuracy_step_{step}"]) for step in STEPS}
    assert summary["versions"]["torch"] == torch.__version__
    assert summary["command"] == "cortexgraph train 'a spec.yaml'"
    text = (finished / "summary.md").read_text()
    assert f"| 4 | {summary['accuracy']['4']:.2%} | {summary['best_accuracy']['4']:.2%} |" in text
    assert re.search(r"^- size: 1,025 parameters \(1,017 trained; no readout depends on the others\)$", text, re.M)
    assert "- recipe: standard\n- images: 48 training, 24 test\n" in text
    assert "- optimiser: adamw, momentum 0.9, weight decay 0.01, batches of 8\n" in text
    assert "- learning rate: peak 0.2, one-cycle\n" in text


def test_weights_are_those_of_the_last_checkpoint(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    checkpoint = torch.load(finished / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["epoch"] + 1 == summary["epochs"] == summary["kept_epoch"]
    best = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] + 1 == summary["best_epoch"]
    weights = load_file(finished / "weights.safetensors")
    kept = {name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()}
    assert weights.keys() == kept.keys()
    assert all(torch.equal(weights[name], kept[name]) for name in weights)
    # The last set of V1 is read by nothing: a state dict gives a copy of the last that is.
    last = [name for name in weights if name.startswith("V1.norm.3.")]
    assert last
    assert all(torch.equal(weights[name], weights[name.replace("norm.3", "norm.2")]) for name in last)


def test_weights_say_where_they_come_from(finished: Path) -> None:
    with safe_open(finished / "weights.safetensors", framework="pt") as file:
        metadata = file.metadata()
    summary = json.loads((finished / "summary.json").read_text())
    assert metadata["spec_sha256"] == resolved(build(tiny_spec())).digest
    assert metadata["data"] == "stripes"
    assert int(metadata["epoch"]) == summary["kept_epoch"]
    assert float(metadata["accuracy"]) == summary["accuracy"]["4"]


def test_tensorboard(finished: Path) -> None:
    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    table = rows(finished)
    for tag, column in (("loss/train", "train_loss"), ("accuracy/test", "test_accuracy"), ("learning_rate", "lr")):
        logged = [(event.step, event.value) for event in events.Scalars(tag)]
        assert logged == [(int(row["step"]), pytest.approx(float(row[column]), rel=1e-6)) for row in table]


def test_same_seed_same_weights(spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        train(spec, data, settings(epochs=1, seed=seed), tmp_path / name, quiet=True)
    assert torch.equal(torch.get_rng_state(), state)  # nor does training change the caller's randomness
    one, same, other = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "same", "other"))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["V1_to_V1.conv.weight"], other["V1_to_V1.conv.weight"])


def test_bfloat16_and_clipping(data: ImageData, settings: Make, tmp_path: Path) -> None:
    spec = tiny_spec(readout={"from": "IT", "classes": 3, "at": "last"})
    chosen = settings(epochs=1, precision="bf16", clip=0.5, augment=False, channels_last=False, schedule="cosine")
    summary = train(spec, data, chosen, tmp_path / "run", quiet=True)
    assert list(summary.accuracy) == [4]
    assert all(value.dtype != torch.bfloat16 for value in load_file(tmp_path / "run" / "weights.safetensors").values())


def test_a_clipped_gradient_has_this_norm(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, no_pictures: None
) -> None:
    """The gradient as a whole is scaled, and never up; after one step, AdamW's average is a tenth of it."""
    gradients = []
    for clip in (0.0, 0.01, 1000.0):
        chosen = settings(epochs=1, batch_size=48, augment=False, momentum=0.9, clip=clip)
        train(spec, data, chosen, tmp_path / str(clip), quiet=True)
        last = torch.load(tmp_path / str(clip) / "checkpoints" / "last.ckpt", weights_only=True)
        states = last["optimizer_states"][0]["state"].values()
        gradients.append(torch.cat([10 * state["exp_avg"].flatten() for state in states]))
    plain, clipped, loose = gradients
    assert float(plain.norm()) > 0.1
    torch.testing.assert_close(clipped, plain * 0.01 / plain.norm(), rtol=1e-3, atol=1e-7)
    assert torch.equal(plain, loose)


def test_divergence_stops_with_advice(spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path) -> None:
    broken = striped_data(std=(1e-38,), mean=(0.3,))
    with pytest.raises(
        CortexGraphError, match=r"epoch 1, step 1: the training loss is infinite or not a number\.\n.*lower `lr`"
    ):
        train(spec, broken, settings(), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()
    assert not (tmp_path / "run" / "summary.json").exists()


def test_data_that_do_not_fit_leave_no_folder(data: ImageData, settings: Make, tmp_path: Path) -> None:
    spec = tiny_spec(readout={"from": "IT", "classes": 5})
    with pytest.raises(DataError, match=r"declares 5, but the data has 3 classes"):
        train(spec, data, settings(), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_device_that_is_not_there(spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path) -> None:
    with pytest.raises(CortexGraphError, match=r"cuda:99 was asked for, but torch sees \d+ GPUs? here"):
        train(spec, data, settings(device="cuda:99"), tmp_path / "run", quiet=True)
    with pytest.raises(CortexGraphError, match=r"a processor computes in 32 or bf16"):
        train(spec, data, settings(precision="16"), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_overwriting(spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path) -> None:
    train(spec, data, settings(epochs=2), tmp_path / "run", quiet=True)
    with pytest.raises(DataError, match="holds a finished run"):
        train(spec, data, settings(epochs=1), tmp_path / "run", quiet=True)
    assert len(rows(tmp_path / "run")) == 2
    train(spec, data, settings(epochs=1), tmp_path / "run", overwrite=True, quiet=True)
    assert len(rows(tmp_path / "run")) == 1


def test_one_line_for_each_epoch(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(spec, data, settings(epochs=2), tmp_path / "run")
    out, err = capfd.readouterr()
    first, second, *epochs = out.splitlines()
    assert first == (
        "stripes: 48 training and 24 test images of 3 classes, 1 × 8 × 8; augmentation: crops shifted by up to 1 px"
    )
    assert re.fullmatch(r"tiny: 1,025 parameters \(1,017 trained; .*\), for 2 epochs in batches of 16 on cpu", second)
    assert [line.split("  ")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert "t4 " in out
    assert re.search(r"epoch 2/2  loss: train \d\S+, test \d\S+  accuracy: train \d\S+%, test \d\S+% \(t2 ", out)
    assert err == ""
    assert math.isfinite(float(out.split("loss: train ")[1].split(",")[0]))


def test_images_that_do_not_fill_a_batch_are_announced(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(spec, data, settings(epochs=1, batch_size=10), tmp_path / "run")
    out = capfd.readouterr().out
    assert "in batches of 10 (each epoch leaves out 8 images, others every time: no full batch) on cpu" in out


@pytest.mark.slow
def test_two_processes_share_batches(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import torch; torch.set_num_threads(1)\n"
        "from tests.training.conftest import striped_data, tiny_spec\n"
        "from cortexgraph.training import TrainSettings, train\n"
        "settings = TrainSettings(epochs=2, batch_size=16, device='cpu', devices=2)\n"
        "train(tiny_spec(), striped_data(), settings, sys.argv[2])\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    root = Path(__file__).parents[2]
    command = [sys.executable, str(script), str(root), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.count("epoch 2/2") == 1
    assert [row["step"] for row in rows(tmp_path / "run")] == ["3", "6"]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["device"] == "2 × cpu"


def test_truncated_gradients_train_what_they_reach(
    spec: NetworkSpec, data: ImageData, settings: Callable[..., TrainSettings], tmp_path: Path
) -> None:
    """Cut at every step, no gradient leaves IT: what lies below it stays as it was, and in a plain run it does not."""
    start = compile_spec(spec).state_dict()
    moved = []
    for tbptt in (0, 1):
        out = tmp_path / str(tbptt)
        train(spec, data, settings(epochs=1, tbptt=tbptt), out, init_from=start, quiet=True)
        state = load_run(out).network.state_dict()
        moved.append({name for name in start if name.endswith("conv.weight") and not state[name].equal(start[name])})
    assert moved[0] == {name for name in start if name.endswith("conv.weight")}
    assert moved[1] == {"V1_to_IT.conv.weight", "IT_to_IT.conv.weight"}
