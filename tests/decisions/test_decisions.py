"""Decisions against entropies, costs and correlations computed by hand, and every finding."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

import cortexgraph as cg
from cortexgraph import cli
from cortexgraph.data import Stimuli, load_stimuli
from cortexgraph.data.folder import of_images
from cortexgraph.decisions import Decisions, Rule, measure, read_rule, uncertainty_area
from cortexgraph.errors import CompileError, CortexGraphError, DataError
from cortexgraph.training import TrainSettings, load_run, train
from tests.training.conftest import striped_data, striped_images, tiny_spec

pytestmark = pytest.mark.usefixtures("one_thread")

P = [[[0.5, 0.25, 0.25], [0.9, 0.05, 0.05]], [[0.2, 0.4, 0.4], [0.1, 0.8, 0.1]]]  # [2 images, 2 steps, 3 classes]
LOGITS = torch.tensor(P).log() + torch.tensor([3.0, -2.0])[:, None, None]  # a constant changes no probability


def entropy(p: list[float]) -> float:
    return -sum(each * math.log(each) for each in p)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decisions") / "run"
    settings = TrainSettings(epochs=2, batch_size=8, lr=0.2, device="cpu")
    train(tiny_spec(), striped_data(), settings, folder, quiet=True)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve images, whose names are unique but for `same.png`."""
    folder = tmp_path_factory.mktemp("images")
    stripes = striped_images(12, seed=1)
    for n in range(12):
        (place := folder / striped_data().classes[n % 3]).mkdir(exist_ok=True)
        name = "same.png" if n < 2 else f"{n}.png"
        Image.fromarray(stripes.images[n, 0].numpy()).save(place / name)
    return folder


def stripes(count: int = 24) -> Stimuli:
    return of_images("stripes", striped_images(count, seed=1), striped_data().classes)


def test_measures_by_hand() -> None:
    values, classes = measure(LOGITS, Rule("entropy", 0.5))
    np.testing.assert_allclose(values, [[entropy(p) for p in image] for image in P], rtol=1e-5)
    assert classes.tolist()[0] == [0, 0]
    assert classes.tolist()[1][1] == 1
    np.testing.assert_allclose(measure(LOGITS, Rule("max_probability", 0))[0], [[0.5, 0.9], [0.4, 0.8]], rtol=1e-5)
    np.testing.assert_allclose(measure(LOGITS, Rule("margin", 0))[0], [[0.25, 0.85], [0, 0.7]], rtol=1e-5, atol=1e-6)
    so_far = [[0.7, 0.15, 0.15], [0.15, 0.6, 0.25]]  # the means of the two steps
    cumulative = measure(LOGITS, Rule("entropy", 0.5, cumulative=True))[0]
    np.testing.assert_allclose(cumulative[:, 0], values[:, 0])
    np.testing.assert_allclose(cumulative[:, 1], [entropy(p) for p in so_far], rtol=1e-5)


def test_the_uncertainty_area_by_hand() -> None:
    logits = torch.tensor([[[0.0, 0.0], [10.0, 0.0], [10.0, 20.0]], [[-500.0, 500.0]] * 3])
    e = math.e
    u = [2 / 4, 2 / (e + 1 + 2), 2 / (e + e**2 + 2)]
    sure = 2 / (math.exp(-10) + math.exp(10) + 2)  # the logits are clipped
    expected = [(u[0] + u[1]) / 2 + 2 * (u[1] + u[2]) / 2, 3 * sure]
    np.testing.assert_allclose(uncertainty_area(logits, torch.tensor([3, 4, 6])), expected, rtol=1e-6)


def test_decisions_of_a_run(run: Path) -> None:
    result = cg.decide(run, stripes(), "entropy < 0.6", batch_size=7)
    trained = load_run(run)
    logits = trained.network(trained.prepare(striped_images(24, seed=1).images)).detach()
    p = logits.double().softmax(2).numpy()
    entropies = np.array([[entropy(q) for q in image] for image in p.tolist()])
    np.testing.assert_allclose(result.values, entropies, rtol=1e-4, atol=1e-5)
    assert result.steps == (2, 3, 4)
    labels, rows = [n % 3 for n in range(24)], result.rows()
    for n, row in enumerate(rows):
        sure = [k for k in range(3) if entropies[n, k] < 0.6]
        place = sure[0] if sure else 2
        assert (row["step"], row["decided"]) == (place + 2, int(bool(sure)))
        assert row["predicted"] == trained.classes[p[n, place].argmax()]
        assert row["correct"] == int(p[n, place].argmax() == labels[n])
        assert row["macs"] == result.macs[place]
    whole = result.at(0.6)
    assert whole.accuracy == pytest.approx(np.mean([row["correct"] for row in rows]))
    assert whole.step == pytest.approx(np.mean([row["step"] for row in rows]))
    by_step = (logits.argmax(2) == torch.tensor(labels)[:, None]).float().mean(0)
    assert (result.curve[0].step, result.curve[0].accuracy) == (2, pytest.approx(float(by_step[0])))
    assert (result.curve[-1].step, result.curve[-1].accuracy) == (4, pytest.approx(float(by_step[2])))


