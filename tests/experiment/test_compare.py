"""Experiments carried out: the table, what is not repeated, what fails, and what a kill leaves."""

from __future__ import annotations

import csv
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from PIL import Image

import cortexgraph.experiment.compare as compare_module
from cortexgraph.errors import CortexGraphError, DataError
from cortexgraph.experiment.compare import Comparison, compare, prepare
from cortexgraph.experiment.model import ExperimentSpec
from cortexgraph.experiment.plan import Run
from cortexgraph.experiment.report import Row, draw_figure
from cortexgraph.experiment.run import Outcome
from cortexgraph.training import RunFolder
from tests.experiment.conftest import Write, written

pytestmark = pytest.mark.usefixtures("one_thread")

ORDERS = """
seeds: [0, 1]
variants: {simultaneous: {}, sequential: {set: {time.order: sequential}}}
evaluate:
  over time: {at: all, steps: 5}
  no feedback: {lesion: feedback}
figure: {x: step}
"""


def stamps(folder: Path) -> dict[Path, int]:
    """When each run's weights and results were written."""
    files = [*folder.glob("runs/*/*/weights.safetensors"), *folder.glob("runs/*/*/result.json")]
    return {path: path.stat().st_mtime_ns for path in files}


def test_one_table_and_one_figure_and_nothing_is_repeated(write: Write, tmp_path: Path) -> None:
    experiment, lines, sizes = write(ORDERS), list[str](), list[int]()

    def tell(line: str) -> None:
        lines.append(line)
        table = csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines())
        sizes.append(sum(int(row["seeds"]) for row in table if row["evaluation"] == "as trained"))

    first = compare(experiment, tmp_path / "out", tell=tell)
    assert not first.failures
    assert len(lines) == 4
    assert sizes == [1, 2, 3, 4]  # the table holds every run that is finished
    _check_table(first, tmp_path / "out")
    before = stamps(tmp_path / "out")
    again = compare(experiment, tmp_path / "out", tell=lines.append)
    assert again.done_before == 4
    assert lines[4:] == ["4 of 4 runs are finished already"]
    assert again.table == first.table
    assert stamps(tmp_path / "out") == before
    _check_new_evaluations_and_seeds(write, tmp_path / "out", before)


def _check_table(found: Comparison, out: Path) -> None:
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert len(rows) == len(found.table)
    chosen = [r for r in found.table if r.variant == "sequential" and r.evaluation == "as trained"]
    accuracies = [o.result["scores"]["3"] for o in found.outcomes if o.result and "sequential" in o.run]
    assert chosen[0].scores == tuple(accuracies)
    written = next(r for r in rows if r["variant"] == "sequential" and r["evaluation"] == "as trained")
    assert float(written["accuracy_mean"]) == pytest.approx(statistics.mean(accuracies), abs=1e-5)
    assert float(written["accuracy_sd"]) == pytest.approx(statistics.stdev(accuracies), abs=1e-5)
    assert [r["step"] for r in rows if r["variant"] == "simultaneous" and r["evaluation"] == "over time"] == list(
        "2345"
    )
    assert (out / "figure.svg").read_text().count("no feedback") > 0
    assert ">chance<" in (out / "figure.svg").read_text()
    assert (out / "figure.png").stat().st_size > 1000


def _check_new_evaluations_and_seeds(write: Write, out: Path, before: dict[Path, int]) -> None:
    """Another evaluation measures again without training; another seed trains that alone."""
    experiment = write(ORDERS.replace("[0, 1]", "[0, 1, 2]").replace("no feedback", "without feedback"))
    found = compare(experiment, out)
    assert {len(row.scores) for row in found.table} == {3}
    after = stamps(out)
    weights = [path for path in before if path.name == "weights.safetensors"]
    assert all(after[path] == before[path] for path in weights)
    assert len([path for path in after if path.name == "weights.safetensors"]) == 6


