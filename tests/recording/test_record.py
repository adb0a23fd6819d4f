"""Recordings hold what the reference interpreter computes, appear whole or not at all, and stay small in memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from PIL import Image

import cortexgraph as cg
from cortexgraph import cli, recording
from cortexgraph.data import Stimuli, load_stimuli
from cortexgraph.data.folder import of_images
from cortexgraph.errors import CompileError, DataError
from cortexgraph.extras import MissingPackageError
from cortexgraph.recording import record
from cortexgraph.recording.sinks import NetCDF, Npz
from cortexgraph.training import TrainSettings, evaluate, load_run, train
from tests.training.conftest import striped_data, striped_images

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "run"
    spec = cg.loads(
        "cortexgraph: 1\nname: tiny\ninput: {channels: 1, size: 8}\n"
        "defaults: {area: {norm: {kind: batch, per_step: true}}}\n"
        "areas: {TH/TF: {channels: 4, size: 8}, IT: {channels: 6, size: 4}}\n"
        "connections:\n- image -> TH/TF -> IT -> TH/TF\n- IT -> IT\n"
        "readout: {from: IT, classes: 3, at: all}\ntime: {steps: 4}\n"
    )
    train(spec, striped_data(), TrainSettings(epochs=2, batch_size=8, lr=0.2, device="cpu"), folder, quiet=True)
    return folder


def stripes() -> Stimuli:
    return of_images("stripes", striped_images(24, seed=1), striped_data().classes)


def expected(run: Path) -> tuple[Any, dict[tuple[str, int], Any]]:
    """Logits and states of the reference interpreter, on the images as the run normalised them."""
    spec, network = load_run(run)
    images = striped_images(24, seed=1).images.float() / 255
    x = (images - torch.tensor(striped_data().mean)[:, None, None]) / torch.tensor(striped_data().std)[:, None, None]
    logits, states = cg.interpret(spec, network.state_dict(), x)
    return logits.detach(), {key: value.detach() for key, value in states.items()}


def test_a_netcdf_file_holds_what_the_reference_computes(run: Path, tmp_path: Path) -> None:
    result = record(run, stripes(), tmp_path / "acts.nc", batch_size=7, plots="png")
    logits, states = expected(run)
    with xarray.open_datatree(result.path) as tree:
        assert sorted(tree.children) == ["IT", "TH_TF"]
        for group, area, first in (("TH_TF", "TH/TF", 1), ("IT", "IT", 2)):
            found = tree[group].to_dataset()
            assert found.state.dims == ("image", "step", "channel", "y", "x")
            assert found.step.values.tolist() == list(range(first, 5))  # silent steps are absent
            assert found.attrs["area"] == area
            assert found.state.label.values.tolist() == [n % 3 for n in range(24)]
            for step in range(first, 5):
                np.testing.assert_allclose(
                    found.state.sel(step=step), states[area, step], rtol=1e-4, atol=1e-5, err_msg=f"{area}@{step}"
                )
        top = tree.to_dataset()
        np.testing.assert_allclose(top.logits, logits, rtol=1e-4, atol=1e-5)
        assert top.readout_step.values.tolist() == [2, 3, 4]
        assert top.logits.class_name.values.tolist()[:3] == ["horizontal", "vertical", "diagonal"]
        assert top.attrs["spec_sha256"] == load_run(run).spec.digest
        means = [tree[group].state.mean(("channel", "y", "x")) for group in ("TH_TF", "IT")]
        together = xarray.concat(means, "area", join="outer", coords="minimal", compat="override")
        assert bool(together.sel(step=1)[1].isnull().all())  # xarray fills in what is silent
    assert [path.name for path in result.plots] == ["acts-activity.png", "acts-dissimilarity.png", "acts-accuracy.png"]
    assert {path.name for path in tmp_path.iterdir()} == {"acts.nc", *(path.name for path in result.plots)}
    evaluated = evaluate(run, striped_data(), at="all")
    assert result.accuracy == tuple(step.accuracy for step in evaluated.steps)


def test_areas_may_have_the_names_of_what_stands_beside_them(tmp_path: Path) -> None:
    areas = ["label", "file", "logits", "readout_step", "class", "trained"]
    spec = cg.loads(
        f"name: tiny\ninput: {{channels: 1, size: 8}}\nareas: {{{', '.join(f'{a}: {{channels: 4}}' for a in areas)}}}\n"
        f"connections: [image -> {' -> '.join(areas)}]\nreadout: {{from: trained, classes: 3}}\ntime: {{steps: 6}}\n"
    )
    settings = TrainSettings(epochs=1, batch_size=8, device="cpu")
    train(spec, striped_data(), settings, tmp_path / "run", quiet=True)
    record(tmp_path / "run", stripes(), tmp_path / "acts.nc")
    with xarray.open_datatree(tmp_path / "acts.nc") as tree:
        assert {tree[group].to_dataset().attrs["area"] for group in tree.children} == {*areas}


def test_an_npz_file_holds_the_same(run: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    result = record(run, stripes(), tmp_path / "acts.npz", areas=["IT"], steps=[1, 3], batch_size=5, tell=lines.append)
    assert lines[0].startswith("recording 24 images, `IT`: 0.0 MB in ")
    assert lines[1:] == [f"{count} of 24 images" for count in (5, 10, 15, 20, 24)]
    logits, states = expected(run)
    (it,) = result.areas
    assert (it.steps, it.silent) == ((3,), (1,))
    with np.load(result.path, allow_pickle=False) as found:
        np.testing.assert_allclose(found["IT"][:, 0], states["IT", 3], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["logits"], logits, rtol=1e-4, atol=1e-5)
        assert found["IT_step"].tolist() == [3]
        assert found["label"].tolist() == [n % 3 for n in range(24)]
        assert str(found["network"]) == "tiny"
    assert [path.name for path in tmp_path.iterdir()] == ["acts.npz"]


def test_more_steps_than_in_training(run: Path, tmp_path: Path) -> None:
    result = record(run, stripes(), tmp_path / "acts.nc", areas=["TH/TF"], steps="last", total_steps=6)
    assert result.areas[0].steps == (6,)
    assert result.readout_steps == (2, 3, 4, 5, 6)


@pytest.mark.parametrize("sink", [NetCDF, Npz])
def test_nothing_stays_of_a_recording_that_fails(
    sink: type[Any], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = sink.append

    def full(self: Any, index: int, start: int, values: Any) -> None:
        if start:
            raise OSError(28, "No space left on device")
        append(self, index, start, values)

    monkeypatch.setattr(sink, "append", full)
    with pytest.raises(DataError, match=r"cannot be written: no space left on device"):
        record(run, stripes(), tmp_path / f"acts{'.nc' if sink is NetCDF else '.npz'}", batch_size=5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"areas": ["V5"]}, "no area is called `V5`"),
        ({"areas": ["it"]}, "Did you mean `IT`"),
        ({"areas": []}, "no area was named"),
        ({"steps": [0, 9]}, "step 0, 9 was asked for, but the network runs for 4 steps"),
        ({"steps": "first"}, "steps are `all`, `last` or a list"),
        (
            {"areas": ["IT"], "steps": [1]},
            "IT is silent at every step that was asked for, but it first responds at step 2",
        ),
        ({"out": "acts.mat"}, r"the suffix is `.mat`, but recordings are .nc \(NetCDF\) or .npz"),
        ({"out": "acts"}, "the file name has no suffix"),
        ({"out": "no/such/acts.nc"}, "no/such does not exist"),
        ({"plots": "gif"}, "`gif` was given, but plots are png, svg, pdf"),
        ({"run": "nowhere"}, "a folder that `cortexgraph train` wrote is needed"),
    ],
)
def test_bad_requests(run: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    out = tmp_path / changes.pop("out", "acts.nc")
    which = tmp_path / changes.pop("run") if "run" in changes else run
    with pytest.raises((DataError, CompileError), match=message):
        record(which, stripes(), out, **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_and_a_full_disk_are_said_first(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    with pytest.raises(MissingPackageError, match=r"h5netcdf is not installed\.\n  Run: pip install h5netcdf "):
        record(run, stripes(), tmp_path / "acts.nc")
    monkeypatch.undo()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(DataError, match=r"B, but .*B are free there"):
        record(run, stripes(), tmp_path / "acts.nc")


# ---- what is shown -------------------------------------------------------------


def test_any_folder_of_images_can_be_shown(run: Path, tmp_path: Path) -> None:
    for name in ("faces/a.png", "faces/b.png", "vertical/c.png", "d.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30), 90, np.uint8)).save(path)
    stimuli = load_stimuli(str(tmp_path / "images"), size=(8, 8), channels=1)
    assert stimuli.files == ("d.png", "faces/a.png", "faces/b.png", "vertical/c.png")
    result = record(run, stimuli, tmp_path / "acts.nc", steps="last")
    with xarray.open_dataset(result.path, group="IT") as found:
        assert found.label.values.tolist() == [-1, -1, -1, 1]  # only `vertical` is a class of the run
        assert found.class_name.values.tolist() == ["", "faces", "faces", "vertical"]
    assert load_stimuli(str(tmp_path / "images"), size=(8, 8), channels=1).chosen(3).classes == (
        "",
        "faces",
        "vertical",
    )
    (tmp_path / "empty" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match=r"the folder train/ exists, but the folder test/ does not"):
        load_stimuli(str(tmp_path / "empty"), size=(8, 8), channels=1)
    with pytest.raises(DataError, match=r"this folder has no images"):
        load_stimuli(str(tmp_path / "empty"), size=(8, 8), channels=1, split="train")
    with pytest.raises(DataError, match=r"9 images are asked for, but there are 4"):
        stimuli.chosen(9)


# ---- measures ------------------------------------------------------------------


def test_dissimilarity_is_that_of_numpy() -> None:
    patterns = np.random.default_rng(0).normal(size=(5, 3, 4, 4))
    found = recording.dissimilarity(patterns)
    np.testing.assert_allclose(found, 1 - np.corrcoef(patterns.reshape(5, -1)), atol=1e-12)
    patterns[2] = 1.0
    assert np.isnan(recording.dissimilarity(patterns)[2]).all()


def test_separation_and_accuracy() -> None:
    matrix = np.array([[0.0, 0.2, 1.0], [0.2, 0.0, 0.8], [1.0, 0.8, 0.0]])
    assert recording.separation(matrix, np.array([0, 0, 1])) == pytest.approx(0.9 - 0.2)
    assert np.isnan(recording.separation(matrix, np.array([0, 1, 2])))
    logits = np.array([[[2.0, 1.0], [0.0, 1.0]], [[2.0, 1.0], [2.0, 1.0]], [[0.0, 1.0], [2.0, 1.0]]])
    assert recording.accuracy_over_time(logits, np.array([0, 0, -1])).tolist() == [1.0, 0.5]
    assert recording.mean_activity(np.ones((2, 3, 4, 5, 6))).shape == (2, 3)


MEASURE = """
import resource, sys
from pathlib import Path
import torch
from cortexgraph.data import Stimuli
from cortexgraph.recording import record
def peak_mb(count):
    read = lambda some: torch.zeros(len(some), 1, 8, 8, dtype=torch.uint8)
    record(sys.argv[1], Stimuli("zeros", ("",) * count, ("",) * count, read), out, batch_size=500)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
