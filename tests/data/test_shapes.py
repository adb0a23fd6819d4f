"""The built-in data: determinism, balance, disjoint splits, equal areas; a linear readout fails."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cortexgraph.data import Batches, ImageData, load_data
from cortexgraph.data.outlines import OUTLINES, coverage, equal_area
from cortexgraph.data.shapes import CLASSES, generate

# Of generate("train", 200)[0]: when it changes, published figures on this data no longer hold.
TRAIN_200_SHA256 = "92dd8b1a23e722e64a3c90c478040e199dbbd7ce40413a533c6b99cbd0a94f6a"


def digests(images: np.ndarray) -> set[bytes]:
    return {hashlib.sha256(image.tobytes()).digest() for image in images}


def test_same_bytes_on_every_run_and_machine() -> None:
    images, labels = generate("train", 200)
    assert (images.dtype, labels.dtype, images.shape) == (np.uint8, np.int64, (200, 3, 32, 32))
    assert hashlib.sha256(images.tobytes()).hexdigest() == TRAIN_200_SHA256


def test_a_smaller_set_is_the_beginning_of_a_larger_one() -> None:
    few, few_labels = generate("train", 130)
    many, many_labels = generate("train", 200)
    assert np.array_equal(few, many[:130]) and np.array_equal(few_labels, many_labels[:130])


def test_the_number_of_threads_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    several = generate("test", 300)[0]
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert np.array_equal(generate("test", 300)[0], several)


def test_splits_and_seeds_are_disjoint_and_images_are_distinct() -> None:
    sets = [digests(generate(split, 200, seed=seed)[0]) for split in ("train", "test") for seed in (0, 1)]
    assert [len(found) for found in sets] == [200] * 4
    assert len(set.union(*sets)) == 800


@pytest.mark.parametrize("count", [10, 200, 1000])
def test_classes_are_balanced(count: int) -> None:
    assert np.bincount(generate("test", count)[1]).tolist() == [count // 10] * 10


def test_any_prefix_is_balanced_within_one() -> None:
    counts = np.bincount(generate("train", 27)[1], minlength=10)
    assert set(counts.tolist()) == {2, 3}


@pytest.mark.parametrize("size", [(32, 32), (48, 20), (1, 1), (7, 9)])
def test_any_size(size: tuple[int, int]) -> None:
    images, _ = generate("train", 10, size=size)
    assert images.shape == (10, 3, *size)


def test_a_larger_size_shows_the_same_scene() -> None:
    small = generate("train", 100, size=(32, 32))[0].astype(float)
    large = generate("train", 100, size=(96, 96))[0].astype(float)
    shrunk = large.reshape(100, 3, 32, 3, 32, 3).mean((3, 5))
    correlation = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(small, shrunk, strict=True)]
    assert min(correlation) > 0.9


@pytest.mark.parametrize("name", CLASSES)
def test_outlines_have_the_area_of_the_unit_disc(name: str) -> None:
    points = (np.arange(300, dtype=np.float32) + 0.5) / 75 - 2
    y, x = np.meshgrid(points, points, indexing="ij")
    scale = np.float32(equal_area(name))
    mask = coverage(OUTLINES[name](x / scale, y / scale) * scale, 1 / 75)
    assert mask.sum() / 75**2 == pytest.approx(np.pi, rel=0.02)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert not border.any()  # the whole outline fits into [-2, 2]²


@pytest.mark.parametrize("name", CLASSES)
def test_outlines_are_distances(name: str) -> None:
    """The slope is about 1 near the border, which anti-aliasing relies on."""
    points = (np.arange(400, dtype=np.float32) + 0.5) / 100 - 2
    y, x = np.meshgrid(points, points, indexing="ij")
    distance = OUTLINES[name](x, y)
    slope = np.hypot(*np.gradient(distance, 0.01))
    near = np.abs(distance) < 0.05
    assert np.median(slope[near]) == pytest.approx(1, abs=0.02)
    assert (np.abs(slope[near] - 1) < 0.1).mean() > 0.9


def test_neither_colour_nor_contrast_tells_the_class() -> None:
    images, labels = generate("train", 2000)
    scaled = images.astype(np.float32) / 255
    features = np.concatenate([scaled.mean((2, 3)), scaled.std((2, 3))], axis=1)  # [N, 6]
    train, test = torch.from_numpy(features).split(1500)
    truth = torch.from_numpy(labels)
    assert linear_accuracy(train, truth[:1500], test, truth[1500:]) < 0.17


def linear_accuracy(train: Tensor, labels: Tensor, test: Tensor, truth: Tensor, decay: float = 1e-3) -> float:
    """Test accuracy of multinomial logistic regression on features [N, D], fitted by L-BFGS."""
    mean, std = train.mean(0), train.std(0) + 1e-6
    train, test = (train - mean) / std, (test - mean) / std
    weight = torch.zeros(train.shape[1], 10, requires_grad=True)
    bias = torch.zeros(10, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=30, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(train @ weight + bias, labels) + decay * weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return float(((test @ weight + bias).argmax(1) == truth).float().mean())


def pixels(data: ImageData) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    train, test = data.train, data.test
    return train.images.flatten(1).float(), train.labels, test.images.flatten(1).float(), test.labels


def test_a_linear_classifier_on_pixels_fails() -> None:
    data = load_data("shapes", size=(16, 16), channels=1, train_images=2000, test_images=500)
    accuracy = linear_accuracy(*pixels(data), decay=1e-2)
    assert accuracy < 0.35


@pytest.mark.slow
def test_a_linear_classifier_on_all_pixels_stays_under_one_half() -> None:
    data = load_data("shapes", size=(32, 32), channels=3)
    accuracy = max(linear_accuracy(*pixels(data), decay=decay) for decay in (1e-3, 1e-2, 1e-1))
    assert accuracy < 0.5


@pytest.mark.slow
def test_a_small_convolutional_network_learns() -> None:
    """Far above the linear bound after a few passes: the labels are about what is seen."""
    torch.manual_seed(0)
    data = load_data("shapes", size=(32, 32), channels=3, train_images=5000, test_images=1000)
    widths = (3, 32, 64, 128, 128)
    layers: list[torch.nn.Module] = []
    for here, above in pairwise(widths):
        layers += [torch.nn.Conv2d(here, above, 3, padding=1), torch.nn.BatchNorm2d(above), torch.nn.ReLU()]
        layers += [torch.nn.MaxPool2d(2)]
    network = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(128, 10))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    common = {"mean": data.mean, "std": data.std, "seed": 0}
    train = Batches(data.train, batch_size=64, augment=data.augment, shuffle=True, **common)
    for epoch in range(8):
        train.set_epoch(epoch)
        for images, labels in train:
            optimiser.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimiser.step()
    network.eval()
    test = Batches(data.test, batch_size=500, augment=None, shuffle=False, **common)
    with torch.no_grad():
        hits = sum(int((network(images).argmax(1) == labels).sum()) for images, labels in test)
    assert hits / len(data.test) > 0.5


def test_load_data_gives_the_generated_images() -> None:
    data = load_data("shapes", size=(32, 32), channels=3, seed=3, train_images=50, test_images=20)
    images, labels = generate("test", 20, seed=3)
    assert torch.equal(data.test.images, torch.from_numpy(images))
    assert torch.equal(data.test.labels, torch.from_numpy(labels))
    assert (data.name, data.classes, len(data.train)) == ("shapes", CLASSES, 50)


def test_no_file_is_written(cache_home: Path) -> None:
    load_data("shapes", size=(32, 32), channels=3, train_images=10, test_images=10)
    assert not list(cache_home.iterdir())


def test_grey_images_are_the_luminance() -> None:
    wishes = {"size": (32, 32), "train_images": 20, "test_images": 20}
    colour = load_data("shapes", channels=3, **wishes).train.images.double()
    grey = load_data("shapes", channels=1, **wishes).train.images
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]
    expected = (colour * weights).sum(1, keepdim=True)
    assert grey.shape == (20, 1, 32, 32)
    assert (grey - expected).abs().max() <= 0.51


def test_defaults() -> None:
    data = load_data("shapes", size=(2, 2), channels=1)
    assert (len(data.train), len(data.test)) == (20_000, 2_000)
