"""Training images per second: `cortexgraph.data` against torchvision's ImageFolder and DataLoader.

Both read the same directory and crop with a padding of 4, mirror, scale and normalise. Ours decodes the files once and
augments whole batches as tensors, here on a single thread; torchvision decodes and augments one image at a time in two
workers. They take turns, round by round, so that a busy machine slows both; the ratio of each round is what counts.
Ours passes over the images ten times a round, so that it is timed for long enough.

    python benchmarks/input_pipeline.py --data /path/to/cifar10-jpeg
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from cortexgraph.data import Augment, Batches, ImageData, load_data
from cortexgraph.data.shapes import CLASSES, generate

BATCH = 128
WORKERS = 2
PASSES = 10


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="directory with train/ and test/ (default: 2,000 images made here)")
    parser.add_argument("--images", type=int, default=10_000, help="training images per round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    return parser.parse_args()


def make_folder(root: Path) -> Path:
    """Write images of the built-in data set as 32 × 32 JPEG files."""
    for split, count in (("train", 2000), ("test", 100)):
        images, labels = generate(split, count)
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            file = root / split / CLASSES[label] / f"{index:05}.jpg"
            Image.fromarray(image.transpose(1, 2, 0)).save(file, quality=75)
    return root


def torchvision_loader(root: Path, data: ImageData, count: int) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(data.mean, data.std),
        ]
    )
    folder = ImageFolder(str(root / "train"), transform)
    rows = torch.randperm(len(folder), generator=torch.Generator().manual_seed(0))[:count].tolist()
    return DataLoader(Subset(folder, rows), BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True)


def passes(batches: Batches, round_index: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for index in range(PASSES):
        batches.set_epoch(PASSES * round_index + index)
        yield from batches


def images_per_second(batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float:
    start = time.perf_counter()
    count = sum(len(labels) for _, labels in batches)
    return count / (time.perf_counter() - start)


def spread(values: list[float]) -> str:
    return f"median {statistics.median(values):>9,.1f}   range {min(values):,.1f} – {max(values):,.1f}"


def compare(root: Path, wanted: int, rounds: int) -> None:
    start = time.perf_counter()
    data = load_data(str(root), size=(32, 32), channels=3, cache=False)
    decoded = len(data.train) + len(data.test)
    print(f"decoding {decoded:,} files once: {time.perf_counter() - start:.1f} s")
    data = load_data(str(root), size=(32, 32), channels=3, cache=False, train_images=min(wanted, len(data.train)))
    ours = Batches(
        data.train,
        mean=data.mean,
        std=data.std,
        batch_size=BATCH,
        augment=Augment(crop_padding_px=4, flip=True),
        seed=0,
        shuffle=True,
    )
    theirs = torchvision_loader(root, data, len(data.train))
    print(f"{len(data.train):,} training images a round, batches of {BATCH}, {os.cpu_count()} cores")
    results: dict[str, list[float]] = {"cortexgraph": [], "torchvision": [], "ratio": []}
    for epoch in range(rounds + 1):
        mine, its = images_per_second(passes(ours, epoch)), images_per_second(theirs)
        if epoch:  # the first round starts the workers and warms up the caches
            for name, value in zip(results, (mine, its, mine / its), strict=True):
                results[name].append(value)
    for name, values in results.items():
        print(f"{name:<12} {spread(values)} {'' if name == 'ratio' else 'images/s'}")


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    if arguments.data:
        compare(arguments.data, arguments.images, arguments.rounds)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(make_folder(Path(folder)), arguments.images, arguments.rounds)


if __name__ == "__main__":
    main()
