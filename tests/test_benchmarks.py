"""The benchmarks run; their networks and the loop compute the same. Nothing is timed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

import cortexgraph as cg
from benchmarks import time_to_accuracy
from benchmarks.__main__ import measure, parse
from benchmarks.baseline import Loop
from benchmarks.end_to_end import end_to_end
from benchmarks.memory import in_new_process
from benchmarks.network import READINGS, Reading, make_spec, shared_weights
from cortexgraph.data.shapes import CLASSES, generate


@pytest.mark.parametrize("reading", READINGS)
def test_the_compiled_network_computes_what_the_loop_does(reading: Reading) -> None:
    torch.manual_seed(0)
    for steps in (4, 6):
        loop, network = Loop(steps, reading, width=16), cg.compile(make_spec(steps, reading, width=16))
        shared_weights(loop, network, width=16)
        x = torch.randn(3, 3, 32, 32)
        torch.testing.assert_close(network(x), loop(x), rtol=1e-4, atol=1e-5)


def test_the_table_of_ratios_has_a_row_for_each_mode_and_number_of_steps() -> None:
    given = parse(["ratios", "--steps", "4", "5", "--batch", "2", "--rounds", "1", "--width", "16", "--clock", "cpu"])
    rows = [line.split(" | ")[:2] for line in measure(given) if line.startswith(("| forward", "| training"))]
    assert rows == [["| forward", "4"], ["| forward", "5"], ["| training", "4"], ["| training", "5"]]


def test_a_peak_of_memory_holds_at_least_the_states_of_one_step() -> None:
    batch, width = 64, 4
    states = 4 * batch * sum(c * s * s for c, s in ((8, 32), (16, 16), (32, 8), (64, 4)))
    assert states < in_new_process("inference", 5, batch, width, {}) < 100 * states


def test_an_unknown_part_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["speed"])
    assert "the parts are ratios, memory, size, end-to-end" in capsys.readouterr().err


def write_images(folder: Path, train: int, test: int) -> None:
    for split, count in (("train", train), ("test", test)):
        images, labels = generate(split, count)
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            file = folder / split / CLASSES[label] / f"{index}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(file)


def test_an_epoch_from_end_to_end_for_train_and_for_the_usual_script(tmp_path: Path) -> None:
    write_images(tmp_path, 30, 20)
    lines = [*end_to_end(tmp_path, 1000, 1)]
    assert lines[0].startswith("`ventral`, 30 training and 20 test images")
    shares = [float(line.split("**")[1].removesuffix("%")) for line in lines if "**" in line]
    assert len(shares) == 2
    assert all(0 < share < 100 for share in shares)


def test_resnet_20_has_the_published_size_and_augments_by_crops_and_mirror_images() -> None:
    assert sum(p.numel() for p in time_to_accuracy.resnet20(10).parameters()) == 269_722  # "0.27M" (He et al. 2016)
    images = torch.randn(4, 3, 32, 32)
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    for image, found in zip(padded, time_to_accuracy.augmented(images), strict=True):
        crops = [image[:, i : i + 32, j : j + 32] for i in range(9) for j in range(9)]
        assert any(torch.equal(found, crop) or torch.equal(found, crop.flip(2)) for crop in crops)


def test_time_to_accuracy_is_measured_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_to_accuracy, "BATCH", 16)
    write_images(tmp_path / "data", 40, 20)
    ((minutes, accuracy),) = time_to_accuracy.train(tmp_path / "data", epochs=1, seed=0)
    assert minutes > 0
    assert 0 <= accuracy <= 1
    table, run = tmp_path / "time.csv", tmp_path / "strong"
    table.write_text(f"minutes,test_accuracy\n{minutes},{accuracy}\n")
    run.mkdir()
    (run / "metrics.csv").write_text("epoch,seconds,test_accuracy\n1,60,0.5\n2,120,0.75\n")
    assert time_to_accuracy.of_table(run) == ("strong", [1, 3], [50, 75])
    time_to_accuracy.plot([table, run], tmp_path / "figure.svg")
    assert "minutes of training" in (tmp_path / "figure.svg").read_text()
