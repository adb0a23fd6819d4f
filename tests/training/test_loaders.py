from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from cortexgraph.data import ImageData
from cortexgraph.training import TrainSettings
from cortexgraph.training.loaders import EpochLoader, evaluation_batches, run_length, train_batches

CPU = torch.device("cpu")
Make = Callable[..., TrainSettings]


def test_order_follows_the_epoch_at_the_start_of_an_iteration(data: ImageData, settings: Make) -> None:
    epoch = 0
    loader = EpochLoader(train_batches(data, settings(), CPU), lambda: epoch)
    first = [labels for _, labels in loader]
    epoch = 1
    second = [labels for _, labels in loader]
    epoch = 0
    again = [labels for _, labels in loader]
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert torch.equal(torch.cat(first), torch.cat(again))


def test_shares_of_processes_make_the_batch(data: ImageData, settings: Make) -> None:
    batches = train_batches(data, settings(), CPU)
    whole = list(EpochLoader(batches, lambda: 3))
    shares = [list(EpochLoader(batches, lambda: 3, rank=rank, world=2)) for rank in range(2)]
    for index, (images, labels) in enumerate(whole):
        for rank in range(2):
            assert torch.equal(shares[rank][index][0], images[rank::2])
            assert torch.equal(shares[rank][index][1], labels[rank::2])


@pytest.mark.parametrize("world", [2, 3, 16])
@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.4, "cutmix": 1.0}])
def test_shares_of_processes_are_augmented_and_mixed_as_the_batch_is(
    data: ImageData, settings: Make, world: int, mixing: dict[str, float]
) -> None:
    """RandAugment changes 8 neighbours alike, of which a process may have none; mixed images need the one before."""
    chosen = settings(batch_size=24, randaugment=2, shift=2, **mixing)
    batches = train_batches(data, chosen, CPU)
    options = {"mixing": chosen if mixing else None}
    whole = list(EpochLoader(batches, lambda: 3, **options))
    for rank in range(world):
        part = EpochLoader(batches, lambda: 3, rank=rank, world=world, **options)
        for own, every in zip(part, whole, strict=True):
            expected = [each[rank::world] if isinstance(each, torch.Tensor) else each for each in every]
            torch.testing.assert_close(own, tuple(expected), rtol=0, atol=0)


def test_a_mixture_comes_with_the_labels_of_both_images(data: ImageData, settings: Make) -> None:
    """Mixed before processes share the batch; the labels are those of the images that are in the mixture."""
    chosen = settings(mixup=0.8)
    batches = train_batches(data, chosen, CPU)
    whole = list(EpochLoader(batches, lambda: 2))
    for rank in range(2):
        shares = list(EpochLoader(batches, lambda: 2, rank=rank, world=2, mixing=chosen))
        for (images, labels), (mixture, own, others, share) in zip(whole, shares, strict=True):
            partners = [(n - 1) % len(labels) for n in range(rank, len(labels), 2)]
            assert torch.equal(own, labels[rank::2])
            assert torch.equal(others, labels[partners])
            torch.testing.assert_close(mixture, share * images[rank::2] + (1 - share) * images[partners])


def test_layout(data: ImageData, settings: Make) -> None:
    for channels_last, layout in ((True, torch.channels_last), (False, torch.contiguous_format)):
        loader = EpochLoader(evaluation_batches(data, CPU), lambda: 0, channels_last=channels_last)
        assert all(images.is_contiguous(memory_format=layout) for images, _ in loader)


def test_test_images_are_normalised_as_training_images(data: ImageData) -> None:
    images = torch.cat([images for images, _ in evaluation_batches(data, CPU, batch_size=5)])
    torch.testing.assert_close(images, (data.test.images / 255 - 0.5) / 0.3)


def test_batch_that_is_not_full_is_left_out_in_training(data: ImageData, settings: Make) -> None:
    chosen = settings(batch_size=20)
    assert [len(labels) for _, labels in train_batches(data, chosen, CPU)] == [20, 20]
    assert run_length(data, chosen) == 3 * 2


def test_fewer_images_than_a_batch(data: ImageData, settings: Make) -> None:
    chosen = settings(batch_size=100)
    assert [len(labels) for _, labels in train_batches(data, chosen, CPU)] == [48]
    assert run_length(data, chosen) == 3
