"""Recordings under a protocol: states of hand-made videos, measures computed by hand, tables, figures and findings."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from PIL import Image

import cortexgraph as cg
from cortexgraph import cli
from cortexgraph.data import Stimuli
from cortexgraph.data.folder import of_images
from cortexgraph.errors import CompileError, DataError, SpecError
from cortexgraph.recording import record
from cortexgraph.recording.measures import (
    Psychometric,
    adaptation_index,
    fit_psychometric,
    half_height_latency,
    psychometric,
)
from cortexgraph.training import TrainSettings, load_run, train
from tests.training.conftest import striped_data, striped_images, tiny_spec

pytestmark = pytest.mark.usefixtures("one_thread")

PAIR = {
    "name": "pair",
    "dt_ms": 10,
    "grid": {"gap": [1, 2], "contrast": [0.5, 1.0]},
    "events": [{"onset": 2, "duration": 2, "contrast": "$contrast"}, {"gap": "$gap", "duration": 2}],
    "figure": {"y": "adaptation"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("responses") / "run"
    settings = TrainSettings(epochs=2, batch_size=8, lr=0.2, device="cpu")
    spec = tiny_spec(input={"channels": 1, "size": 8, "present": "first"})  # a protocol presents at every step
    train(spec, striped_data(), settings, folder, quiet=True)
    return folder


def stripes(count: int = 6) -> Stimuli:
    return of_images("stripes", striped_images(count, seed=1), striped_data().classes)


def by_hand(
    run: Path, steps: int, gap: int, contrast: float
) -> tuple[Any, dict[tuple[str, int], np.ndarray[Any, Any]]]:
    """Logits, and the responses [image] by area and step, of the reference interpreter on a video made here."""
    trained = load_run(run)
    spec = cg.load(trained.spec, ["input.present=always", f"time.steps={steps}"])
    network = cg.compile(spec)
    network.load_state_dict(dict(trained.weights))
    state = network.eval().state_dict()
    x = striped_images(6, seed=1).images.float() / 255
    frames = torch.full((6, steps, 1, 8, 8), 0.5)
    frames[:, 1:3] = (contrast * (x - 0.5) + 0.5)[:, None]
    frames[:, 3 + gap : 5 + gap] = x[:, None]
    grey = torch.full((1, steps, 1, 8, 8), 0.5)
    mean, std = (torch.tensor(v)[:, None, None] for v in (striped_data().mean, striped_data().std))
    logits, states = cg.interpret(spec, state, (frames - mean) / std)
    _, base = cg.interpret(spec, state, (grey - mean) / std)
    responses = {key: (states[key] - base[key]).abs().mean((1, 2, 3)).detach().numpy() for key in states}
    return logits.detach(), responses


def test_states_responses_and_measures_are_those_of_the_reference(run: Path, tmp_path: Path) -> None:
    result = record(run, stripes(), tmp_path / "a.nc", protocol=PAIR, total_steps=9, batch_size=5, plots="svg")
    assert result.responses is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-adaptation.svg", "a-measures.csv", "a.nc"]
    with xarray.open_datatree(result.path) as opened:
        tree = opened.load()
    assert tree.gap.values.tolist() == [1] * 12 + [2] * 12
    assert tree.contrast.values.tolist() == ([0.5] * 6 + [1.0] * 6) * 2
    rows = [*csv.DictReader((tmp_path / "a-measures.csv").read_text().splitlines())]
    for index, (gap, contrast) in enumerate([(1, 0.5), (1, 1.0), (2, 0.5), (2, 1.0)]):
        logits, responses = by_hand(run, 9, gap, contrast)
        np.testing.assert_allclose(tree.logits[6 * index : 6 * index + 6], logits, rtol=1e-3, atol=1e-4)
        for area, delay in (("V1", 0), ("IT", 1)):
            course = np.stack([responses.get((area, t), np.zeros(6)) for t in range(1, 10)], 1)
            recorded = next(each for each in result.areas if each.area == area)
            np.testing.assert_allclose(result.responses.evoked(recorded, index), course, rtol=1e-3, atol=1e-5)
            first, second = course[:, 1 + delay : 3 + delay], course[:, 3 + gap + delay : 5 + gap + delay]
            expected = (first.mean(1) - second.mean(1)) / (first.mean(1) + second.mean(1))
            measured = result.responses.measured(recorded, index)
            np.testing.assert_allclose(measured["adaptation"], expected, rtol=1e-3, atol=1e-4)
            window = course[:, 1 + delay : 3 + gap + delay]  # until the second stimulus arrives
            np.testing.assert_allclose(measured["peak"], window.max(1), rtol=1e-3)
            np.testing.assert_allclose(measured["sustained"], course[:, 2 + delay] / window.max(1), rtol=1e-3)
            np.testing.assert_allclose(measured["latency_ms"], 10 * measured["latency"])
            (row,) = (
                r
                for r in rows
                if (r["gap"], r["contrast"], r["area"], r["measure"]) == (str(gap), str(contrast), area, "adaptation")
            )
            assert float(row["mean"]) == pytest.approx(expected.mean(), rel=1e-3, abs=1e-4)
            assert float(row["sd"]) == pytest.approx(expected.std(), rel=1e-3, abs=1e-4)


def test_half_height_latency_by_hand() -> None:
    courses = np.array([[0, 0, 4, 4, 8, 8], [0, 0, 0, 3, 9, 9], [0, 8, 8, 8, 8, 8], [0, 0, 0, 0, 0, 0]], float)
    # Half of 8 is reached exactly at step 3; half of 9 a quarter between steps 4 and 5; half of 8 midway in step 2.
    assert half_height_latency(courses, 2, 2, 6).tolist()[:3] == [2.0, 3.25, 0.5]
    assert np.isnan(half_height_latency(courses, 2, 2, 6)[3])
    assert adaptation_index(np.array([3.0, 1.0]), np.array([1.0, 1.0])).tolist() == [0.5, 0.0]


@pytest.mark.parametrize("slope", [3.0, -3.0])
def test_a_psychometric_function_is_found_again(slope: float) -> None:
    curve = Psychometric(4.2, slope, 0.1, 0.15)
    x = np.arange(1.0, 9.0)
    expected = 0.1 + 0.75 / (1 + np.exp(-slope * (x - 4.2)))
    np.testing.assert_allclose(psychometric(x, curve), expected)
    fit = fit_psychometric(x, expected, 100, 0.1)
    assert fit is not None
    assert (fit.threshold, fit.slope, fit.lapse) == pytest.approx((4.2, slope, 0.15), rel=0.02)
    assert fit_psychometric(x[:3], expected[:3], 100, 0.1) is None
    beyond = 0.1 + 0.75 / (1 + np.exp(-slope * (x - 12)))
    assert fit_psychometric(x, beyond, 100, 0.1) is None


@pytest.mark.parametrize("read", ["last", "mean", "best", 3])
def test_the_accuracy_is_read_where_the_protocol_says(run: Path, tmp_path: Path, read: Any) -> None:
    protocol = {
        "name": "c",
        "grid": {"c": [0.0, 0.2, 0.6, 1.0]},
        "events": [{"contrast": "$c"}],
        "figure": {"read": read},
    }
    result = record(run, stripes(24), tmp_path / "c.json", protocol=protocol, plots="png", batch_size=7)
    assert result.responses is not None
    rows = json.loads((tmp_path / "c.json").read_text())["rows"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c-accuracy.png", "c.json"]
    spec, network = load_run(run, at="all")
    x = striped_images(24, seed=1).images.float() / 255
    labels = torch.arange(24) % 3
    mean, std = (torch.tensor(v)[:, None, None] for v in (striped_data().mean, striped_data().std))
    spec = cg.load(spec.read_at("all"), ["input.present=always"])
    for contrast in (0.2, 1.0):
        video = ((contrast * (x - 0.5) + 0.5 - mean) / std)[:, None].repeat(1, 4, 1, 1, 1)
        logits, _ = cg.interpret(spec, network.state_dict(), video)
        right = (logits.argmax(2) == labels[:, None]).float().mean(0).tolist()  # at steps 2, 3 and 4
        voted = float((logits.softmax(2).mean(1).argmax(1) == labels).float().mean())
        expected = {"last": right[-1], "mean": voted, "best": max(right), 3: right[1]}[read]
        (row,) = (r for r in rows if r["c"] == contrast and r["measure"] == "accuracy_read")
        assert row["mean"] == pytest.approx(expected)


def test_a_function_in_python_gives_the_video(run: Path, tmp_path: Path) -> None:
    def reversed_contrast(images: torch.Tensor, steps: int) -> torch.Tensor:
        return (1 - images)[:, None].repeat(1, steps, 1, 1, 1)

    result = record(run, stripes(), tmp_path / "f.csv", protocol=reversed_contrast, areas="IT")
    assert result.responses is not None
    assert {row["area"] for row in result.responses.rows} == {"", "IT"}
    assert result.responses.curves == {}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"protocol": "adaptation", "total_steps": 5}, SpecError, "but there are 5 steps"),
        ({"steps": "last"}, CompileError, "a protocol is measured at all steps"),
        ({"out": "a.txt"}, DataError, "tables of measures .csv or .json"),
        ({"protocol": None, "out": "a.csv"}, DataError, "Tables are written with --protocol|Tables are written with"),
        ({"protocol": {"name": "p", "events": [{}], "figure": {"read": 1}}}, SpecError, "step 1 was asked for"),
        ({"areas": "V9"}, CompileError, "no area is called `V9`"),
    ],
)
def test_nothing_is_written_where_something_is_wrong(
    run: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    out = tmp_path / changes.pop("out", "a.nc")
    arguments: dict[str, Any] = {"protocol": {"name": "p", "events": [{}]}} | changes
    with pytest.raises(error, match=message):
        record(run, stripes(), out, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_command(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["cortexgraph", "record", str(run), "--data", str(images), *words])
        with pytest.raises(SystemExit, match=r"^[01]$") as ended:
            cli.main()
        return int(ended.value.code or 0)

    (images := tmp_path / "images").mkdir()
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(images / "a.png")
    protocol = tmp_path / "masking.yaml"
    protocol.write_text(
        "protocol: 1\nname: masking\nsteps: 5\ngrid: {SOA: [1, 2]}\n"
        "events:\n- {duration: 1}\n- {show: noise, soa: $SOA, duration: 2}\n"
    )
    assert command("--protocol", str(protocol), "-o", str(tmp_path / "out.csv"), "--plots", "svg") == 0
    printed = capsys.readouterr()
    assert "IT latency" in printed.out
    assert "no image is of a class that the network knows: there is no accuracy" in printed.err
    assert {path.name for path in tmp_path.iterdir()} == {"images", "masking.yaml", "out.csv", "out-responses.svg"}
    assert "accuracy" not in (tmp_path / "out-responses.svg").read_text()
    (tmp_path / "a-measures.csv").mkdir()
    assert command("--protocol", str(protocol), "-o", str(tmp_path / "a.npz")) == 1
    assert "a-measures.csv: this is a folder" in capsys.readouterr().err
    assert command("--protocol", "masking", "--steps", "3", "-o", str(tmp_path / "no.csv")) == 1
    assert "Give --steps 12, or more." in capsys.readouterr().err
    assert not (tmp_path / "no.csv").exists()
