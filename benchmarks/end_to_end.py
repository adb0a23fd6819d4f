"""An epoch of training from end to end: the share outside the network, for `train` and for the usual script.

The usual script is what people write: torchvision's ImageFolder, a DataLoader with two workers, and a loop by hand over
the same network, loss, optimiser and schedule, with the running loss and accuracy of each batch. Both train `ventral`
for one epoch on the same JPEG files and evaluate it; they take turns, round by round. Inside the network are forward
and backward passes. The rest is data, loss, optimiser, schedule, counting, and for `train` also its checks and what it
writes after an epoch. What happens once in a run, such as decoding the files, is left out.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

import cortexgraph as cg
from benchmarks.input_pipeline import make_folder, torchvision_loader
from cortexgraph.data import ImageData, load_data
from cortexgraph.training import TrainSettings, fit
from cortexgraph.training.optimizers import make_optimizer, make_scheduler
from cortexgraph.training.recorder import Recorder

__all__ = ["end_to_end"]

BATCH = 128
SMOOTHING = 0.1


class Stopwatch:
    """Seconds of an epoch, and of those inside the network."""

    def __init__(self) -> None:
        self.inside = self.whole = 0.0
        self._entered = 0.0

    def enter(self, *arguments: object) -> None:
        self._entered = time.perf_counter()

    def leave(self, *arguments: object) -> None:
        self.inside += time.perf_counter() - self._entered

    def watch(self, network: nn.Module) -> nn.Module:
        """Count the forward passes of a network."""
        network.register_forward_pre_hook(self.enter)
        network.register_forward_hook(self.leave)
        return network

    @contextmanager
    def backward_passes(self) -> Iterator[None]:
        """Count the backward passes within the block."""
        backward = Tensor.backward

        def timed(tensor: Tensor, *arguments: Any, **named: Any) -> None:
            self.enter()
            backward(tensor, *arguments, **named)
            self.leave()

        with patch.object(Tensor, "backward", timed):
            yield

    @contextmanager
    def epoch(self) -> Iterator[None]:
        """Time the whole epoch."""
        start = time.perf_counter()
        yield
        self.whole += time.perf_counter() - start

    @property
    def outside(self) -> float:
        return 1 - self.inside / self.whole


def settings(precision: str) -> TrainSettings:
    return TrainSettings.model_validate(
        {"epochs": 1, "batch_size": BATCH, "label_smoothing": SMOOTHING, "device": "cpu", "precision": precision}
    )


def ours(spec: cg.NetworkSpec, data: ImageData, precision: str) -> Stopwatch:
    """One epoch of `train`, from the start of the epoch until everything that it leaves is written."""
    watch, compile_spec, start = Stopwatch(), fit.compile_spec, 0.0
    begin, end = Recorder.on_train_epoch_start, Recorder.on_train_epoch_end

    def compiled(*arguments: Any, **named: Any) -> nn.Module:
        return watch.watch(compile_spec(*arguments, **named))

    def began(*arguments: Any) -> None:
        nonlocal start
        start = time.perf_counter()
        begin(*arguments)

    def ended(*arguments: Any) -> None:
        end(*arguments)
        watch.whole = time.perf_counter() - start

    with ExitStack() as stack:
        stack.enter_context(patch.object(fit, "compile_spec", compiled))
        stack.enter_context(patch.object(Recorder, "on_train_epoch_start", began))
        stack.enter_context(patch.object(Recorder, "on_train_epoch_end", ended))
        stack.enter_context(watch.backward_passes())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        cg.train(spec, data, settings(precision), Path(folder) / "run", quiet=True)
    return watch


def usual_script(spec: cg.NetworkSpec, root: Path, data: ImageData, precision: str) -> Callable[[], Stopwatch]:
    """The script, whose workers stay from epoch to epoch."""
    train = torchvision_loader(root, data, len(data.train))
    test = test_loader(root, data)

    def epoch() -> Stopwatch:
        watch, chosen = Stopwatch(), settings(precision)
        network = watch.watch(cg.compile(spec, memory_format="channels_last"))
        optimizer = make_optimizer(network, chosen)
        schedule = make_scheduler(optimizer, chosen, len(train))
        with watch.backward_passes(), watch.epoch():
            train_epoch(network, train, optimizer, schedule, precision)
            evaluate_epoch(network, test, precision)
        return watch

    return epoch


def train_epoch(
    network: nn.Module,
    loader: DataLoader[tuple[Tensor, Tensor]],
    optimizer: optim.Optimizer,
    schedule: optim.lr_scheduler.LRScheduler,
    precision: str,
) -> float:
    network.train()
    running = 0.0
    for images, labels in loader:
        images = images.contiguous(memory_format=torch.channels_last)  # noqa: PLW2901
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = network(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=SMOOTHING)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        running += loss.item() + float((logits.argmax(1) == labels).float().mean())
    return running


def evaluate_epoch(network: nn.Module, loader: DataLoader[tuple[Tensor, Tensor]], precision: str) -> int:
    network.eval()
    correct = 0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for images, labels in loader:
            images = images.contiguous(memory_format=torch.channels_last)  # noqa: PLW2901
            correct += int((network(images).argmax(1) == labels).sum())
    return correct


def test_loader(root: Path, data: ImageData) -> DataLoader[tuple[Tensor, Tensor]]:
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(data.mean, data.std)])
    folder = ImageFolder(str(root / "test"), transform)
    rows = range(0, len(folder), max(1, len(folder) // len(data.test)))
    return DataLoader(Subset(folder, list(rows)[: len(data.test)]), 500, num_workers=2, persistent_workers=True)


def end_to_end(root: Path | None, images: int, rounds: int, precision: str = "fp32") -> Iterator[str]:
    """Lines of a Markdown table: images per second, and the share of time outside the network."""
    with ExitStack() as stack:
        if root is None:
            root = make_folder(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        data = load_data(str(root), size=(32, 32), channels=3, cache=False)
        if len(data.train) > images:
            counts = {"train_images": images, "test_images": min(len(data.test), images // 5)}
            data = load_data(str(root), size=(32, 32), channels=3, cache=False, **counts)  # type: ignore[arg-type]
        spec = cg.load("ventral", [f"readout.classes={len(data.classes)}"])
        written = {"fp32": "32"}.get(precision, precision)
        script = usual_script(spec, root, data, written)
        times: dict[str, list[Stopwatch]] = {"cortexgraph train": [], "usual script": []}
        for turn in range(rounds + 1):
            for name, run in zip(times, (lambda: ours(spec, data, written), script), strict=True):
                watch = run()
                if turn:  # the first round starts the workers and warms up
                    times[name].append(watch)
        yield (
            f"`ventral`, {len(data.train):,} training and {len(data.test):,} test images, batch {BATCH}, {precision}, "
            f"{torch.get_num_threads()} threads; load of the machine {', '.join(map(str, _load()))}."
        )
        yield ""
        yield "| | images/s, with evaluation | outside the network (range) |"
        yield "|---|---:|---:|"
        for name, watches in times.items():
            speed = statistics.median(len(data.train) / watch.whole for watch in watches)
            shares = [watch.outside for watch in watches]
            yield (
                f"| {name} | {speed:,.0f} | **{statistics.median(shares):.1%}** "
                f"({min(shares):.1%} – {max(shares):.1%}) |"
            )
        ratios = [b.whole / a.whole for a, b in zip(*times.values(), strict=True)]
        median = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})"
        yield f"\nThe usual script takes {median} times as long."


def _load() -> list[float]:
    return [round(value, 1) for value in os.getloadavg()]