for out in map(Path, sys.argv[2:]):
    print(peak_mb(1000), peak_mb(12_000), out.stat().st_size >> 20)
"""


def test_areas_named_as_other_members_of_an_npz_file_keep_their_states(tmp_path: Path) -> None:
    spec = cg.loads(
        "name: tiny\ninput: {channels: 1, size: 8}\nareas: {data: {channels: 2, size: 8}, V1: {channels: 2, size: 8}, "
        "V1_step: {channels: 2, size: 8}}\nconnections: [image -> data -> V1 -> V1_step]\n"
        "readout: {from: V1_step, classes: 3}\ntime: {steps: 3}\n"
    )
    train(spec, striped_data(), TrainSettings(epochs=1, batch_size=8, device="cpu"), tmp_path / "run", quiet=True)
    record(tmp_path / "run", stripes(), tmp_path / "acts.npz", batch_size=5)
    with np.load(tmp_path / "acts.npz") as file:
        assert {name: file[name].shape[2:] for name in ("data", "V1", "V1_step")} == dict.fromkeys(
            ("data", "V1", "V1_step"), (2, 8, 8)
        )
        assert len(set(file.files)) == len(file.files)


def test_memory_does_not_grow_with_the_recording(run: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", MEASURE, str(run), str(tmp_path / "acts.nc"), str(tmp_path / "acts.npz")]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    for line in result.stdout.splitlines():
        small, large, written = map(int, line.split())
        assert written > 52
        assert large - small < 26  # half of what is written


# ---- the command ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--areas", "V9"], "no area is called `V9`"),
        (["--at", "7"], "step 7 was asked for, but the network runs for 4 steps"),
        (["--data", "nowhere/at/all"], "this directory does not exist"),
        (["-o", "no/such/acts.nc"], "the folder no/such does not exist"),
        (["-o", "acts.csv"], "recordings are .nc (NetCDF) or .npz"),
        (["--plots", "gif"], "`gif` was given"),
        (["--images", "99"], "99 images are asked for"),
    ],
)
def test_bad_requests_on_the_command_line(
    run: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(tmp_path / "images" / "a.png")
    monkeypatch.chdir(tmp_path)
    out = [] if "-o" in words else ["-o", "acts.nc"]
    data = [] if "--data" in words else ["--data", "images"]
    monkeypatch.setattr(sys, "argv", ["cortexgraph", "record", str(run), *out, *data, *words])
    with pytest.raises(SystemExit, match=r"^1$"):
        cli.main()
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_large_recording_of_all_areas_needs_a_choice(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cortexgraph.cli.record.MOST_BYTES", 6500)
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(tmp_path / "images" / "a.png")

    def call(*words: str) -> tuple[object, str]:
        base = ["cortexgraph", "record", str(run), "-o", "acts.npz", "--data", "images"]
        monkeypatch.setattr(sys, "argv", [*base, *words])
        with pytest.raises(SystemExit, match=r"^[01]$") as end:
            cli.main()
        return end.value.code, capsys.readouterr().err

    code, said = call("--steps", "5")
    assert (code, [path.name for path in tmp_path.iterdir()]) == (1, ["images"])
    assert said == (
        "acts.npz: the states of all areas for 1 images take 6.7 kB, but more than 6.5 kB are written only on "
        "request.\n"
        "  Choose with --areas (TH/TF 5.1 kB, IT 1.5 kB), record fewer images or steps, or add --yes.    "
        "[large-recording]\n"
    )
    for words in (["--areas", "TH/TF,IT"], ["--yes"], ["--at", "4"]):
        code, said = call("--steps", "5", *words)
        assert (code, said.startswith("recording 1 images, `TH/TF` and `IT`: 0.0 MB in acts.npz")) == (0, True)


def test_the_command(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("vertical/a.png", "diagonal/b.png")):  # unlike: else rounding scales the colours
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.random.default_rng(seed).integers(256, size=(8, 8), dtype=np.uint8)).save(tmp_path / name)
    words = ["record", str(run), "-o", "acts.nc", "--data", str(tmp_path), "--areas", "TH/TF,IT", "--at", "1,4"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cortexgraph", *words, "--plots", "svg"])
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main()
    said = capsys.readouterr().out
    assert "4 (silent: 1)" in said
    assert "wrote acts-dissimilarity.svg" in said
    assert (tmp_path / "acts-accuracy.svg").read_text().startswith("<?xml")
    marks = re.findall(r">(\d)</text>", (tmp_path / "acts-dissimilarity.svg").read_text().split("in the order of")[0])
    assert len(marks) == 2 * (2 + 2)  # two classes, at the left of two areas and below two steps
