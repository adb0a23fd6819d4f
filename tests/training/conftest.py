"""A network and images so small that an epoch takes a few milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from cortexgraph.cli.app import app
from cortexgraph.data import Augment, ImageData, LabelledImages
from cortexgraph.errors import in_commands
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import TrainSettings, fit, job, recorder, train

SIZE_PX = 8


INGREDIENTS: dict[str, Any] = {
    "optimizer": "muon",
    "loss_over": "1,0.5,2",
    "schedule": "linear",
    "warmup": 0.3,
    "momentum": 0.8,
    "norm_lr_factor": 3.0,
    "ema": 0.9,
    "shift": 2,
    "border": "reflect",
    "flip": "alternating",
    "cutout": 3,
    "randaugment": 2,
    "mixup": 0.4,
    "cutmix": 1.0,
    "clip": 1.0,
    "label_smoothing": 0.1,
}
"""Settings that switch on every ingredient of training."""


def tiny_spec(**changes: Any) -> NetworkSpec:
    """Two areas with lateral and feedback connections and batch norm per step, on 8 × 8 images."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "input": {"channels": 1, "size": SIZE_PX},
        "defaults": {"area": {"norm": {"kind": "batch", "per_step": True}}},
        "areas": {"V1": {"channels": 4, "size": 8}, "IT": {"channels": 6, "size": 4}},
        "connections": ["image -> V1 -> IT -> V1", "V1 -> V1", "IT -> IT"],
        "readout": {"from": "IT", "classes": 3, "at": "all"},
        "time": {"steps": 4},
    }
    return NetworkSpec.model_validate(fields | changes)


def striped_images(count: int, seed: int) -> LabelledImages:
    """Noisy stripes: horizontal, vertical or diagonal, by class."""
    random = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(SIZE_PX), torch.arange(SIZE_PX), indexing="ij")
    patterns = torch.stack([rows % 4 < 2, columns % 4 < 2, (rows + columns) % 4 < 2]).float()  # [3, H, W]
    labels = torch.arange(count) % 3
    noise = torch.rand(count, SIZE_PX, SIZE_PX, generator=random)
    images = (128 * patterns[labels] + 127 * noise).to(torch.uint8).unsqueeze(1)  # [N, 1, H, W]
    return LabelledImages(images, labels)


def striped_data(**changes: Any) -> ImageData:
    fields: dict[str, Any] = {
        "name": "stripes",
        "classes": ("horizontal", "vertical", "diagonal"),
        "train": striped_images(48, seed=0),
        "test": striped_images(24, seed=1),
        "mean": (0.5,),
        "std": (0.3,),
        "augment": Augment(crop_padding_px=1, flip=False),
    }
    return ImageData(**(fields | changes))


def run(*arguments: object) -> Result:
    """A command line in this process."""
    with in_commands():  # as `main` runs them
        return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def spec() -> NetworkSpec:
    return tiny_spec()


@pytest.fixture
def data() -> ImageData:
    return striped_data()


@pytest.fixture
def settings() -> Callable[..., TrainSettings]:
    """Settings of a short run."""

    def make(**changes: Any) -> TrainSettings:
        fields: dict[str, Any] = {"epochs": 3, "batch_size": 16, "device": "cpu"}
        return TrainSettings(**(fields | changes))

    return make


@pytest.fixture(autouse=True)
def always_one_thread(one_thread: None) -> None:
    """For every test of this folder."""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests only read it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    chosen = TrainSettings(epochs=4, batch_size=8, lr=0.2, device="cpu")
    train(tiny_spec(), striped_data(), chosen, folder, quiet=True, command=["cortexgraph", "train", "a spec.yaml"])
    return folder


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawings and curves, which take longer than training does here."""
    for module in (fit, recorder):
        monkeypatch.setattr(module, "draw_curves", lambda *arguments: None)
    for name in ("draw", "draw_unrolled"):
        monkeypatch.setattr(job, name, lambda spec: SimpleNamespace(save=lambda path: None))