def test_the_cost_until_a_step_by_hand(run: Path) -> None:
    # Of one evaluation: image → V1 8·8·4·1·9, V1 → IT 4·4·6·4·9, IT → V1 8·8·4·6·9 at the size of its source (4 × 4,
    # resized afterwards), V1 → V1 8·8·4·4·9, IT → IT 4·4·6·6·9; of one readout 6·3.
    image, up, down, v1, it, readout = 2304, 3456, 3456, 9216, 5184, 18
    step_2 = image + up + readout  # V1 at 1, IT at 2; the static image is evaluated once
    step_3 = step_2 + v1 + (up + it) + readout  # V1 at 2 (IT was silent at 1), IT at 3
    step_4 = step_3 + (v1 + down) + (up + it) + readout
    assert cg.decide(run, stripes(3), "margin > 0.5").macs == (step_2, step_3, step_4)
    assert cg.summarise(load_run(run).spec).macs == step_4


def test_more_steps_than_in_training_are_marked(run: Path) -> None:
    result = cg.decide(run, stripes(3), "max_probability > .99", at="all", steps=6)
    assert result.steps == (2, 3, 4, 5, 6)
    assert result.read_in_training == (2, 3, 4)


def test_correlations_with_reaction_times(run: Path, images: Path, tmp_path: Path) -> None:
    stimuli = load_stimuli(str(images), size=(8, 8), channels=1)
    alone = cg.decide(run, stimuli, "entropy < 0.7")
    assert alone.correlations == []
    times = 400 + 100 * alone.xi + np.random.default_rng(0).normal(0, 5, 12)
    lines = ["observer,file,rt"]
    for n, file in enumerate(stimuli.files[:-1]):  # the last one has no reaction time
        name = file if file.endswith("same.png") else Path(file).name
        lines += [f"a,{name},{times[n] - 20}", f"b,{name},{times[n] + 20}"]
    (tmp_path / "rt.csv").write_text("\n".join(lines) + "\n")
    result = cg.decide(run, stimuli, "entropy < 0.7", reaction_times=tmp_path / "rt.csv")
    assert result.reaction_times is not None
    np.testing.assert_allclose(result.reaction_times[:-1], times[:-1])
    assert np.isnan(result.reaction_times[-1])
    area = result.correlations[1]
    assert (area.measure, area.images) == ("uncertainty area ξ", 11)
    x, y = result.xi[:-1], times[:-1]
    ranks = [np.argsort(np.argsort(each)) for each in (x, y)]
    assert area.spearman == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert area.pearson == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert area.pearson_p == pytest.approx(stats.linregress(x, y).pvalue)
    result.draw(tmp_path / "d.svg")
    assert "uncertainty area" in (tmp_path / "d.svg").read_text()


