"""`import weights`, and released checkpoints in the commands that take weights."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

import cortexgraph as cg
from cortexgraph.compiler import compile_spec
from cortexgraph.released import read_weights
from cortexgraph.spec import load
from tests.cli.conftest import Run
from tests.released.modules import randomised

SPEC = """\
name: small
input: {channels: 3, size: 8}
defaults: {area: {norm: batch}}
areas:
  V1: {channels: 4, size: 8}
  IT: {channels: 6, size: 4}
connections:
  - image -> V1 -> IT
readout: {from: IT, classes: 3}
time: {steps: 2}
"""
KEYS = """\
data: the released images
images: {resize: 12, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4]}
words: {layer: {"1": V1, "2": IT}}
keys:
  conv{n}: "*_to_{layer n}.conv"
  bn{n}: "{layer n}.norm"
  fc: readout.linear
"""
NAMES = {"image_to_V1.conv": "conv1", "V1_to_IT.conv": "conv2", "V1.norm": "bn1", "IT.norm": "bn2"}
NAMES |= {"readout.linear": "fc"}


@pytest.fixture
def checkpoint(run: Run) -> str:
    """A released checkpoint beside its spec and key map, and images of three classes."""
    Path("small.yaml").write_text(SPEC)
    Path("small.keys.yaml").write_text(KEYS)
    torch.manual_seed(2)
    network = compile_spec(load("small.yaml"))
    state = randomised(network).state_dict()
    split = {key: key.rpartition(".") for key in state}
    torch.save(
        {"state_dict": {f"{NAMES[owner]}.{leaf}": state[key] for key, (owner, _, leaf) in split.items()}}, "r.pth"
    )
    random = np.random.default_rng(0)
    for place in ("train", "test"):
        for label in "abc":
            folder = Path("images") / place / f"n0{label}"
            folder.mkdir(parents=True)
            for n in range(2):
                Image.fromarray(random.integers(0, 255, (16, 24, 3), np.uint8)).save(folder / f"{n}.png")
    return "r.pth"


def test_a_checkpoint_serves_wherever_weights_are_taken(run: Run, checkpoint: str) -> None:
    assert run("import", "weights", checkpoint, "--spec", "small.yaml", "-o", "ours.safetensors").out == (
        "wrote ours.safetensors: 14 tensors of small, images scaled by mean 0.5, 0.4, 0.3, std 0.2, 0.3, 0.4\n"
    )
    for name, options in (("ours.safetensors", []), (checkpoint, ["--spec", "small.yaml"])):
        cpu = [*options, "--device", "cpu"]
        picture = "images/test/n0a/0.png"
        predicted = run("predict", picture, "-w", name, "--csv", "p.csv", *cpu)
        assert (predicted.code, predicted.err) == (0, "")
        assert "small, trained on the released images." in predicted.out
        row = next(csv.DictReader(Path("p.csv").read_text().splitlines()))
        assert sum(float(row[c]) for c in "012") == pytest.approx(1)
        evaluated = run("eval", name, "--data", "images", "--csv", "e.csv", *cpu)
        assert (evaluated.code, evaluated.err) == (0, "")
        recorded = run("record", name, "--data", "images", "-o", "r.npz", *cpu)
        assert recorded.code == 0
        accuracy = float(next(csv.DictReader(Path("e.csv").read_text().splitlines()))["accuracy"])
        assert f"step 2 {accuracy:.1%}" in recorded.out
        exported = run("export", name, "--to", "source", "-o", "net.py", *options)
        assert exported.code == 0
        assert "mean 0.5000, 0.4000, 0.3000" in exported.out


def test_images_are_prepared_as_the_map_says(run: Run, checkpoint: str) -> None:
    trained = cg.load_run(checkpoint, spec="small.yaml")
    network = compile_spec(load("small.yaml"))
    network.load_state_dict(read_weights(checkpoint, "small.yaml").state)
    prepare = transforms.Compose([transforms.Resize(12), transforms.CenterCrop(8), transforms.ToTensor()])
    with Image.open("images/test/n0a/0.png") as image:  # 16 × 24
        x = prepare(image)[None]
    mean, std = torch.tensor([0.5, 0.4, 0.3])[:, None, None], torch.tensor([0.2, 0.3, 0.4])[:, None, None]
    expected = network.eval()((x - mean) / std).softmax(1)
    found = cg.predict(["images/test/n0a/0.png"], trained, device="cpu").probabilities[:, -1]
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=2e-3)  # pixels are rounded


def test_guess_proposes_a_map_that_reads_the_checkpoint(run: Run, checkpoint: str) -> None:
    result = run("import", "weights", checkpoint, "--spec", "small.yaml", "--guess", "-o", "guessed.yaml")
    assert (result.code, result.out) == (0, "wrote guessed.yaml\n")
    guessed = read_weights(checkpoint, "small.yaml", "guessed.yaml").state
    assert all(torch.equal(guessed[key], value) for key, value in read_weights(checkpoint, "small.yaml").state.items())
    assert "uncertain: images: a checkpoint does not say how images were scaled" in result.err
    text = Path("guessed.yaml").read_text()
    assert "# uncertain: images: " in text
    assert re.search(r"^images: .*# uncertain: write those of training$", text, re.MULTILINE)
    other = run("import", "weights", checkpoint, "--spec", "ventral", "--guess")
    assert "uncertain: V1_to_V1.conv: no module of the checkpoint has tensors of these shapes" in other.err
    assert '"conv1": null' in other.out


def test_nothing_is_written_when_weights_do_not_fit(run: Run, checkpoint: str) -> None:
    before = sorted(Path().iterdir())
    wrong = run(
        "import", "weights", checkpoint, "--spec", "small.yaml", "--set", "areas.V1.channels=5", "-o", "o.safetensors"
    )
    assert wrong.code == 1
    assert (
        "image -> V1: `conv1.weight` has shape [4, 3, 3, 3], but `image_to_V1.conv.weight` has shape [5, 3, 3, 3]"
        in wrong.err
    )
    named = run("import", "weights", checkpoint, "--spec", "small.yaml", "-o", "o.pth")
    assert "the suffix is '.pth'" in named.err
    alone = run("eval", checkpoint, "--data", "images")
    assert "Name the network with `--spec`" in alone.err
    assert sorted(Path().iterdir()) == before
