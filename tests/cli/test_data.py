"""`cortexgraph data pack`."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from cortexgraph.data import load_data

from .conftest import Run


def test_a_folder_is_packed_once(run: Run, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "set" / split / name / "a.png")
    done = run("data", "pack", "set", "-o", "packed", "--shard-size", "1kB")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("2 train and 2 test images in 4 shards (")
    data = load_data("packed", size=(8, 8), channels=3, memory=0, workers=0)
    assert next(data.test.read([torch.tensor([1])]))[1].tolist() == [1]
    again = run("data", "pack", "set", "-o", "packed")
    assert (again.code, again.err.strip()) == (
        1,
        "packed: this exists already, but a new folder is needed.\n  Remove it, or name another folder.    [exists]",
    )
    wrong = run("data", "pack", "set", "-o", "other", "--shard-size", "big")
    assert wrong.code == 1
    assert "Write for example 500MB or 2GB" in wrong.err
