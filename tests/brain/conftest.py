"""A small network with random weights as a run, 80 images, and a simulated recording of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import xarray
from PIL import Image

import cortexgraph as cg
from cortexgraph.brain import simulate_recording
from cortexgraph.data import Stimuli, load_stimuli
from cortexgraph.training import TrainSettings
from cortexgraph.training.records import DataCard
from cortexgraph.training.run import TrainedRun
from cortexgraph.training.run_folder import RunFolder

IMAGES, REPETITIONS, NOISE = 80, 6, 0.5
SPEC = """cortexgraph: 1
name: tiny
input: {channels: 1, size: 8}
areas: {V2: {channels: 6, size: 8}, V4: {channels: 8, size: 4}, IT: {channels: 12, size: 2}}
connections: [image -> V2 -> V4 -> IT, IT -> V4, V2 -> V2, V4 -> V4, IT -> IT]
readout: {from: IT, classes: 3, at: all}
time: {steps: 6, dt_ms: 10}
"""


@pytest.fixture(scope="session")
def run() -> TrainedRun:
    spec = cg.loads(SPEC)
    torch.manual_seed(0)
    weights = {name: value * 1.5 for name, value in cg.compile(spec).state_dict().items()}
    card = DataCard(
        name="none",
        classes=["a", "b", "c"],
        train_images=0,
        test_images=0,
        mean=[0.5],
        std=[0.25],
        augment={},
        sha256="",
        load_data=None,
        resize=None,
    )
    return TrainedRun(RunFolder(Path("tiny")), spec, TrainSettings(), card, weights)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stimuli")
    pixels = torch.randint(0, 256, (IMAGES, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for n, image in enumerate(pixels):
        Image.fromarray(image.numpy()).save(folder / f"im{n:02}.png")
    return folder


@pytest.fixture(scope="session")
def stimuli(folder: Path) -> Stimuli:
    return load_stimuli(str(folder), size=(8, 8), channels=1)


HIDDEN = {"late": [("V4", 4), ("V4", 5)], "high": [("IT", 6), ("IT", 6)]}


@pytest.fixture(scope="session")
def recording(run: TrainedRun, stimuli: Stimuli) -> xarray.DataArray:
    """Region `late` copies V4 at step 4 and then at step 5; region `high` IT at step 6."""
    return simulate_recording(run, stimuli, HIDDEN, neuroids=128, repetitions=REPETITIONS, noise=NOISE)


@pytest.fixture(scope="session")
def signal(run: TrainedRun, stimuli: Stimuli) -> xarray.DataArray:
    """The same without noise."""
    return simulate_recording(run, stimuli, HIDDEN, neuroids=128, repetitions=1, noise=0)
