"""CIFAR-10: torchvision's own code for reading and downloading, on a tiny copy; the real images as JPEG."""

from __future__ import annotations

import functools
import gc
import hashlib
import pickle
import tarfile
import threading
import warnings
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from cortexgraph.data import Batches, ImageData, load_data
from cortexgraph.errors import DataError

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
JPEG_COPY = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg.tar.xz"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Ten images per batch file in CIFAR-10's format, served as an archive under torchvision's URL."""
    base = tmp_path / "made" / "cifar-10-batches-py"
    base.mkdir(parents=True)
    rng = np.random.default_rng(0)
    sums: dict[str, str] = {}
    for name in [f"data_batch_{index}" for index in range(1, 6)] + ["test_batch", "batches.meta"]:
        content: dict[str, object] = {
            "data": rng.integers(0, 256, (10, 3072), dtype=np.uint8),
            "labels": list(range(10)),
        }
        if name == "batches.meta":
            content = {"label_names": NAMES}
        (base / name).write_bytes(pickle.dumps(content))
        sums[name] = md5((base / name).read_bytes())
    archive = tmp_path / "made" / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(base, base.name)
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in sums if name.startswith("data")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive.read_bytes()))
    handler = functools.partial(QuietHandler, directory=str(base.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{archive.name}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield base.parent
        server.shutdown()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # urllib leaves the socket of a refused download to gc
        gc.collect()


def load(root: Path | None, **wishes: object) -> ImageData:
    return load_data("cifar10", **({"size": (32, 32), "channels": 3, "root": root} | wishes))  # type: ignore[arg-type]


def test_images_labels_and_classes(tiny: Path) -> None:
    data = load(tiny)
    assert data.classes == tuple(NAMES) and data.name == "cifar10"
    assert (len(data.train), len(data.test)) == (50, 10)
    batch = pickle.loads((tiny / "cifar-10-batches-py" / "test_batch").read_bytes())
    assert torch.equal(data.test.images, torch.from_numpy(batch["data"]).view(10, 3, 32, 32))
    assert data.test.labels.tolist() == list(range(10))


def test_another_size_grey_and_fewer(tiny: Path) -> None:
    data = load(tiny, size=(16, 24), channels=1, train_images=20)
    assert data.train.images.shape == (20, 1, 16, 24)
    assert data.train.labels.bincount().tolist() == [2] * 10


def test_more_than_there_are(tiny: Path) -> None:
    with pytest.raises(DataError, match="51 images are asked for, but the train split has 50"):
        load(tiny, train_images=51)


def test_download_on_request_then_from_disk(tiny: Path, tmp_path: Path) -> None:
    there = load(tmp_path / "new" / "place", download=True)
    assert torch.equal(there.train.images, load(tiny).train.images)
    (tiny / "cifar-10-python.tar.gz").unlink()
    for download in (False, True):
        assert len(load(tmp_path / "new" / "place", download=download).train) == 50


def test_the_default_place_is_the_users_cache(tiny: Path, cache_home: Path) -> None:
    load(None, download=True)
    assert (cache_home / "cortexgraph" / "cifar10" / "cifar-10-batches-py" / "test_batch").is_file()


def test_nothing_is_downloaded_unasked(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no intact copy of CIFAR-10.*\n  Add `download=True` to fetch it .* or give a dir"
    ):
        load(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_copy(tiny: Path) -> None:
    (tiny / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"")
    with pytest.raises(DataError, match="no intact copy of CIFAR-10"):
        load(tiny)


@pytest.mark.parametrize("fault", ["gone", "changed"])
def test_a_download_that_fails(tiny: Path, tmp_path: Path, fault: str) -> None:
    archive = tiny / "cifar-10-python.tar.gz"
    archive.unlink() if fault == "gone" else archive.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"CIFAR-10 could not be downloaded \(.+\)") as caught:
        load(tmp_path / "new", download=True)
    assert caught.value.diagnostics[0].code == "download-failed"


def test_a_folder_that_cannot_be_made(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="could not be downloaded"):
        load(tmp_path / "file" / "below", download=True)


@pytest.mark.cifar
def test_the_real_images_as_jpeg(tmp_path: Path) -> None:
    """The first files of the archive: 30 airplanes, of which ten stand in for the test split."""
    if not JPEG_COPY.is_file():
        pytest.skip(f"no CIFAR-10 JPEG copy at {JPEG_COPY}")
    with tarfile.open(JPEG_COPY, "r|xz") as tar:
        members = (member for member in tar if member.isfile())
        for index in range(30):
            member = next(members)
            split, label, name = Path(member.name).parts[-3:]
            file = tmp_path / ("test" if index >= 20 else split) / label / name
            file.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            assert content is not None
            file.write_bytes(content.read())
    data = load_data(str(tmp_path), size=(32, 32), channels=3)
    assert data.classes == ("airplane",) and (len(data.train), len(data.test)) == (20, 10)
    assert all(0.3 < mean < 0.8 for mean in data.mean) and all(0.1 < std < 0.4 for std in data.std)
    batches = Batches(
        data.train, mean=data.mean, std=data.std, batch_size=20, augment=data.augment, seed=0, shuffle=True
    )
    images, _ = next(iter(batches))
    assert images.shape == (20, 3, 32, 32) and images.isfinite().all()
