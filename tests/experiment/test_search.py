"""Searches: what is drawn, what a repetition continues, how the best is told, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cortexgraph.errors import CortexGraphError, DataError, SpecError
from cortexgraph.experiment.compare import Comparison, compare
from cortexgraph.experiment.model import ExperimentSpec
from tests.experiment.conftest import Write

pytestmark = pytest.mark.usefixtures("one_thread")
optuna = pytest.importorskip("optuna")

SEARCH = """
settings: {epochs: 2, batch_size: 10, device: cpu, validation: 20}
search:
  ranges:
    settings.lr: {low: 0.0001, high: 0.1, log: true}
    areas.V1.channels: {low: 2, high: 6, step: 2}
    order: {together: {}, swept: {time.order: sequential}}
  trials: TRIALS
"""


def search(write: Write, out: Path, trials: int, rest: str = "", lines: list[str] | None = None) -> Comparison:
    tell = (lambda line: None) if lines is None else lines.append
    return compare(write(SEARCH.replace("TRIALS", str(trials)) + rest), out, tell=tell)


def drawn(found: Comparison) -> list[dict[str, str]]:
    return [row.values for row in found.table if row.last]


def test_a_search_draws_and_continues_and_names_the_best(write: Write, tmp_path: Path) -> None:
    """Two trials and then two more are the four of one search."""
    lines: list[str] = []
    first = search(write, tmp_path / "out", 2)
    more = search(write, tmp_path / "out", 4, lines=lines)
    assert drawn(more)[:2] == drawn(first)
    assert lines[0] == "2 of 4 trials are finished already"
    assert [line.split(" (")[0] for line in lines[1:]] == ["[3/4] trial 2", "[4/4] trial 3"]
    assert len({values["settings.lr"] for values in drawn(more)}) == 4
    assert all(values["areas.V1.channels"] in {"2", "4", "6"} for values in drawn(more))
    best = json.loads((tmp_path / "out" / "best.json").read_text())
    scores = [outcome.result["validation"]["score"] for outcome in more.outcomes if outcome.result]
    assert best["validation accuracy"] == max(scores)
    drew = f"settings.lr = {best['values']['settings.lr']}"
    assert more.best.startswith(f"Best of 4 trials: trial {best['trial']} with {drew}")
    assert "which is optimistic because it is the best of many. Its test accuracy, which took no part" in more.best
    assert (tmp_path / "out" / "figure.svg").exists()
    _check_another_search(write, tmp_path / "out")


def _check_another_search(write: Write, out: Path) -> None:
    with pytest.raises(DataError, match=r"it holds another search\.\n  Name another folder"):
        search(write, out, 4, "  metric: loss\n")


def test_missing_images_use_up_no_trial(write: Write, tmp_path: Path) -> None:
    experiment = write(SEARCH.replace("TRIALS", "1"))
    with pytest.raises(DataError, match="gone: this directory does not exist"):
        compare(experiment, tmp_path / "out", data={"source": str(tmp_path / "gone")})
    assert not (tmp_path / "out").exists()
    found = compare(experiment, tmp_path / "out")
    assert len(drawn(found)) == 1
    assert not found.failures


def test_an_interrupted_trial_goes_on_after_a_journal_cut_short(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cortexgraph.experiment import compare as engines

    with monkeypatch.context() as patch:
        patch.setitem(engines.ENGINES, "here", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            search(write, tmp_path / "out", 1)
    with (tmp_path / "out" / "study.log").open("a") as journal:
        journal.write('{"op_code": 4, "wor')
    found = search(write, tmp_path / "out", 1)
    assert [values["trial"] for values in drawn(found)] == ["0"]


def test_a_trial_that_is_worse_than_the_others_is_pruned(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda trial: trial.number == 1)
    lines: list[str] = []
    found = search(write, tmp_path / "out", 2, "  pruning: median\n", lines)
    assert [values["trial"] for values in drawn(found)] == ["0"]
    assert not found.failures
    assert lines[1].endswith(": pruned")
    again = search(write, tmp_path / "out", 2, "  pruning: median\n")
    assert drawn(again) == drawn(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: {time.steps: [3, 4]}", r"`search` and `grid` are both set\.\n  Leave one of them out"),
        ("variants: {a: {}}", r"`search` and `variants` are both set"),
        ("settings: {epochs: 1}", r"search: no images are set aside, but a search that chooses by test images"),
        ("seeds: [0, 1]\nPRUNE", r"`pruning` judges single runs, but there are several `seeds`"),
        ("LOW", r"the range runs from 0\.2 to 0\.1"),
        ("settings.lrr", r"settings\.lrr: this is not a setting"),
        ("areas.V9.channels", r"no area is called `V9`"),
        ("figure: {x: settings.lr, series: nothing}", r"figure\.series: `nothing` is not an axis"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(write: Write, tmp_path: Path, text: str, message: str) -> None:
    body = SEARCH.replace("TRIALS", "3")
    if text.startswith("settings."):
        body, text = body.replace("settings.lr:", f"{text}:"), ""
    elif text.startswith("areas."):
        body, text = body.replace("areas.V1.channels:", f"{text}:"), ""
    elif text == "LOW":
        body, text = body.replace("low: 0.0001", "low: 0.2"), ""
    elif text.startswith("settings"):
        body = body.replace("settings: {epochs: 2, batch_size: 10, device: cpu, validation: 20}\n", "")
    body = body + "  pruning: median\n" * ("PRUNE" in text)
    with pytest.raises(SpecError, match=message):
        compare(write(body + text.replace("PRUNE", "")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_optuna_is_missing(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    message = r"a search in an experiment: optuna is not installed\.\n  Run: pip install optuna "
    with pytest.raises(CortexGraphError, match=message):
        search(write, tmp_path / "out", 1)


def test_gpus_are_devices_of_every_run(write: Write, tmp_path: Path) -> None:
    from cortexgraph.experiment.plan import plan

    experiment: ExperimentSpec = write("gpus: 4")
    (run,) = plan(experiment, tmp_path, {})
    assert (run.settings.devices, run.gpus) == (4, 4)
    with pytest.raises(SpecError, match="20 images do not divide among 3 devices"):
        plan(write("gpus: 3"), tmp_path, {})