def test_another_task_is_compared_by_its_score(write: Write, tmp_path: Path) -> None:
    """Numbers from a CSV file."""
    rows = ["file,mean"]
    for n in range(24):
        file = tmp_path / "images" / ("train" if n < 16 else "test") / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (10 * n,) * 3).save(file)
        rows.append(f"{file.parent.name}/{file.name},{n / 24}")
    (tmp_path / "targets.csv").write_text("\n".join(rows))
    text = f"""
data: {{source: {tmp_path / "images"}, targets: targets.csv}}
settings: {{epochs: 1, batch_size: 4, device: cpu, loss: huber, validation: 4}}
grid: {{readout.classes: [1], settings: {{one: {{}}, two: {{areas.V1.channels: 5}}}}}}
evaluate: {{cut: {{lesion: feedback}}}}
"""
    lines = list[str]()
    found = compare(write(text), tmp_path / "out", tell=lines.append)
    assert not found.failures
    table = list(csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    assert len(table) == len(found.table) == 4
    for row, written_row in zip(found.table, table, strict=True):
        assert float(written_row["r2_mean"]) == pytest.approx(row.scores[0], abs=1e-5)
    summaries = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("summary.json")]
    trained = {row.scores for row in found.table if row.evaluation == "as trained"}
    assert trained == {(summary["metrics"]["r2"]["3"],) for summary in summaries}
    figure = (tmp_path / "out" / "figure.svg").read_text()
    assert "test R²" in figure
    assert "chance" not in figure
    assert "%" not in lines[0]
    assert compare(write(text), tmp_path / "out").done_before == 2
    on_another_machine = write(text.replace("targets.csv}", "targets.csv, memory: 1GB}"))
    assert compare(on_another_machine, tmp_path / "out").done_before == 2
    views = f"""
data: {{source: {tmp_path / "images"}}}
settings: {{epochs: 1, batch_size: 4, device: cpu, loss: nt-xent, shift: 3}}
variants: {{a: {{}}}}
evaluate: {{again: {{at: last}}}}
"""
    trained_score, again = (row.scores for row in compare(write(views), tmp_path / "views").table)
    assert trained_score == again
    unknown = write("variants: {a: {set: {readout.loss: log-cosh}}}")
    with pytest.raises(CortexGraphError, match=r"a: readout\.loss=log-cosh: no loss is called `log-cosh`"):
        compare(unknown, tmp_path / "other")
    mixed = "variants: {numbers: {settings: {loss: mse}}, classes: {}}"
    with pytest.raises(
        CortexGraphError, match=r"variants have different scores: R² \(numbers\) and accuracy \(classes\)"
    ):
        compare(write(mixed), tmp_path / "other")


def test_a_lesioned_network_is_measured_without_its_connections(write: Write, tmp_path: Path) -> None:
    """Against the same weights in a spec written without feedback."""
    import cortexgraph as cg
    from cortexgraph.data import load_data
    from cortexgraph.training import RunFolder, evaluate, load_run

    found = compare(write(ORDERS.replace("[0, 1]", "[0]")), tmp_path / "out")
    run = tmp_path / "out" / "runs" / "sequential" / "seed-0"
    spec, network = load_run(run)
    cut = cg.lesion(spec, "IT -> V1")
    assert len(cut.connections) == len(spec.connections) - 1
    kept = {name: t for name, t in network.state_dict().items() if not name.startswith("IT_to_V1.")}
    other = cg.compile(cut)
    other.load_state_dict(kept)
    data = load_data("shapes", size=(16, 16), channels=3, train_images=60, test_images=40)
    expected = evaluate(other, data).steps[-1].accuracy
    assert RunFolder(run).is_finished
    assert [r.scores for r in found.table if (r.variant, r.evaluation) == ("sequential", "no feedback")] == [
        (expected,)
    ]


def test_interventions_come_from_a_file_and_an_edited_file_is_measured_again(write: Write, tmp_path: Path) -> None:
    """Silence leaves the readout its bias: one class for all images, a tenth of them."""
    changes = tmp_path / "changes.yaml"
    changes.write_text("- {at: IT, scale: 1}\n")
    text = (
        "evaluate: {changed: {intervene: changes.yaml}}\nvariants: {one: {}, two: {set: {time.steps: 4}}}\nseeds: [0]"
    )
    first = compare(write(text), tmp_path / "out").table
    accuracies = {(row.variant, row.evaluation): row.scores for row in first}
    assert accuracies["one", "changed"] == accuracies["one", "as trained"]
    changes.write_text("- {at: IT, ablate: zero}\n")
    again = compare(write(text), tmp_path / "out").table
    silent = {row.variant: row.scores for row in again if row.evaluation == "changed"}
    assert silent.keys() == {"one", "two"}
    assert all(accuracy == pytest.approx(0.1) for each in silent.values() for accuracy in each)


