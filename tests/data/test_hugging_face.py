"""Folders of the library `datasets` as data sets, in memory and streamed."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cortexgraph as cg

datasets = pytest.importorskip("datasets")


def saved(folder: Path, *, classes: Any = ("cat", "dog"), label: Any = None, damaged: int | None = None) -> Path:
    """Four training and two test images of grey level 40 · n, as PNG."""
    cells = []
    for n in range(6):
        stream = BytesIO()
        Image.fromarray(np.full((8, 8, 3), 40 * n, np.uint8)).save(stream, "PNG")
        cells.append({"bytes": stream.getvalue()[: 20 if n == damaged else None], "path": None})
    features = datasets.Features({"img": datasets.Image(), "label": label or datasets.ClassLabel(names=list(classes))})
    rows = {"img": cells, "label": [0, 1, 0, 1, 0, 1]}
    parts = {"train": range(4), "test": range(4, 6)}
    splits = {
        name: datasets.Dataset.from_dict({key: [values[n] for n in part] for key, values in rows.items()}, features)
        for name, part in parts.items()
    }
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return folder


@pytest.mark.parametrize("memory", [None, 0])
def test_its_images_and_classes(tmp_path: Path, memory: int | None) -> None:
    data = cg.load_data(str(saved(tmp_path / "saved")), size=(4, 4), channels=3, memory=memory, workers=0, cache=False)
    assert data.classes == ("cat", "dog")
    assert data.train.streamed is (memory == 0)
    images, labels = next(data.train.read([torch.tensor([3, 0])]))
    assert torch.equal(images, torch.tensor([120, 0], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4))
    assert labels.tolist() == [1, 0]
    assert data.test.labels.tolist() == [0, 1]


def test_rows_that_cannot_be_decoded_are_named(tmp_path: Path) -> None:
    with pytest.raises(cg.DataError, match=r"train\[2\]: this image cannot be read(.|\n)*unreadable-image"):
        cg.load_data(str(saved(tmp_path / "saved", damaged=2)), size=(4, 4), channels=3, cache=False)


def test_columns_that_do_not_classify(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved", label=datasets.Value("int64"))
    with pytest.raises(cg.DataError, match=r"columns of classes are missing, but one is needed(.|\n)*ClassLabel"):
        cg.load_data(str(folder), size=(4, 4), channels=3)


def test_a_split_that_is_missing(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved")
    datasets.DatasetDict({"train": datasets.load_from_disk(str(folder))["train"]}).save_to_disk(str(tmp_path / "one"))
    with pytest.raises(cg.DataError, match=r"the split `test` cannot be read(.|\n)*DatasetDict(.|\n)*bad-datasets"):
        cg.load_data(str(tmp_path / "one"), size=(4, 4), channels=3)


def test_images_without_a_class(tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved")
    parts = datasets.load_from_disk(str(folder))
    parts["test"] = parts["test"].map(lambda _: {"label": -1})
    parts.save_to_disk(str(tmp_path / "unlabelled"))
    with pytest.raises(cg.DataError, match=r"2 images have no class, the first in row 0"):
        cg.load_data(str(tmp_path / "unlabelled"), size=(4, 4), channels=3)
