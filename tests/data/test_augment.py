"""Augmentation against a reference that works on one image and one pixel at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cortexgraph.data import Augment, Batches, LabelledImages
from cortexgraph.data.batches import AugmentDraws, apply_augment, draw_augment
from cortexgraph.errors import DataError

MEAN = torch.tensor([11, 22, 33], dtype=torch.uint8)


def some_images(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def reference(images: Tensor, augment: Augment, draws: AugmentDraws) -> Tensor:
    """Pad, crop, mirror, cut out: one image after another, with numpy."""
    pad, side = augment.crop_padding_px, augment.cutout_px
    results = []
    for index, image in enumerate(images.numpy()):
        _, height, width = image.shape
        mode = {"zero": "constant", "reflect": "reflect"}[augment.padding]
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode=mode)
        top, left = draws.shift[index].tolist()
        crop = padded[:, top : top + height, left : left + width].copy()
        if draws.flip[index]:
            crop = crop[:, :, ::-1].copy()
        if side:
            y, x = draws.hole[index].tolist()
            for row in range(y - side // 2, y - side // 2 + side):
                for column in range(x - side // 2, x - side // 2 + side):
                    if 0 <= row < height and 0 <= column < width:
                        crop[:, row, column] = MEAN.numpy()
        results.append(crop)
    return torch.from_numpy(np.stack(results))


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize(
    ("crop", "flip", "cutout"), [(4, True, 0), (0, True, 5), (3, False, 4), (0, False, 0), (7, True, 8)]
)
@pytest.mark.parametrize("size", [(8, 8), (9, 13)])
def test_equals_the_reference(size: tuple[int, int], crop: int, flip: bool, cutout: int, padding: str) -> None:
    augment = Augment(crop_padding_px=crop, flip=flip, cutout_px=cutout, padding=padding)
    images = some_images(60, *size)
    draws = draw_augment(augment, 60, size, torch.Generator().manual_seed(1))
    assert torch.equal(apply_augment(images, augment, draws, MEAN), reference(images, augment, draws))


def test_every_shift_both_mirrors_and_all_centres_occur() -> None:
    draws = draw_augment(Augment(crop_padding_px=2), 2000, (8, 6), torch.Generator().manual_seed(0))
    assert len(draws.shift.unique(dim=0)) == 25
    assert 900 < int(draws.flip.sum()) < 1100
    assert len(draws.hole.unique(dim=0)) == 48


def test_no_flip_means_none() -> None:
    assert not draw_augment(Augment(flip=False), 1000, (8, 8), torch.Generator()).flip.any()


def test_the_original_is_untouched() -> None:
    images = some_images(4, 8, 8)
    before, augment = images.clone(), Augment(cutout_px=4)
    apply_augment(images, augment, draw_augment(augment, 4, (8, 8), torch.Generator()), MEAN)
    assert torch.equal(images, before)


def test_shift_equals_torchvision_style_padding() -> None:
    images = some_images(1, 8, 8)
    draws = AugmentDraws(torch.tensor([[1, 7]]), torch.tensor([False]), torch.zeros(1, 2, dtype=torch.int64))
    expected = F.pad(images, (4, 4, 4, 4))[:, :, 1:9, 7:15]
    assert torch.equal(apply_augment(images, Augment(), draws, MEAN), expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"crop_padding_px": -1},
            r"augment.crop_padding_px: -1 was given, but it must be a whole number",
        ),
        ({"cutout_px": 1.5}, r"cutout_px: 1.5 was given, but .*\n  Give cutout_px=0 to disable it."),
        ({"cutout_px": True}, r"cutout_px: True was given"),
        ({"padding": "wrap"}, r"padding: 'wrap' was given, but `zero` and `reflect` are known"),
    ],
)
def test_bad_values(fields: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Augment(**fields)


def test_all_bad_values_are_reported_at_once() -> None:
    with pytest.raises(DataError, match="crop_padding_px") as caught:
        Augment(crop_padding_px=-2, cutout_px=-3, padding="none")
    assert len(caught.value.diagnostics) == 3


def test_too_large_for_the_images() -> None:
    with pytest.raises(
        DataError, match=r"augment\.crop_padding_px: 8 was given, but images of 8 × 9 pixels allow at most 7"
    ):
        Augment(crop_padding_px=8).check_fits(8, 9)
    with pytest.raises(DataError, match=r"augment\.cutout_px: 9 was given, but images of 8 × 9 pixels allow at most 8"):
        Augment(cutout_px=9).check_fits(8, 9)


def test_reflected_shift_is_torch_pad_and_crop() -> None:
    images = some_images(1, 8, 8)
    draws = AugmentDraws(torch.tensor([[0, 3]]), torch.tensor([True]), torch.zeros(1, 2, dtype=torch.int64))
    expected = F.pad(images.float(), (2, 2, 2, 2), "reflect")[:, :, 0:8, 3:11].flip(3).to(torch.uint8)
    augment = Augment(crop_padding_px=2, padding="reflect", flip="alternating")
    assert torch.equal(apply_augment(images, augment, draws, MEAN), expected)


def test_alternating_flips_mirror_each_image_in_every_second_epoch() -> None:
    """The side in the first epoch is random, and the order of images differs between epochs."""
    images = torch.zeros(200, 1, 2, 2, dtype=torch.uint8)
    images[:, :, :, 0], images[:, :, 0, :] = 200, images[:, :, 0, :] + torch.arange(200)[:, None, None] % 50
    images[:, 0, 1, 0] = torch.arange(200)  # which image it is
    data = LabelledImages(images, torch.arange(200))
    augment = Augment(crop_padding_px=0, flip="alternating")
    settings = {"mean": (0.0,), "std": (1 / 255,), "batch_size": 50, "augment": augment, "shuffle": True}
    batches = Batches(data, seed=3, **settings)  # type: ignore[arg-type]
    mirrored = []
    for epoch in range(4):
        batches.set_epoch(epoch)
        sides = torch.zeros(200, dtype=torch.bool)
        for shown, labels in batches:
            sides[labels] = shown[:, 0, 1, 1].round() == labels
        mirrored.append(sides)
    first, second, third, fourth = mirrored
    assert 70 < int(first.sum()) < 130
    assert torch.equal(second[1:], ~first[1:])
    assert torch.equal(third, first)
    assert torch.equal(fourth, second)
