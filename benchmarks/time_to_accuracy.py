"""Test accuracy on CIFAR-10 against minutes of training: runs of `cortexgraph train`, and a ResNet-20 written by hand.

    python -m benchmarks.time_to_accuracy --data path/to/cifar10 --out time.csv            # trains ResNet-20
    python -m benchmarks.time_to_accuracy --plot time.csv runs/strong --out docs/images/time-to-accuracy.svg

ResNet-20 is that of He et al. (2016, section 4.2): 269,722 parameters, 41 million multiply-adds. Its script is a usual
one: all images as tensors in memory, crops with a padding of 4, mirror images, SGD with Nesterov momentum, one cycle of
the learning rate, label smoothing, bfloat16 where the processor has it. A minute counts whatever the script does,
except the decoding of the files.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from cortexgraph.training.curves import figure_of, save_figure
from cortexgraph.training.engine import choose_precision

BATCH = 128
PEAK_LR = 0.2


class Block(nn.Module):
    """x ← relu(shortcut(x) + bn(conv(relu(bn(conv(x)))))); the shortcut subsamples x and adds channels of zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added)))


def resnet20(classes: int) -> nn.Module:
    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    blocks = [Block(a, b, 1 + (a != b)) for a, b in pairwise(widths)]
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def read(folder: Path) -> tuple[Tensor, Tensor]:
    """Images, uint8 [N, 3, 32, 32], and labels, int64 [N]."""
    files = ImageFolder(str(folder))
    return torch.stack([pil_to_tensor(image) for image, _ in files]), torch.tensor(files.targets)


def augmented(images: Tensor) -> Tensor:
    """A crop of each image padded by 4, for one half of them mirrored."""
    count, _, height, width = images.shape
    padded = F.pad(images, (4, 4, 4, 4)).permute(0, 2, 3, 1)
    mirrored = torch.rand(count) < 0.5
    rows = torch.arange(height) + torch.randint(9, (count, 1))
    columns = torch.arange(width) + torch.randint(9, (count, 1))
    columns[mirrored] = columns[mirrored].flip(1)
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def train(data: Path, epochs: int, seed: int) -> Iterator[tuple[float, float]]:
    """Minutes since the start and test accuracy, after each epoch."""
    torch.manual_seed(seed)
    (images, labels), (test_images, test_labels) = read(data / "train"), read(data / "test")
    start = time.perf_counter()
    pixels = images.float() / 255
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
    images, test_images = (
        ((x.float() / 255 - mean[:, None, None]) / std[:, None, None]).contiguous(memory_format=torch.channels_last)
        for x in (images, test_images)
    )
    network = resnet20(int(labels.max()) + 1).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), PEAK_LR, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=epochs * steps)
    bf16 = choose_precision("auto", torch.device("cpu")) == "bf16"
    for _ in range(epochs):
        network.train()
        for batch in torch.randperm(len(images))[: steps * BATCH].split(BATCH):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                outputs = network(augmented(images[batch]))
            F.cross_entropy(outputs.float(), labels[batch], label_smoothing=0.1).backward()
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            found = torch.cat([network(x).argmax(1) for x in test_images.split(500)])
        yield (time.perf_counter() - start) / 60, (found == test_labels).double().mean().item()


def of_table(file: Path) -> tuple[str, list[float], list[float]]:
    """The name of a line, its minutes and its accuracies in per cent."""
    if file.is_dir():
        rows = list(csv.DictReader((file / "metrics.csv").read_text().splitlines()))
        minutes = list(accumulate(float(row["seconds"]) / 60 for row in rows))
        return file.name, minutes, [100 * float(row["test_accuracy"]) for row in rows]
    rows = list(csv.DictReader(file.read_text().splitlines()))
    return "ResNet-20", [float(row["minutes"]) for row in rows], [100 * float(row["test_accuracy"]) for row in rows]


def plot(tables: list[Path], out: Path) -> None:
    with figure_of(1, "CIFAR-10 (JPEG copy)", (5, 3.4), integers=False) as (figure, (axis,)):
        for name, minutes, accuracies in map(of_table, tables):
            axis.plot(minutes, accuracies, marker=".", label=name)
        axis.set(xlabel="minutes of training", ylabel="test accuracy (%)")
        axis.legend(frameon=False)
        save_figure(figure, [out])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="folder with train/CLASS/* and test/CLASS/*: train ResNet-20 on it")
    what.add_argument("--plot", type=Path, nargs="+", help="draw tables of this script and folders of runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    given = parser.parse_args()
    if given.plot:
        plot(given.plot, given.out)
        return
    with given.out.open("w") as file:
        print("minutes,test_accuracy", file=file)
        for epoch, (minutes, accuracy) in enumerate(train(given.data, given.epochs, given.seed), start=1):
            print(f"{minutes:.3f},{accuracy}", file=file, flush=True)
            print(f"epoch {epoch}/{given.epochs}  {minutes:.1f} min  test accuracy {accuracy:.1%}", flush=True)


if __name__ == "__main__":
    main()
