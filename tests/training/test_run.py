"""A trained run is opened in one way, whatever is done with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import cortexgraph as cg
from cortexgraph.data import ImageData
from cortexgraph.errors import CompileError, DataError
from cortexgraph.training import TrainSettings, evaluate, load_run, predict, train

from .conftest import striped_data, tiny_spec


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A finished run that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "copied"))


def test_a_run_says_what_it_is(finished: Path) -> None:
    run = cg.load_run(finished)
    assert run.spec == run.network.spec
    assert (run.settings.epochs, run.settings.batch_size) == (4, 8)
    assert (run.classes, run.data) == (("horizontal", "vertical", "diagonal"), "stripes")
    assert run.read_in_training == (2, 3, 4)
    assert not run.network.training
    assert "tiny" in repr(run)
    assert "stripes" in repr(run)


def test_the_network_of_a_run_is_made_as_asked(finished: Path, data: ImageData) -> None:
    run = cg.load_run(finished, steps=6, order="sequential", at=[3, 6], record={"V1": [1]})
    logits, states = run.network(run.prepare(data.test.images))
    assert logits.shape == (24, 2, 3)
    assert list(states) == [("V1", 1)]
    network = run.compile(at="last")  # another of the same weights
    assert network(run.prepare(data.test.images)).shape == (24, 3)
    assert all(torch.equal(value, run.weights[name]) for name, value in network.state_dict().items())


def test_last_epoch(finished: Path) -> None:
    last = load_run(finished, epoch="last")
    kept = torch.load(finished / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, kept[f"network.{name}"]) for name, value in last.network.state_dict().items())
    best = load_file(finished / "weights.safetensors")
    assert all(torch.equal(value, best[name]) for name, value in load_run(finished).network.state_dict().items())


def test_images_are_prepared_as_in_training(finished: Path, data: ImageData) -> None:
    run = load_run(finished)
    expected = (data.test.images / 255 - 0.5) / 0.3
    torch.testing.assert_close(run.prepare(data.test.images), expected)
    torch.testing.assert_close(run.prepare(data.test.images.numpy()), expected)
    torch.testing.assert_close(run.prepare(data.test.images / 255), expected)
    video = data.test.images[:, None].expand(-1, 4, -1, -1, -1)
    torch.testing.assert_close(run.prepare(video)[:, 2], expected)
    assert run.prepare(np.zeros((1, 8, 8), np.uint8)).shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"their shape is \[2, 3, 8, 8\], but \[\.\.\., 1, H, W\]"),
        (torch.zeros(8, 8), r"their shape is \[8, 8\]"),
        (torch.zeros(1, 8, 8, dtype=torch.int32), "their type is int32, but it must be uint8, or floats"),
        (torch.full((1, 8, 8), 255.0), "they are floats from 255 to 255, but floats lie in"),
        (torch.full((1, 8, 8), torch.nan), "they are floats from nan to nan"),
    ],
)
def test_what_cannot_be_prepared(finished: Path, images: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_run(finished).prepare(images)


def test_an_opened_run_serves_every_use(finished: Path, data: ImageData, tmp_path: Path) -> None:
    run = load_run(finished)
    assert evaluate(run, data, device="cpu") == evaluate(finished, data, device="cpu")
    assert cg.export(run, tmp_path / "net.py").difference <= 1e-4
    with pytest.raises(DataError, match="this file does not exist"):
        predict([tmp_path / "cat.png"], run)


def test_steps_read_in_training(settings, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from cortexgraph.training import train

    train(tiny_spec(), striped_data(), settings(epochs=1, loss_over="last"), tmp_path / "run", quiet=True)
    assert load_run(tmp_path / "run").read_in_training == (4,)


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_metadata(path: Path, **changes: str | None) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | changes
    save_file(load_file(path), path, {name: value for name, value in metadata.items() if value is not None})


def test_a_later_layout_is_refused(copied: Path) -> None:
    change(copied / "settings.json", cortexgraph_run=99)
    with pytest.raises(DataError, match="the layout of this run has version 99, but version 1 is known"):
        load_run(copied)


def test_damaged_settings(copied: Path) -> None:
    change(copied / "settings.json", settings={"epochs": -1})
    with pytest.raises(DataError, match=r"settings\.json is not what a run writes \(`settings\.epochs`\)"):
        load_run(copied)


def test_settings_of_an_earlier_version_mean_what_they_meant(copied: Path) -> None:
    change(copied / "settings.json", settings={"epochs": 4, "lr": None, "weight_decay": None})
    change_metadata(copied / "weights.safetensors", identity=None, tensors_sha256=None)  # which 0.1 did not write
    assert load_run(copied).settings.lr == 0.006


def test_a_flipped_bit_in_the_checkpoint_is_seen(copied: Path) -> None:
    file = copied / "checkpoints" / "last.ckpt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"last\.ckpt is not whole"):
        load_run(copied, epoch="last")


def test_a_flipped_bit_in_the_weights_is_seen(copied: Path) -> None:
    file = copied / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 64
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"weights\.safetensors is not whole"):
        load_run(copied)


@pytest.mark.parametrize(("file", "changes"), [("data.json", {"mean": [0.4]}), ("settings.json", {"settings": {}})])
def test_what_was_edited_after_training_is_seen(copied: Path, file: str, changes: dict[str, object]) -> None:
    change(copied / file, **changes)
    with pytest.raises(DataError, match=r"settings\.json or data\.json is not what the run was started with"):
        load_run(copied)


def test_steps_with_a_weight_are_read_in_training(settings: Callable[..., TrainSettings], tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"settings\.loss_over: 2 weights were given, but .* is read out at 3 steps"):
        train(tiny_spec(), striped_data(), settings(epochs=1, loss_over="1,2"), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    summary = train(tiny_spec(), striped_data(), settings(epochs=1, loss_over="0,1,2"), tmp_path / "run", quiet=True)
    assert load_run(tmp_path / "run").read_in_training == (3, 4)
    assert summary.read_in_training == [3, 4]
    assert "over readout steps with weights 0,1,2" in (tmp_path / "run/summary.md").read_text()