def test_all_rows_of_reaction_times_that_do_not_match(run: Path, images: Path, tmp_path: Path) -> None:
    stimuli = load_stimuli(str(images), size=(8, 8), channels=1)
    path = tmp_path / "rt.csv"
    path.write_text("file,rt\nnone.png,300\nsame.png,310\n5.png,fast\n6.png,-3\n7.png,300\n")
    with pytest.raises(DataError, match="none of the images") as caught:
        cg.decide(run, stimuli, "entropy < 0.5", reaction_times=path)
    assert [(f.line, f.found) for f in caught.value.diagnostics] == [
        (2, "`none.png` is none of the images"),
        (3, "`same.png` is the name of several images"),
        (4, "`rt` is `fast`"),
        (5, "`rt` is `-3`"),
    ]
    huge = "file,rt\n" + "a" * 200_000  # more than a field of CSV may have
    for text, message in (
        ("file,time\n", "no column `rt`"),
        ("", "no column"),
        ("file,rt\n7.png,3\n", "needs 3"),
        (huge, "cannot be read as CSV"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            cg.decide(run, stimuli, "entropy < 0.5", reaction_times=path)
    path.write_bytes("file,rt\né.png,3\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"rt\.csv:1: the file is UTF-16 text"):
        cg.decide(run, stimuli, "entropy < 0.5", reaction_times=path)
    with pytest.raises(DataError, match=r"gone\.csv: the file cannot be read"):
        cg.decide(run, stimuli, "entropy < 0.5", reaction_times=tmp_path / "gone.csv")
    with pytest.raises(DataError, match="these images have no file names"):
        cg.decide(run, stripes(), "entropy < 0.5", reaction_times=path)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("entropy < 0.3", Rule("entropy", 0.3)),
        ("max_probability>.9", Rule("max_probability", 0.9)),
        ("cumulative margin >= 1e-1", Rule("margin", 0.1, True)),
        ("cumulative_entropy<1", Rule("entropy", 1.0, True)),
    ],
)
def test_rules(text: str, rule: Rule) -> None:
    assert read_rule(text) == rule
    assert read_rule(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("entropy", "this is not a rule"),
        ("entropy < 0.3; import os", "this is not a rule"),
        ("entropi < 0.3", "Did you mean `entropy`"),
        ("entropy > 0.3", "Write `entropy < 0.3`"),
        ("margin > 1e999", "the threshold is 1e999"),
        ("max_probability > 90", r"no image can meet this rule, but max_probability is from 1/K to 1 .*\n.*below 1"),
        ("cumulative entropy < -1", r"no image can meet this rule, but entropy is from 0 to log K .*\n.*above 0"),
        ("margin > 1", "no image can meet this rule, but margin is from 0 to 1"),
        (Rule("entropy", 0), "rule entropy < 0: no image can meet this rule"),
    ],
)
def test_what_is_no_rule(text: str | Rule, message: str) -> None:
    with pytest.raises(CortexGraphError, match=message):
        read_rule(text)


def test_a_network_that_is_read_at_one_step(run: Path) -> None:
    with pytest.raises(CompileError, match="read at step 4 alone, but the loss of training read steps 2") as caught:
        cg.decide(run, stripes(), "entropy < 0.3", at="last")
    assert "--set readout.at=all" in str(caught.value.diagnostics[0].repair)


def test_ties_and_unknown_classes_do_not_disturb() -> None:
    values = np.array([[0.2, 0.2], [0.9, 0.9]])
    labels = np.array([-1, -1])
    same: dict[str, Any] = {"files": ("", ""), "class_names": ("", ""), "classes": ("a",), "reaction_times": None}
    result = Decisions(
        name="n", data="d", rule=Rule("margin", 0.5), labels=labels, steps=(1, 2), read_in_training=(1, 2),
        values=values, predicted=np.zeros((2, 2), np.int64), macs=(1, 2), xi=np.ones(2), **same,
    )  # fmt: skip
    assert result.step.tolist() == [2, 1]
    assert math.isnan(result.at(0.5).accuracy)
    assert [row["correct"] for row in result.rows()] == ["", ""]


def test_the_command(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["cortexgraph", "eval", str(run), "--data", str(images), *words])
        with pytest.raises(SystemExit, match=r"^[01]$") as ended:
            cli.main()
        return int(ended.value.code or 0)

    files = ["--csv", str(tmp_path / "d.csv"), "--plot", str(tmp_path / "d.png")]
    assert command("--decide", "entropy < 0.7", *files) == 0
    printed = capsys.readouterr().out
    assert "step of decision" in printed
    assert "Mean step" in printed
    assert (
        (tmp_path / "d.csv").read_text().startswith("image,file,class,predicted,correct,step,decided,entropy,macs,xi\n")
    )
    assert {path.name for path in tmp_path.iterdir()} == {"d.csv", "d.png"}
    assert command("--decide", "entropy < 0.7", "--images", "6") == 0
    assert "6 images, entropy < 0.7" in capsys.readouterr().out
    assert command("--decide", "entropy < 0.7", "--images", "13") == 1
    assert "13 images are asked for, but there are 12" in capsys.readouterr().err
    assert command("--decide", "entropy > 0.7") == 1
    assert command("--reaction-times", "rt.csv") == 1
    assert command("--decide", "entropy < 1", "--tta", "mirror") == 1
    said = capsys.readouterr().err
    assert "Write `entropy < 0.7`" in said
    assert "there is no --decide" in said
    assert "decisions are made on the image alone" in said
