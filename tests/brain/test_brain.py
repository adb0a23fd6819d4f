"""A simulated brain is found where it came from, files of every kind give the same, bad input is one message."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import xarray
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

import cortexgraph as cg
from cortexgraph import cli
from cortexgraph.brain import (
    BrainComparison,
    NeuralData,
    centred_gram,
    compare_with_brain,
    linear_cka,
    measures,
    read_neural,
    reliability,
)
from cortexgraph.errors import CortexGraphWarning, DataError
from cortexgraph.training.run import TrainedRun
from tests.brain.conftest import IMAGES, NOISE, REPETITIONS

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def comparison(run: TrainedRun, recording: xarray.DataArray, folder: Path) -> BrainComparison:
    return cg.compare_with_brain(run, recording, folder, areas=["V4", "IT"], folds=4)


# ---- the known answer --------------------------------------------------------


@pytest.mark.parametrize("measure", ["rsa", "cka", "encoding"])
def test_a_hidden_copy_is_found_at_its_area_and_step_in_every_time_bin(
    comparison: BrainComparison, measure: str
) -> None:
    scores = comparison.scores[comparison.scores.measure == measure]
    best = scores.loc[scores.groupby(["region", "bin"]).score.idxmax()].set_index(["region", "bin"])
    expected = {("late", "0–20"): ("V4", 4), ("late", "20–40"): ("V4", 5), ("high", "mean"): ("IT", 6)}
    assert {key: (best.loc[key].area, best.loc[key].step) for key in expected} == expected


def test_the_hidden_copy_reaches_the_noise_ceiling_of_rsa(comparison: BrainComparison) -> None:
    row = comparison.best("rsa").set_index("region").loc["high"]
    assert row.ceiling_low < row.score < row.ceiling
    assert 0.9 < row.normalised <= 1


def test_the_hidden_copy_is_predicted_up_to_the_noise(comparison: BrainComparison, signal: xarray.DataArray) -> None:
    row = comparison.best().set_index("region").loc["high"]
    variance = signal[:, signal.region == "high", 0].values.var(0)
    noise = NOISE**2 / REPETITIONS / 2  # of the mean over repetitions and two bins
    assert row.ceiling == pytest.approx(np.median(np.sqrt(variance / (variance + noise))), abs=0.02)
    assert row.normalised > 0.8
    committed = comparison.commitment.set_index("region")
    assert (committed.loc["high"].area, committed.loc["high"].step) == ("IT", 6)
    assert committed.loc["late"].area == "V4"
    assert committed.loc["high"].score > 0.6


# ---- measures ----------------------------------------------------------------


def test_the_reliability_is_that_of_the_mean_response() -> None:
    random = np.random.default_rng(0)
    signal = random.standard_normal((4000, 1, 3, 1))
    responses = signal + 2 * random.standard_normal((4000, 8, 3, 1))
    responses[:2000, 6:] = np.nan  # fewer repetitions
    assert reliability(responses[2000:]) == pytest.approx(np.full((3, 1), 1 / (1 + 4 / 8)), abs=0.05)
    assert reliability(responses[:2000]) == pytest.approx(np.full((3, 1), 1 / (1 + 4 / 6)), abs=0.05)
    assert np.isnan(reliability(signal)).all()


def test_linear_cka_is_that_of_the_definition_and_debiased_does_not_grow_with_units() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((20, 300)), random.standard_normal((20, 400))
    centred_x, centred_y = x - x.mean(0), y - y.mean(0)
    norms = np.linalg.norm(centred_x.T @ centred_x) * np.linalg.norm(centred_y.T @ centred_y)
    expected = np.linalg.norm(centred_y.T @ centred_x) ** 2 / norms
    biased = linear_cka(centred_gram(x, debiased=False), centred_gram(y, debiased=False))
    assert biased == pytest.approx(expected)
    assert biased > 0.8
    assert abs(linear_cka(centred_gram(x), centred_gram(y))) < 0.3
    assert linear_cka(centred_gram(x), centred_gram(3 * x)) == pytest.approx(1)


def test_rsa_is_the_rank_correlation_of_dissimilarities() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((12, 30)), random.standard_normal((12, 9))
    upper = np.triu_indices(12, 1)
    expected = spearmanr((1 - np.corrcoef(x))[upper], (1 - np.corrcoef(y))[upper]).statistic
    model, brain = measures.rdms([x]), measures.rdms([y])
    assert model is not None
    assert brain is not None
    assert measures.rsa_scores(model, brain) == pytest.approx(expected)


def test_rotated_patterns_give_the_predictions_of_the_units() -> None:
    random = np.random.default_rng(0)
    units, targets = random.standard_normal((30, 200)), random.standard_normal((30, 4))
    features = measures.rotated(units)
    assert features.shape == (30, 30)
    scale = np.sqrt(((units - units.mean(0)) ** 2).sum(1).mean())
    predictions = [Ridge(0.1).fit(x[:20], targets[:20]).predict(x[20:]) for x in (features, units / scale)]
    np.testing.assert_allclose(*predictions, rtol=1e-6, atol=1e-9)


# ---- files -------------------------------------------------------------------


def long_table(recording: xarray.DataArray) -> pandas.DataFrame:
    """A row for each response."""
    coordinates = ["stimulus_id", "repetition", "neuroid_id", "region", "time_bin_start", "time_bin_end"]
    return recording.to_dataframe("response").reset_index(drop=True)[[*coordinates, "response"]]


def test_every_kind_of_file_gives_the_same_data(recording: xarray.DataArray, tmp_path: Path) -> None:
    some = recording[recording.repetition < 2, ::50]
    some.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    old = some.rename(stimulus_id="image_id").assign_coords(note=("presentation", some.repetition.values))
    old.to_netcdf(tmp_path / "b.nc", engine="scipy")
    np.savez(tmp_path / "c.npz", responses=some.values, **{str(name): value for name, value in some.coords.items()})
    long_table(some).to_csv(tmp_path / "d.csv", index=False)
    levels = {"presentation": ["stimulus_id", "repetition"], "neuroid": ["neuroid_id", "region"]}
    read = [read_neural(some.set_index(levels)), *(read_neural(path) for path in sorted(tmp_path.iterdir()))]
    assert read[0].bins == ((0, 20), (20, 40))
    assert read[0].responses.shape == (IMAGES, 2, some.sizes["neuroid"], 2)
    assert [aligned(each) for each in read[1:]] == [aligned(read[0])] * 4


def aligned(data: NeuralData) -> tuple[object, ...]:
    """What the data hold, in the order of names."""
    rows, columns = np.argsort(data.stimuli), np.argsort(data.neuroids)
    regions = [data.regions[n] for n in columns]
    return np.round(data.responses[rows][:, :, columns], 6).tolist(), regions, data.bins


# ---- bad input ---------------------------------------------------------------


def without_time(recording: xarray.DataArray) -> xarray.DataArray:
    return recording[:, ::20, 0].drop_vars(["time_bin_start", "time_bin_end"])


def test_without_repetitions_there_is_no_ceiling_and_it_is_said(
    run: TrainedRun, recording: xarray.DataArray, folder: Path
) -> None:
    single = without_time(recording)[recording.repetition == 0]
    with pytest.warns(CortexGraphWarning, match="(late|high): a stimulus has fewer than two repetitions"):
        result = compare_with_brain(run, single, folder, areas="V4", steps=5, folds=2)
    assert result.scores.ceiling.isna().all()
    assert result.scores.score.notna().all()


def test_missing_repetitions_leave_a_noise_ceiling_and_are_named(
    run: TrainedRun, recording: xarray.DataArray, folder: Path
) -> None:
    pair = without_time(recording)[recording.repetition < 2].copy()
    pair = pair[[n for n in range(len(pair)) if n != 3]]  # the fourth stimulus was shown once
    pair[7, 1] = np.nan  # one presentation of the eighth to one neuroid
    message = r"late: RSA leaves out stimuli `\w+` and neuroids `late-20`, which have too few repetitions"
    with pytest.warns(CortexGraphWarning, match="RSA leaves out") as caught:
        result = compare_with_brain(run, pair, folder, areas="V4", steps=5, folds=2)
    assert any(re.search(message, str(each.message)) for each in caught)
    assert result.scores.score.notna().all()
    ceilings = result.scores[result.scores.measure != "cka"].ceiling
    assert ceilings.notna().all()
    assert (ceilings > 0.5).all()


def test_the_reliability_leaves_out_stimuli_without_two_repetitions() -> None:
    random = np.random.default_rng(0)
    responses = random.standard_normal((50, 1, 2, 1)) + random.standard_normal((50, 2, 2, 1))
    gaps = responses.copy()
    gaps[:10, 1, 0] = np.nan
    r = np.corrcoef(responses[10:, 0, 0, 0], responses[10:, 1, 0, 0])[0, 1]
    result = reliability(gaps)
    assert result[0, 0] == pytest.approx(2 * r / (1 + r), abs=0.05)  # halves change places, and r is that of either
    assert result[1] == pytest.approx(reliability(responses)[1])
    gaps[2:, 1] = np.nan
    assert np.isnan(reliability(gaps)).all()


def test_neuroids_with_gaps_are_left_out_and_named(recording: xarray.DataArray) -> None:
    gaps = without_time(recording).copy()
    gaps[:: len(gaps) // REPETITIONS, 1] = np.nan  # every presentation of the first stimulus
    with pytest.warns(CortexGraphWarning, match=r"1 of \d+ neuroids are left out, as stimuli .*: `late-20`"):
        assert "late-20" not in read_neural(gaps).neuroids
    gaps[0] = np.inf
    with pytest.raises(DataError, match=r"values are infinite.*\n  Remove them"):
        read_neural(gaps)
    gaps[:] = np.nan
    with pytest.raises(DataError, match="every neuroid of `high` and `late` has stimuli without a response"):
        read_neural(gaps)


def test_everything_that_is_wrong_is_one_message(
    run: TrainedRun, recording: xarray.DataArray, folder: Path, tmp_path: Path
) -> None:
    for n in (0, 1):
        shutil.copy(folder / f"im{n:02}.png", tmp_path)
    (tmp_path / "other").mkdir()
    shutil.copy(folder / "im00.png", tmp_path / "other")
    with pytest.raises(DataError) as raised:
        compare_with_brain(run, recording[recording.repetition == 0][:20], tmp_path)
    text = str(raised.value)
    assert "18 of 20 stimuli of the recording (`im02`, " in text
    assert "1 of 20 stimuli of the recording (`im00`) have several images there" in text
    assert "there are 20 stimuli, but 40 are needed" in text


def test_images_without_responses_are_said(run: TrainedRun, recording: xarray.DataArray, folder: Path) -> None:
    some = without_time(recording)[recording.stimulus_id.values < "im60"]
    with pytest.warns(CortexGraphWarning, match="20 of 80 images have no response in the recording"):
        compare_with_brain(run, some, folder, areas="V4", steps=5, folds=2)


def test_a_table_of_a_stimulus_set_names_the_images(
    run: TrainedRun, recording: xarray.DataArray, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "images")
    ids = [f"hash{name}" for name in recording.stimulus_id.values]
    lines = [f"{name},{name.removeprefix('hash')}.png" for name in dict.fromkeys(ids)]
    (tmp_path / "images" / "set.csv").write_text("\n".join(["stimulus_id,filename", *lines]))
    hashed = without_time(recording).assign_coords(stimulus_id=("presentation", ids))
    result = compare_with_brain(run, hashed, tmp_path / "images", areas="IT", steps=6, folds=2)
    assert result.whole("rsa").score.notna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.drop_vars("stimulus_id"), "coordinates of presentation are `repetition`, but `stimulus_id` is"),
        (lambda x: x.rename(time_bin="time"), "dimensions are `presentation`, `neuroid` and `time`, but they must"),
        (lambda x: x.drop_vars("time_bin_end"), "coordinates of time_bin are `time_bin_start`, but `time_bin_end`"),
        (lambda x: x.astype(str), "its values are .*, but numbers are needed"),
        (lambda x: x[:, :0], "it is empty"),
        (lambda x: x.assign_coords(time_bin_start=("time_bin", ["a", "b"])), "`time_bin_start` are finite numbers"),
        (lambda x: x.assign_coords(time_bin_end=("time_bin", [20, np.nan])), "`time_bin_end` are finite numbers"),
        (lambda x: x[..., [0, 0]], "several time bins have the same start and end"),
    ],
)
def test_a_recording_of_another_form(recording: xarray.DataArray, change: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_neural(change(recording[:6, :3]))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mat", b"", r"the suffix is `.mat`, but recordings are \.nc"),
        ("a.nc", b"nothing", r"it cannot be read \(.*\), but a \.nc file is needed"),
        ("a.npz", b"nothing", "it cannot be read"),
        ("a.csv", b"stimulus,response\na,1\n", "columns are `stimulus` and `response`, but `stimulus_id` and"),
        ("a.csv", b"stimulus_id,neuroid_id,repetition,response\na,1,0,1\na,1,0,2\n", "1 row too many"),
        ("a.csv", b"stimulus_id,neuroid_id,response\n,1,1\na,1,2\n", "1 row without a stimulus, neuroid or time bin"),
        (f"{'a' * 300}.csv", None, "this file does not exist"),
    ],
)
def test_a_file_that_is_no_recording(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_neural(tmp_path / name)


def test_neuroids_of_one_name_in_two_subjects_stay_two(tmp_path: Path) -> None:
    lines = [f"{image},1,{subject},{value}" for image, value in (("a", 1), ("b", 2)) for subject in "XY"]
    (tmp_path / "d.csv").write_text("\n".join(["stimulus_id,neuroid_id,subject,response", *lines]))
    data = read_neural(tmp_path / "d.csv")
    assert (data.neuroids, data.subjects, data.responses.shape) == (("1", "1"), ("X", "Y"), (2, 1, 2, 1))


# ---- command -----------------------------------------------------------------


def test_tables_and_figures(comparison: BrainComparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cortexgraph.cli.compare import _report_brain

    written = comparison.save(tmp_path / "out", "svg")
    assert [path.name for path in written] == ["scores.csv", "commitment.csv", "scores.svg", "time.svg"]
    table = pandas.read_csv(written[0])
    pandas.testing.assert_frame_equal(table, comparison.scores)
    _report_brain(comparison)
    printed = capsys.readouterr().out
    assert "high is committed to IT at step 6: encoding of held-out stimuli 0." in printed
    assert "noise ceiling" in printed


def test_the_command_says_what_is_wrong_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["brain", "ventral-cifar10", "--data", "no.nc", "--stimuli", "nowhere", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["cortexgraph", *words])
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    error = capsys.readouterr().err
    assert "no.nc: this file does not exist" in error
    assert "nowhere: this folder does not exist" in error
    assert not out.exists()
    monkeypatch.setattr(sys, "argv", ["cortexgraph", *words[:-1], str(Path(__file__) / "out")])
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert "test_brain.py is a file, not a folder" in capsys.readouterr().err