def test_a_run_that_fails_is_reported_and_the_others_are_carried_out(write: Write, tmp_path: Path) -> None:
    experiment = write("variants: {diverges: {settings: {lr: 1.0e+30, epochs: 3}}, trains: {}}")
    lines = list[str]()
    found = compare(experiment, tmp_path / "out", tell=lines.append)
    (failure,) = found.failures
    assert "FAILED: " in lines[0]
    assert "infinite or not a number" in lines[0]
    assert failure.run == "diverges, seed 0"
    assert "infinite or not a number" in failure.error
    assert {row.variant for row in found.table} == {"trains"}
    assert "diverges" not in (tmp_path / "out" / "table.csv").read_text()


def test_images_that_cannot_be_loaded_are_told_once_before_any_work(write: Write, tmp_path: Path) -> None:
    experiment = write("variants: {a: {}, b: {set: {time.steps: 4}}, c: {set: {input.size: 24}}}")
    with pytest.raises(DataError, match="few: this directory does not exist") as caught:
        compare(experiment, tmp_path / "out", data={"source": str(tmp_path / "few")})
    assert len(caught.value.diagnostics) == 1
    assert not (tmp_path / "out").exists()


def test_images_that_do_not_fit_some_variants_are_told_before_any_work(write: Write, tmp_path: Path) -> None:
    settings = "settings: {validation: 60}"
    experiment = write(
        f"variants: {{a: {{}}, b: {{{settings}}}, c: {{{settings}}}, d: {{set: {{readout.classes: 7}}}}}}"
    )
    with pytest.raises(DataError, match=r"b and others: settings\.validation: 60 of 60 training images") as caught:
        compare(experiment, tmp_path / "out")
    assert [finding.place for finding in caught.value.diagnostics] == [
        "b and others: settings.validation",
        "d: readout.classes",
    ]
    assert not (tmp_path / "out").exists()
    compare(write("variants: {a: {}}"), tmp_path / "out")
    with pytest.raises(DataError, match=r"^b: settings\.shift: "):
        compare(write("variants: {a: {}, b: {settings: {shift: 40}}}"), tmp_path / "out")


def test_runs_of_another_experiment_are_not_taken_for_ones_own(write: Write, tmp_path: Path) -> None:
    compare(write("variants: {a: {}}"), tmp_path / "out")
    before = stamps(tmp_path / "out")
    other = write("variants: {a: {set: {areas.V1.channels: 5}, settings: {lr: 0.1}}}")
    with pytest.raises(CortexGraphError, match=r"made with other lr, spec\.\n  Name another folder"):
        compare(other, tmp_path / "out")
    assert stamps(tmp_path / "out") == before
    assert not compare(other, tmp_path / "out", overwrite=True).failures
    assert stamps(tmp_path / "out") != before


def test_runs_that_another_experiment_has_trained_are_taken_over(write: Write, tmp_path: Path) -> None:
    compare(write("variants: {a: {}, b: {set: {areas.V1.channels: 5}}}"), tmp_path / "one")
    lines = list[str]()
    other = write(
        "variants: {c: {set: {areas.V1.channels: 5}}, d: {settings: {lr: 0.1}}}\nevaluate: {long: {steps: 5}}"
    )
    found = compare(other, tmp_path / "two", reuse=[tmp_path], tell=lines.append)
    assert lines[0] == "1 of 2 runs are trained already in other experiments"
    assert {row.evaluation for row in found.table if row.variant == "c"} == {"as trained", "long"}
    same = [tmp_path / "one/runs/b/seed-0/weights.safetensors", tmp_path / "two/runs/c/seed-0/weights.safetensors"]
    assert same[0].read_bytes() == same[1].read_bytes()


def test_a_folder_that_cannot_be_written(write: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CortexGraphError, match="file/out: it cannot be written: not a directory"):
        compare(write("seeds: [0]"), tmp_path / "file" / "out")


