"""Packed networks, and what they see in images."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import cortexgraph as cg
from cortexgraph.cli.app import app
from cortexgraph.data import load_data
from cortexgraph.errors import CortexGraphError, DataError
from cortexgraph.training import Predictions, evaluate, load_run, pack, packed, predict
from cortexgraph.training.packing import MAX_BYTES
from cortexgraph.training.run_folder import RunFolder, save_tensors

CIFAR = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg.tar.xz"


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """A photograph of another shape and format, and one that fits."""
    random = np.random.default_rng(0)
    paths = [tmp_path / "wide.webp", tmp_path / "fits.png"]
    for path, shape in zip(paths, ((20, 30, 3), (8, 8)), strict=True):
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return paths


def test_a_packed_run_computes_what_the_run_does_and_names_no_path_of_this_machine(
    finished: Path, pictures: list[Path], tmp_path: Path
) -> None:
    folder = pack(finished, tmp_path / "packed", data="stripes, made for a test")
    assert all(str(finished) not in path.read_text() for path in folder.glob("*.[jmy]*"))
    assert "stripes, made for a test" in (folder / "summary.md").read_text()
    found, expected = predict(pictures, folder), predict(pictures, finished)
    assert torch.equal(found.probabilities, expected.probabilities)
    assert (found.steps, found.classes) == ((2, 3, 4), ("horizontal", "vertical", "diagonal"))


def test_packed_weights_name_no_path_of_this_machine(finished: Path, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(finished, tmp_path / "run"))
    state, metadata = run.tensors(run.weights)
    save_tensors(run.weights, state, metadata | {"data": "/home/me/stripes"})
    folder = RunFolder(pack(run.path, tmp_path / "packed", data="stripes"))
    packed_state, packed_metadata = folder.tensors(folder.weights)
    assert packed_metadata == metadata | {"data": "stripes"}
    assert all(torch.equal(value, packed_state[name]) for name, value in state.items())


def test_probabilities_are_those_of_the_network_on_the_normalised_image(finished: Path, pictures: list[Path]) -> None:
    _, network = load_run(finished)
    grey = torch.from_numpy(np.asarray(Image.open(pictures[1]), dtype=np.float32))
    expected = network(((grey / 255 - 0.5) / 0.3)[None, None]).softmax(2)
    found = predict(pictures, finished)
    torch.testing.assert_close(found.probabilities[1:], expected.detach())
    assert found.best(1) == found.classes[int(expected[0, -1].argmax())]
    longer = predict(pictures, finished, at="all", steps=6)
    assert longer.steps == (2, 3, 4, 5, 6)
    torch.testing.assert_close(longer.probabilities[:, :3], found.probabilities)


def test_every_image_that_is_not_there_is_named(finished: Path, pictures: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="this file does not exist") as caught:
        predict([*pictures, tmp_path / "a.png", tmp_path, tmp_path / "b.png"], finished)
    told = [finding.found for finding in caught.value.diagnostics]
    assert told == ["this file does not exist", "this is a folder", "this file does not exist"]


def test_a_name_that_does_not_ship(pictures: list[Path]) -> None:
    with pytest.raises(DataError, match=r"ventral-cifar100: this folder does not exist(.|\n)*mean `ventral-cifar10`"):
        predict(pictures, "ventral-cifar100")


def test_what_cannot_be_packed(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="this exists already"):
        pack(finished, finished, data="x")
    with pytest.raises(DataError, match="a folder that `cortexgraph train` wrote is needed"):
        pack(tmp_path, tmp_path / "out", data="x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["spec.yaml", "data.json", "weights.safetensors", "metrics.csv", "summary.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "{}", "[]", "other types"])
def test_a_damaged_run_is_not_packed(finished: Path, tmp_path: Path, name: str, damage: str) -> None:
    shutil.copytree(finished, tmp_path / "run")
    file = tmp_path / "run" / name
    other = file.read_text(errors="replace").replace(": {", ': 1, "x": {').replace("[", "[null, ")
    texts = {"empty": "", "other types": other}
    file.unlink() if damage == "missing" else file.write_text(texts.get(damage, damage))
    if name == "metrics.csv" and damage != "missing":
        return  # what stands in it is copied as it is
    with pytest.raises(CortexGraphError, match=r"damaged-run|bad-spec|spec.yaml|not finished"):
        pack(tmp_path / "run", tmp_path / "out", data="x")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_shipped_network_is_small_and_works_at_once(pictures: list[Path], tmp_path: Path) -> None:
    for folder in packed().values():
        assert sum(path.stat().st_size for path in folder.iterdir()) < MAX_BYTES
        assert "/" not in (folder / "summary.md").read_text().replace("CIFAR-10", "")
        assert "/" not in str(RunFolder(folder).tensors(folder / "weights.safetensors")[1])
    done = CliRunner().invoke(app, ["predict", *map(str, pictures), "--top", "2", "--csv", str(tmp_path / "p.csv")])
    assert done.exit_code == 0, done.output
    assert "step 2" in done.output
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert [(Path(row["file"]).name, row["step"]) for row in rows] == [
        ("wide.webp", "1"),
        ("wide.webp", "2"),
        ("fits.png", "1"),
        ("fits.png", "2"),
    ]
    assert sum(float(value) for name, value in rows[0].items() if name not in ("file", "step")) == pytest.approx(1)


def test_each_probability_has_its_step_where_the_network_is_rolled(
    finished: Path, pictures: list[Path], tmp_path: Path
) -> None:
    """Over 80 steps the steady state is a loop: a readout in it stands for many steps."""
    table = tmp_path / "o.csv"
    arguments = ["predict", str(pictures[1]), "--weights", str(finished), "--steps", "80", "--at", "all"]
    done = CliRunner().invoke(app, [*arguments, "--csv", str(table)])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == list(range(2, 81))
    network = load_run(finished, steps=80, at=[2, 41, 80]).network
    grey = torch.from_numpy(np.array(Image.open(pictures[1])))[None, None]
    expected = network(load_run(finished).prepare(grey)).softmax(2)[0]
    for index, step in enumerate((2, 41, 80)):
        found = [float(rows[step - 2][name]) for name in ("horizontal", "vertical", "diagonal")]
        assert found == pytest.approx(expected[index].tolist(), abs=1e-5)


@pytest.mark.slow  # unpacks 60,000 images
@pytest.mark.cifar
@pytest.mark.skipif(not CIFAR.exists(), reason="needs the CIFAR-10 JPEG copy beside the checkout")
def test_the_shipped_network_is_as_accurate_as_its_summary_says(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(CIFAR) as archive:
        archive.extractall(tmp_path, filter="data")
    root = next(path.parent for path in tmp_path.rglob("train") if path.is_dir())
    data = load_data(str(root), size=(32, 32), channels=3, train_images=10, cache=False)
    found = evaluate("ventral-cifar10", data)
    assert {step.step: step.accuracy for step in found.steps} == pytest.approx(
        {4: 0.7389, 5: 0.8002, 6: 0.8129}, abs=0.005
    )


def test_the_best_class_of_an_image_that_is_not_there() -> None:
    one = Predictions("n", "d", (Path("a.png"),), ("cat", "dog"), (4,), torch.tensor([[[0.2, 0.8]]]))
    assert (one.best(0), one.best(-1)) == ("dog", "dog")
    with pytest.raises(DataError, match=r"index: image 5 was asked for, but there is 1 image\.\n  Count images from 0"):
        one.best(5)


def test_images_in_memory_and_networks_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.png: this file does not exist"):
        predict(tmp_path / "no.png")
    for files in ([torch.zeros(1)], torch.zeros(1), [None]):
        with pytest.raises(DataError, match=r"files: \w+ was given, but paths of images are needed"):
            predict(files)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"see docs/own_training_loop\.md"):
        predict([], cg.compile("ventral"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("images", "repair"),
    [
        (torch.rand(2, 1, 32, 32), "Repeat the channel"),
        (torch.rand(2, 4, 32, 32), "Leave the fourth channel out"),
        (torch.rand(2, 32, 32, 3), "Put channels first"),
        ("cat.png", "give the file to `cg.predict`"),
    ],
)
def test_channels_that_are_not_those_of_the_network(images: Any, repair: str) -> None:
    with pytest.raises(DataError, match=repair):
        cg.load_run("ventral-cifar10").prepare(images)
