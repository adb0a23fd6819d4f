"""Batches: what they hold, and that (seed, epoch) alone decides their order and augmentation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from cortexgraph.data import Augment, Batches, LabelledImages
from cortexgraph.data.images import level_counts, statistics_of
from cortexgraph.errors import DataError

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def some_data(count: int = 50) -> LabelledImages:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=generator)
    return LabelledImages(images, torch.arange(count))


def make(data: LabelledImages | None = None, **wishes: Any) -> Batches:
    given = {
        "mean": MEAN,
        "std": STD,
        "batch_size": 16,
        "augment": Augment(cutout_px=2),
        "seed": 0,
        "shuffle": True,
    }
    return Batches(some_data() if data is None else data, **(given | wishes))


def content(batches: Batches, epoch: int = 0) -> tuple[Tensor, Tensor]:
    batches.set_epoch(epoch)
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


def test_images_are_normalised_per_channel() -> None:
    data = some_data()
    images, labels = content(make(data, augment=None, shuffle=False))
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(images, (data.images.float() / 255 - mean) / std, atol=1e-5, rtol=1e-5)
    assert images.dtype == torch.float32
    assert torch.equal(labels, data.labels)


def test_own_statistics_give_zero_mean_and_unit_deviation() -> None:
    data = some_data()
    mean, std = statistics_of(level_counts(data))
    images, _ = content(make(data, mean=mean, std=std, augment=None))
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(images.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_a_constant_channel_has_a_safe_deviation() -> None:
    images = LabelledImages(torch.full((3, 1, 4, 4), 51, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))
    mean, std = statistics_of(level_counts(images))
    assert mean == pytest.approx((0.2,)) and std == (1 / 255,)


def test_each_image_comes_once_per_epoch_with_its_label() -> None:
    data = some_data()
    images, labels = content(make(data, augment=None), epoch=4)
    assert sorted(labels.tolist()) == list(range(50))
    assert not torch.equal(labels, data.labels)
    plain, _ = content(make(data, augment=None, shuffle=False))
    assert torch.equal(images, plain[labels])


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [16, 16, 16, 2]), (True, [16, 16, 16])])
def test_length_and_last_batch(drop_last: bool, sizes: list[int]) -> None:
    batches = make(drop_last=drop_last)
    assert len(batches) == len(sizes)
    assert [len(labels) for _, labels in batches] == sizes


def test_same_seed_and_epoch_same_batches_also_after_other_epochs() -> None:
    first, again = make(), make()
    expected = content(first, epoch=3)
    for epoch in (0, 7):
        content(again, epoch)
    for mine, its in zip(content(again, epoch=3), expected, strict=True):
        assert torch.equal(mine, its)


def test_iterating_depends_on_no_global_state() -> None:
    torch.manual_seed(1)
    expected = content(make())
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(content(make())[0], expected[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}])
def test_other_seed_or_epoch_other_batches(other: dict[str, int]) -> None:
    images, labels = content(make())
    changed_images, changed_labels = content(make(seed=other.get("seed", 0)), other.get("epoch", 0))
    assert not torch.equal(labels, changed_labels)
    assert not torch.equal(images, changed_images)


def test_epochs_of_neighbouring_seeds_differ() -> None:
    orders = {tuple(content(make(seed=seed), epoch)[1].tolist()) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


def test_augmentation_does_not_depend_on_the_batch_size() -> None:
    assert torch.equal(content(make(batch_size=7))[0], content(make(batch_size=50))[0])


def test_two_iterations_at_once_do_not_disturb_each_other() -> None:
    batches = make()
    pairs = list(zip(batches, batches, strict=True))
    assert all(torch.equal(a[0], b[0]) for a, b in pairs)


def test_grey_images() -> None:
    data = LabelledImages(some_data().images[:, :1], some_data().labels)
    images, _ = content(make(data, mean=(0.5,), std=(0.5,)))
    assert images.shape == (50, 1, 8, 8)


@pytest.mark.gpu
def test_the_same_batches_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    images, labels = content(make(device="cuda"))
    expected, expected_labels = content(make())
    assert images.is_cuda and torch.equal(labels.cpu(), expected_labels)
    torch.testing.assert_close(images.cpu(), expected)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, but it must be 1 or more"),
        ({"batch_size": 51, "drop_last": True}, "drop_last leaves nothing of 50 images in batches of 51"),
        ({"seed": -1}, "seed is -1, but it must be 0 or more"),
        ({"mean": (0.5,)}, "mean has 1 and std has 3 values, but the images have 3 channels"),
        ({"std": (0.0, 1, 1)}, "each must be positive"),
        ({"augment": Augment(crop_padding_px=8)}, "images of 8 × 8 pixels allow at most 7"),
        ({"data": some_data(0)}, "no images, but at least one is needed"),
    ],
)
def test_bad_requests(wishes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(**wishes)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(2, 3, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2)),
    ],
)
def test_bad_tensors(images: Tensor, labels: Tensor) -> None:
    with pytest.raises(DataError, match=r"uint8 images \[N, C, H, W\] and int64 labels \[N\] are needed"):
        LabelledImages(images, labels)


def test_randaugment_follows_from_seed_epoch_and_batch() -> None:
    """Each batch is the same whatever was drawn before, and torch's own transform makes it."""
    images = torch.randint(0, 256, (32, 3, 16, 16), dtype=torch.uint8)
    settings = {"mean": (0.0,) * 3, "std": (1 / 255,) * 3, "batch_size": 16, "seed": 3, "shuffle": False}
    augment = Augment(crop_padding_px=0, flip=False, randaugment=2)
    batches = Batches(LabelledImages(images, torch.arange(32)), augment=augment, **settings)  # type: ignore[arg-type]
    state = torch.get_rng_state()
    first = [shown for shown, _ in batches]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    again = [shown for shown, _ in batches]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    batches.set_epoch(1)
    assert not torch.equal(next(iter(batches))[0], first[0])
    transform = v2.RandAugment(2, fill=[0.0, 0.0, 0.0])
    seed = np.random.SeedSequence([3, 0, 16], spawn_key=(2,)).generate_state(1, np.uint64)[0] >> np.uint64(1)
    torch.manual_seed(int(seed))
    expected = torch.cat([transform(images[16:24]), transform(images[24:])]).float()
    torch.testing.assert_close(first[1], expected)


def test_batches_give_targets_that_are_not_classes() -> None:
    images, targets = some_data(6), torch.rand(6, 2, 4)
    given = LabelledImages(images.images, images.labels, targets)
    found = content(make(given, batch_size=4, augment=None, shuffle=False))[1]
    assert torch.equal(found, targets)
    assert torch.equal(given[[3, 1]].goals(torch.tensor([0])), targets[[3]])
    with pytest.raises(DataError, match=r"targets are \[5, 2, 4\], but there are 6 images"):
        LabelledImages(images.images, images.labels, targets[:5])