def test_an_unknown_engine(write: Write, tmp_path: Path) -> None:
    with pytest.raises(CortexGraphError, match="'cloud' was given, but there are here, ray, slurm"):
        compare(write("seeds: [0]"), tmp_path / "out", engine="cloud")


def test_a_folder_of_a_training_run(write: Write, tmp_path: Path) -> None:
    experiment = write("seeds: [0]")
    compare(experiment, tmp_path / "out")
    run = tmp_path / "out" / "runs" / "the_spec" / "seed-0"
    files = sorted(run.rglob("*"))
    for carry_out in (compare, prepare):
        with pytest.raises(DataError, match=r"seed-0: this is the folder of a training run\.\n  Name another folder"):
            carry_out(experiment, run)
    assert sorted(run.rglob("*")) == files


def test_two_comparisons_in_one_folder(write: Write, tmp_path: Path) -> None:
    experiment = write("seeds: [0]")
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(DataError, match="another `compare` uses this folder"):
        compare(experiment, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
    assert not compare(experiment, tmp_path / "out").failures


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("result.json", {"scores": {}}),
        ("result.json", {"scores": {"three": 0.5}}),
        ("result.json", {"scores": {"3": 7}}),
        ("result.json", {"seed": 1}),
        ("result.json", {"variant": None}),
        ("result.json", {"parameters": "many"}),
        ("result.json", {"evaluations": {}}),
        ("result.json", {"evaluations": {"late": [{"step": 3}]}}),
        ("result.json", {"seconds": float("nan")}),
        ("result.json", None),
        ("result.json", []),
        ("settings.json", {"settings": 3}),
        ("data.json", {"load_data": 3}),
        ("data.json", None),
    ],
)
def test_a_damaged_run_is_a_finding(
    finished: tuple[ExperimentSpec, Path], file: str, change: dict[str, Any] | list[Any] | None
) -> None:
    experiment, out = finished
    path = out / "runs" / "the_spec" / "seed-0" / file
    text = path.read_text()
    content = json.loads(text) | change if isinstance(change, dict) else change
    path.write_text("{" if change is None else json.dumps(content))
    with pytest.raises(DataError, match=rf"{file} (is|cannot)(.|\n)*Restore the file"):
        compare(experiment, out)
    path.write_text(text)
    assert compare(experiment, out).done_before == 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExperimentSpec, Path]:
    folder = tmp_path_factory.mktemp("finished")
    experiment = written(folder, "evaluate: {late: {steps: 4}}")
    compare(experiment, folder / "out")
    return experiment, folder / "out"


