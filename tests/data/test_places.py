"""Batches whose targets are places, videos, and several views of each image."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from cortexgraph.data import Augment, Batches, LabelledImages
from cortexgraph.training.loaders import EpochLoader


def pictures(*shape: int) -> torch.Tensor:
    return torch.randint(1, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def batches(data: LabelledImages, augment: Augment, views: int = 1) -> Batches:
    channels = data.shape[0]
    options = {"mean": [0.0] * channels, "std": [1 / 255] * channels}  # so that values stay whole numbers
    return Batches(data, batch_size=5, augment=augment, seed=3, shuffle=True, views=views, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize("kind", [torch.int64, torch.float32])
def test_places_of_targets_move_with_those_of_images(padding: Literal["zero", "reflect"], kind: torch.dtype) -> None:
    images = pictures(10, 1, 9, 7)
    numbers = kind == torch.float32
    targets = images.float() if numbers else images[:, 0].long()
    data = LabelledImages(images, torch.zeros(10, dtype=torch.int64), targets)
    unknown = 0
    for x, y in batches(data, Augment(crop_padding_px=3, flip=True, padding=padding)):
        moved = y if numbers else y[:, None]
        known = moved.isfinite() if numbers else moved >= 0
        torch.testing.assert_close(x[known], moved[known].float())
        assert not x[~known].any()
        unknown += int((~known).sum())
    assert (unknown > 0) == (padding == "zero")


def test_all_frames_of_a_video_are_augmented_alike() -> None:
    frame = pictures(10, 1, 3, 8, 8)
    data = LabelledImages(frame.expand(-1, 4, -1, -1, -1).contiguous(), torch.arange(10))
    assert (data.frames, data.shape) == (4, (3, 8, 8))
    for x, _ in batches(data, Augment(crop_padding_px=2, cutout_px=3)):
        assert x.shape == (5, 4, 3, 8, 8)
        assert (x == x[:, :1]).all()


def test_each_process_gets_all_views_of_its_images() -> None:
    images = torch.arange(1, 11, dtype=torch.uint8).view(10, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()
    loaders = [
        EpochLoader(
            batches(LabelledImages(images, torch.arange(10)), Augment(crop_padding_px=2), 2),
            lambda: 0,
            rank=rank,
            world=2,
        )
        for rank in range(2)
    ]
    for (x, labels), (_, others) in zip(*loaders, strict=True):
        first, second = labels.chunk(2)
        assert first.tolist() == second.tolist()
        assert len({*first.tolist(), *others.tolist()}) == 5
        assert x.flatten(1).amax(1).tolist() == (labels + 1).tolist()
        one, other = x.chunk(2)
        assert (one != other).any()
