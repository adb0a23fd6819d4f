"""Streamed images: images per second against torchvision's ImageFolder, and the memory of a run beyond its bound.

Both read the same JPEG files (224 × 224), crop with a padding, mirror, scale and normalise, with the same number of
worker processes; they take turns, round by round. The run whose memory is measured trains a small network on images
that take ten times what `memory` allows, in a process of its own, and once more with all images in memory.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import torch
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder

import cortexgraph as cg
from benchmarks.input_pipeline import images_per_second
from cortexgraph.data import Augment, Batches, load_data
from cortexgraph.data.shapes import CLASSES, generate
from cortexgraph.spec import NetworkSpec

__all__ = ["streaming"]

SIZE, BATCH, PADDING, MB = 224, 64, 28, 10**6
DRAWN = 200
"""Different images; further files are links to them."""


def streaming(images: int, rounds: int, workers: int) -> Iterator[str]:
    """Lines of two Markdown tables."""
    with tempfile.TemporaryDirectory() as folder:
        root = _make_folder(Path(folder) / "images", images)
        yield from _speed(root, rounds, workers)
        yield ""
        yield from _memory(root, images, workers, Path(folder))


def _make_folder(root: Path, count: int) -> Path:
    """JPEG files of the built-in data set, a tenth of them for testing."""
    for split, number in (("train", count), ("test", max(len(CLASSES), count // 10))):
        pictures, labels = generate("train" if split == "train" else "test", min(DRAWN, number), size=(SIZE, SIZE))
        for index in range(number):
            name = CLASSES[labels[index % len(labels)]]
            file, first = (root / split / name / f"{n:06}.jpg" for n in (index, index % len(labels)))
            file.parent.mkdir(parents=True, exist_ok=True)
            if index < len(labels):
                Image.fromarray(pictures[index].transpose(1, 2, 0)).save(file, quality=85)
            else:
                os.link(first, file)
    return root


def _speed(root: Path, rounds: int, workers: int) -> Iterator[str]:
    data = load_data(str(root), size=(SIZE, SIZE), channels=3, memory=0, workers=workers, cache=False)
    augment = Augment(crop_padding_px=PADDING)
    ours = Batches(data.train, mean=data.mean, std=data.std, batch_size=BATCH, augment=augment, seed=0, shuffle=True)
    steps = [transforms.RandomCrop(SIZE, padding=PADDING), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    transform = transforms.Compose([*steps, transforms.Normalize(data.mean, data.std)])
    theirs = torch.utils.data.DataLoader(
        ImageFolder(str(root / "train"), transform), BATCH, shuffle=True, num_workers=workers
    )
    rates = []
    for epoch in range(rounds + 1):
        ours.set_epoch(epoch)
        rates.append((images_per_second(ours), images_per_second(theirs)))
    measured = rates[1:]  # the first round warms up the caches
    ratios = [mine / its for mine, its in measured]
    yield f"{len(data.train):,} JPEGs of {SIZE} × {SIZE}, batches of {BATCH}, {workers} workers, {rounds} rounds"
    yield ""
    yield "| | images/s |"
    yield "|---|---:|"
    for name, values in zip(("streamed", "ImageFolder and DataLoader"), zip(*measured, strict=True), strict=True):
        yield f"| {name} | {statistics.median(values):,.0f} |"
    yield ""
    yield f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})"


def _memory(root: Path, images: int, workers: int, folder: Path) -> Iterator[str]:
    decoded = images * 3 * SIZE * SIZE
    bound = decoded // 10
    yield f"Training on {decoded / MB:,.0f} MB of decoded images"
    yield ""
    yield "| images may take | peak above the start, workers included (MB) |"
    yield "|---|---:|"
    for number, memory in enumerate((bound, None)):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            peak = pool.submit(_peak, root, memory, workers, folder / f"run{number}").result()
        yield f"| {'half of the memory' if memory is None else f'{memory / MB:,.0f} MB'} | {peak / MB:,.0f} |"


def _peak(root: Path, memory: int | None, workers: int, run: Path) -> int:
    """Bytes by which this process and its workers grew at most while they loaded the images and trained."""
    from cortexgraph.training import TrainSettings, train

    torch.set_num_threads(1)
    spec = NetworkSpec.model_validate(
        {
            "name": "small",
            "input": {"channels": 3, "size": SIZE},
            "areas": {"V1": {"channels": 4, "size": SIZE // 8}},
            "connections": ["image -> V1"],
            "readout": {"from": "V1", "classes": len(CLASSES)},
            "time": {"steps": 2},
        }
    )
    cg.compile(spec)
    held, ended = [_held()], threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            held.append(_held())

    watching = threading.Thread(target=watch)
    watching.start()
    data = load_data(str(root), size=(SIZE, SIZE), channels=3, memory=memory, workers=workers, cache=False)
    train(spec, data, TrainSettings(epochs=1, batch_size=BATCH, device="cpu"), run, quiet=True, logger=())
    ended.set()
    watching.join()
    return max(held) - held[0]


def _held() -> int:
    """Bytes that this process and its workers hold, of shared ones their share; files such as libraries left out."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    total = 0
    for process in ("self", *children):
        with suppress(OSError):  # a worker that has just ended
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    return total
