"""Images that do not fit into memory are read as they are needed, and give the same batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cortexgraph.data import Augment, Batches, ImageData, Request, load_data, register_data
from cortexgraph.data import load as load_module
from cortexgraph.data.images import Images
from cortexgraph.data.load import SOURCES, Items, read_size
from cortexgraph.errors import DataError

Maker = Callable[..., Path]
AUGMENT = Augment(crop_padding_px=2, flip="alternating", cutout_px=3, randaugment=1)


def load(root: Path, **wishes: Any) -> ImageData:
    return load_data(str(root), **({"size": (8, 8), "channels": 3, "workers": 0} | wishes))


def batches(images: Images, augment: Augment | None = AUGMENT) -> Batches:
    options: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.3,) * 3, "batch_size": 4, "seed": 1, "shuffle": True}
    return Batches(images, augment=augment, **options)


def content(loader: Any) -> list[Tensor]:
    return [value for batch in loader for value in batch]


def assert_same(one: list[Tensor], other: list[Tensor]) -> None:
    assert len(one) == len(other) > 0
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_images_are_those_in_memory(folder: Maker, workers: int) -> None:
    root = folder(train=5)
    held, streamed = load(root), load(root, memory="1kB", workers=workers)
    assert (held.train.streamed, streamed.train.streamed, streamed.test.streamed) == (False, True, True)
    assert (held.mean, held.std, held.classes) == (streamed.mean, streamed.std, streamed.classes)
    ours, theirs = batches(held.train), batches(streamed.train)
    before = torch.get_rng_state()
    for epoch in range(2):
        ours.set_epoch(epoch)
        theirs.set_epoch(epoch)
        assert_same(content(ours), content(theirs))
    assert torch.equal(torch.get_rng_state(), before)
    assert_same(content(batches(held.test[[2, 0]], None)), content(batches(streamed.test[[2, 0]], None)))


@pytest.mark.parametrize("augment", [AUGMENT, Augment(crop_padding_px=2), None])
@pytest.mark.parametrize("memory", ["1kB", None])
def test_an_epoch_is_taken_up_in_its_middle_and_shared(
    folder: Maker, memory: str | None, augment: Augment | None
) -> None:
    loader = batches(load(folder(train=5), memory=memory).train, augment)
    loader.set_epoch(3)
    whole = content(loader)
    assert_same(content(loader.part(2)), whole[4:])
    assert_same(content(loader.part(1, rank=1, world=2)), [each[1::2] for each in whole[2:]])


def test_a_subset_is_that_in_memory(folder: Maker) -> None:
    root = folder(train=5)
    held, streamed = (load(root, train_images=4, memory=memory, seed=3) for memory in (None, "0"))
    assert_same(content(batches(held.train)), content(batches(streamed.train)))
    assert held.mean == streamed.mean


def test_statistics_are_counted_once(folder: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    root, calls, count = folder(), [], load_module.level_counts
    monkeypatch.setattr(load_module, "level_counts", lambda images: calls.append(len(images)) or count(images))
    first, second = load(root, memory=0), load(root, memory=0)
    assert (calls, first.mean) == ([6], second.mean)
    load(root, memory=0, train_images=4)
    assert calls == [6, 4]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_became_unreadable_is_named(folder: Maker, workers: int) -> None:
    root = folder()
    data = load(root, memory=0, workers=workers)
    for name in ("cat/1.png", "dog/0.png"):
        (root / "train" / name).write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"train/cat/1.png: this image cannot be read(.|\n)*train/dog/0.png") as caught:
        content(Batches(data.train, mean=(0,) * 3, std=(1,) * 3, batch_size=6, augment=None, seed=0, shuffle=False))
    assert [finding.code for finding in caught.value.diagnostics] == ["unreadable-image"] * 2


def test_a_worker_that_ends_is_a_finding(folder: Maker) -> None:
    data = load(folder(), memory=0, workers=1)
    object.__setattr__(data.train, "reader", _end)
    with pytest.raises(
        DataError, match=r"workers: a process that reads images ended \(.*\n.*fewer processes: `workers=1`, or 0"
    ):
        content(batches(data.train))


def _end(number: int) -> Tensor:
    import os

    os._exit(3)


class Noise:
    """A source of a user."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape

    def __call__(self, number: int) -> Tensor:
        shape = self.shape if number < 4 else (3, 2, 2)
        return torch.full(shape, number, dtype=torch.uint8)


@pytest.mark.parametrize("memory", [None, 0])
def test_a_registered_source_lists_its_images(memory: int | None) -> None:
    @register_data("noise")
    def noise(request: Request) -> ImageData:
        items = Items(Noise(request.shape), [0, 1, 1, 0], "noise", targets=torch.arange(8.0).view(4, 2))
        return request.data("noise", ["a", "b"], {"train": items, "test": items})

    try:
        data = load_data("noise", size=(4, 4), channels=3, memory=memory, workers=0)
        assert data.train.streamed == (memory == 0)
        images, targets = next(data.train.read([torch.tensor([2, 3])]))
        assert images[:, 0, 0, 0].tolist() == [2, 3]
        assert targets.tolist() == [[4, 5], [6, 7]]
    finally:
        SOURCES.pop("noise")


@pytest.mark.parametrize("memory", [None, 0])
def test_an_image_of_another_size_is_named(memory: int | None) -> None:
    items = Items(Noise((3, 4, 4)), [0] * 6, "noise")
    request = Request("noise", (4, 4), 3, 0, None, False, {"train": None, "test": None}, False, memory=memory)
    with pytest.raises(DataError, match=r"image 4: the source gives uint8 \[3, 2, 2\], but uint8 \[3, 4, 4\]"):
        content(batches(request.data("noise", ["a"], {"train": items, "test": items}).train))


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("2.5 GB", 2_500_000_000), ("7", 7), (8, 8), ("1k", 1000), (None, None)]
)
def test_sizes_in_memory(text: str | int | None, size: int | None) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("memory", ["half", "-1GB", -1, "GB"])
def test_what_is_no_size(folder: Maker, memory: str | int) -> None:
    with pytest.raises(
        DataError, match=rf"memory: '?{memory}'? was given, but .* in bytes.\n  Write for example 500MB"
    ):
        load(folder(), memory=memory)


def test_a_negative_number_of_workers(folder: Maker) -> None:
    with pytest.raises(DataError, match="workers: -1 workers are asked for, but it must be 0 or more"):
        load(folder(), workers=-1)
