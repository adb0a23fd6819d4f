"""What the ingredients of training cost, as shares of a training step of the ventral stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

import cortexgraph as cg
from benchmarks.timing import Run, Setting, interleaved
from cortexgraph.data import Augment, Batches, LabelledImages
from cortexgraph.training import TrainSettings
from cortexgraph.training.engine import reuse_freed_memory
from cortexgraph.training.losses import readout_loss
from cortexgraph.training.module import moving_average
from cortexgraph.training.optimizers import make_optimizer

__all__ = ["ingredients"]

BATCHES = 10


def ingredients(setting: Setting) -> Iterator[str]:
    """Rows: milliseconds for each batch, and the ratio to a training step in 32 bits."""
    step = "training step, 32"
    times = interleaved(_runs(setting), setting)
    yield f"{setting.words}: ventral, images of 32 × 32.\n"
    yield "| | ms for each batch | ratio to the step |"
    yield "|---|---:|---:|"
    for name, each in times.items():
        part = BATCHES if name.startswith("images") else 1
        yield f"| {name} | {1000 * each.median / part:.1f} | {each.over(times[step])[0] / part:.3f} |"


def _runs(setting: Setting) -> dict[str, Run]:
    network = cg.compile("ventral", memory_format="channels_last").train()
    pixels = torch.randint(0, 256, (BATCHES * setting.batch, 3, 32, 32), dtype=torch.uint8)
    images = LabelledImages(pixels, torch.randint(0, 10, (len(pixels),)))
    shift = Augment(crop_padding_px=2, flip="alternating", cutout_px=8, padding="reflect")
    chains = {
        "as they are": None,
        "with shift, flip, cutout": shift,
        "with RandAugment": Augment(crop_padding_px=0, flip=False, randaugment=1),
    }
    runs: dict[str, Run] = {
        "training step, 32": _step(network, images, setting.batch, bf16=False),
        "training step, 32, memory reused": _reusing(_step(network, images, setting.batch, bf16=False)),
        "training step, bf16": _step(network, images, setting.batch, bf16=True),
    }
    runs |= {f"images {name}": _passes(images, augment, setting.batch) for name, augment in chains.items()}
    for name in ("sgd", "adamw", "muon") if hasattr(torch.optim, "Muon") else ("sgd", "adamw"):
        settings = TrainSettings.model_validate({"optimizer": name, "lr": 1e-6})
        runs[f"{name}"] = _update(network, make_optimizer(network, settings))
    average = moving_average(network, 0.999)
    runs["moving average"] = lambda: average.update_parameters(network)
    return runs


def _step(network: torch.nn.Module, images: LabelledImages, batch: int, *, bf16: bool) -> Run:
    loader = Batches(images, mean=(0.5,) * 3, std=(0.25,) * 3, batch_size=batch, augment=None, seed=0, shuffle=True)
    x, labels = next(iter(loader))
    x = x.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = readout_loss(network(x), labels)
        loss.backward()

    return step


def _reusing(step: Run) -> Run:
    def run() -> None:
        reuse_freed_memory()
        step()
        reuse_freed_memory(False)

    return run


def _passes(images: LabelledImages, augment: Augment | None, batch: int) -> Run:
    loader = Batches(images, mean=(0.5,) * 3, std=(0.25,) * 3, batch_size=batch, augment=augment, seed=0, shuffle=True)
    return lambda: [None for _ in loader]


def _update(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    def update() -> None:
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
        optimizer.step()

    return update
