from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cortexgraph.data import ImageData, LabelledImages
from cortexgraph.errors import DataError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training.images import check_fit, data_card

from .conftest import tiny_spec


def test_fitting_data(spec: NetworkSpec, data: ImageData) -> None:
    check_fit(spec, data)
    check_fit(tiny_spec(input={"channels": 1, "size": [8, 8]}), data)


def test_everything_that_does_not_fit_at_once(data: ImageData) -> None:
    spec = tiny_spec(
        input={"channels": 3, "size": [8, 16]},
        areas={"V1": {"channels": 4, "size": [8, 16]}, "IT": {"channels": 6, "size": [4, 8]}},
        readout={"from": "IT", "classes": 10},
    )
    with pytest.raises(DataError, match="data-mismatch") as error:
        check_fit(spec, data)
    assert str(error.value).splitlines() == [
        "readout.classes: the network declares 10, but the data has 3 classes.",
        "  Give --set readout.classes=3, or other data.    [data-mismatch]",
        "input.channels: the network declares 3, but the data has 1 channels.",
        "  Give --set input.channels=1, or other data.    [data-mismatch]",
        "input.size: the network declares 8 × 16, but the data has 8 × 8 pixels (height, width).",
        "  Give --set input.size='[8, 8]', or other data.    [data-mismatch]",
    ]


def test_card_notices_any_change(data: ImageData) -> None:
    before = data_card(data)
    assert data_card(data) == before
    assert (before.train_images, before.test_images) == (48, 24)
    labels = data.test.labels.clone()
    labels[0] = (labels[0] + 1) % 3
    pixels = data.train.images.clone()
    pixels[5, 0, 2, 2] ^= 1
    for changed in (
        replace(data, test=LabelledImages(data.test.images, labels)),
        replace(data, train=LabelledImages(pixels, data.train.labels)),
        replace(
            data, train=LabelledImages(torch.cat([data.train.images[1:], data.train.images[:1]]), data.train.labels)
        ),
    ):
        assert data_card(changed).sha256 != before.sha256