def test_a_lesion_of_a_concatenating_area(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(
        "cortexgraph: 1\nname: net\ninput: {size: 8}\nareas: {A: {channels: 4, size: 8, merge: concat}}\n"
        "connections: [image -> A, A -> A]\nreadout: {from: A, classes: 10}\ntime: {steps: 2}\n"
    )
    experiment = written(tmp_path, "evaluate: {cut: {lesion: lateral}}", net=False)
    comparison = compare(experiment, tmp_path / "out")
    assert not comparison.failures
    assert {row.evaluation for row in comparison.table} == {"as trained", "cut"}


def test_cells_that_a_spreadsheet_would_execute(write: Write, tmp_path: Path) -> None:
    comparison = compare(write('grid: {description: ["=1+2", "-1", "@x"]}'), tmp_path / "out")
    assert len(comparison.table) == 3
    lines = (tmp_path / "out" / "table.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == ["'=1+2", "-1", "'@x"]


def started(experiment: ExperimentSpec, out: Path, jobs: int) -> subprocess.Popen[bytes]:
    file = str(experiment.origin.file)
    command = [sys.executable, "-m", "cortexgraph", "compare", file, "--out", str(out), "--jobs", str(jobs)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(out: Path, results: int, process: subprocess.Popen[bytes]) -> float:
    """Wait until so many runs are finished; returns the time."""
    while len(list(out.glob("runs/*/*/result.json"))) < results:
        assert process.poll() is None, "it ended by itself"
        time.sleep(0.01)
    return time.monotonic()


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])  # each process waits for torch
def test_killed_at_a_random_moment_it_goes_on_without_repeating_what_is_finished(
    write: Write, tmp_path: Path, jobs: int
) -> None:
    experiment = write("seeds: [0, 1, 2, 3, 4, 5]\nsettings: {epochs: 3, batch_size: 10, device: cpu}")
    out = tmp_path / "out"
    process = started(experiment, out, jobs)
    first = wait_for(out, 1, process)
    run_s = max(0.05, wait_for(out, 2, process) - first)
    time.sleep(random.SystemRandom().uniform(0, 2 * run_s))
    process.kill()  # SIGKILL: it can neither clean up nor tell its workers
    assert process.wait() == -signal.SIGKILL
    time.sleep(2.0 if jobs > 1 else 0)  # workers notice that they are alone
    finished = {path: at for path, at in stamps(out).items() if (path.parent / "result.json").exists()}
    found = compare(experiment, out)
    assert not found.failures
    assert 2 <= found.done_before == len(finished) // 2 < 6
    assert len(found.table[0].scores) == 6
    assert {path: at for path, at in stamps(out).items() if path in finished} == finished


def test_runs_at_a_time_share_the_memory_for_images(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 images of 768 bytes fit into 30 kB once; a run goes on as it began, however many there are then."""
    for n in range(24):
        file = tmp_path / "images" / ("train" if n < 16 else "test") / "ab"[n % 2] / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (10 * n,) * 3).save(file)
    experiment = write(
        f"data: {{source: {tmp_path / 'images'}, memory: 30kB}}\nsettings: {{epochs: 1, batch_size: 8, device: cpu}}\n"
        "variants: {one: {set: {readout.classes: 2}}}\nseeds: [0, 1]"
    )
    runs, _ = prepare(experiment, tmp_path / "out")
    here: list[Run] = []
    with monkeypatch.context() as patch:
        patch.setattr(compare_module, "carry_out", lambda run, **options: here.append(run) or Outcome(run.name))
        assert len([*compare_module.here(runs, 2, False, {})]) == 2
    assert [run.jobs for run in here] == [2, 2]
    pair = [replace(run, jobs=jobs, data={**run.data, "workers": 0}) for run, jobs in zip(runs, (1, 2), strict=True)]
    for run, streamed in zip(pair, (False, True), strict=True):
        assert compare_module.carry_out(run).error == ""
        folder = RunFolder(run.folder)
        assert folder.read_card().streamed == streamed
        folder.summary.unlink()  # as if it had been interrupted before it ended
        assert compare_module.carry_out(replace(run, jobs=3 - run.jobs)).error == ""
        assert folder.read_card().streamed == streamed


def test_a_figure_shows_every_evaluation_and_keeps_within_100_percent(tmp_path: Path) -> None:
    """Where x is not the step: each evaluation is a line of its own, beside the networks as they were trained."""
    experiment = ExperimentSpec.model_validate(
        {"name": "e", "spec": "ventral", "variants": {"a": {}, "b": {}}, "evaluate": {"cut": {"lesion": ["IT -> V4"]}}}
    )
    table = [
        Row(variant, {"variant": variant}, evaluation, 6, True, 10, (0.99, 1.0), 1.0, True)
        for variant in ("a", "b")
        for evaluation in ("as trained", "cut")
    ]
    draw_figure(experiment, table, [tmp_path / "figure.svg"], chance=0.1)
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "figure.svg").read_text())
    assert {"as trained", "cut", "chance", "a", "b"} <= {*words}
    assert max(float(word) for word in words if word.isdigit()) == 100


def test_the_legend_of_a_grid_names_its_axes(tmp_path: Path) -> None:
    experiment = ExperimentSpec.model_validate(
        {
            "name": "e",
            "spec": "ventral",
            "grid": {"trained at": {"3": {"time.steps": 3}, "5": {"time.steps": 5}}},
            "figure": {"x": "step"},
        }
    )
    table = [
        Row(f"{steps}", {"trained at": f"{steps}"}, "as trained", step, True, 10, (0.5,), 1.0, True)
        for steps in (3, 5)
        for step in (1, 2)
    ]
    draw_figure(experiment, table, [tmp_path / "figure.svg"])
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "figure.svg").read_text())
    assert {"trained at", "3", "5"} <= {*words}
