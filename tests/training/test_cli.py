"""`cortexgraph train` and `cortexgraph eval`, on a folder of tiny images."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from cortexgraph.cli import train as train_command
from cortexgraph.cli.options import located
from cortexgraph.errors import CortexGraphError
from cortexgraph.registrations import VARIABLE
from cortexgraph.spec import NetworkSpec, save
from cortexgraph.training import RunFolder, TrainSettings, job

from .conftest import run, striped_images, tiny_spec
from .test_resume import assert_equal_runs, interrupt_after

SHORT = ["--epochs", "1", "--batch-size", "16", "--device", "cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec and a data set of images."""
    folder = tmp_path_factory.mktemp("place")
    save(tiny_spec(), folder / "tiny.yaml")
    for split, count in (("train", 24), ("test", 12)):
        images = striped_images(count, seed=len(split))
        for index, (image, label) in enumerate(zip(images.images, images.labels.tolist(), strict=True)):
            file = folder / "stripes" / split / f"class{label}" / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(file)
    return folder


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def words(place: Path, *more: object) -> list[object]:
    return ["train", place / "tiny.yaml", "--data", place / "stripes", *SHORT, *more]


def test_train_then_eval(place: Path, workplace: Path) -> None:
    done = run(*words(place))
    assert done.exit_code == 0, done.output
    assert "Run:  runs/tiny-stripes" in done.output
    assert "cortexgraph eval runs/tiny-stripes --at all" in done.output
    assert re.search(r"\n *4 +\d+\.\d\d% +\d+\.\d\d%\n", done.output)

    evaluated = run("eval", "runs/tiny-stripes", "--at", "all", "--steps", 6, "--csv", "t.csv", "--plot", "t.svg")
    assert evaluated.exit_code == 0, evaluated.output
    table = (workplace / "t.csv").read_text().splitlines()
    assert table[0] == "step,accuracy,cross_entropy,trained,read_in_training"
    assert [row.split(",")[-1] for row in table[1:]] == ["1", "1", "1", "0", "0"]
    assert "Training read steps 2–4 alone" in evaluated.output
    assert [row.split(",")[0] for row in table[1:]] == ["2", "3", "4", "5", "6"]
    assert (workplace / "t.svg").read_text().startswith("<?xml")
    last = json.loads((workplace / "runs/tiny-stripes/summary.json").read_text())["accuracy"]["4"]
    assert f" {last:.2%} " in evaluated.output
    assert "6 test images" in run("eval", "runs/tiny-stripes", "--images", 6).output

    assert "runs/tiny-stripes-2" in run(*words(place)).output  # the first is left alone


def test_options_reach_the_run(place: Path, workplace: Path) -> None:
    done = run(
        *words(place, "--out", "r", "--optimizer", "adamw", "--lr", "0.01", "--weight-decay", "0.1", "--seed", "5"),
        *("--schedule", "cosine", "--label-smoothing", "0.1", "--loss-over", "last", "--clip", "1", "--no-augment"),
        *("--precision", "bf16", "--set", "areas.V1.channels=5", "--steps", "3", "--order", "sequential", "--quiet"),
        *("--train-images", "18", "--test-images", "9"),
    )
    assert done.exit_code == 0, done.output
    assert done.output == ""
    settings = json.loads((workplace / "r/settings.json").read_text())["settings"]
    expected = {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.1, "seed": 5, "schedule": "cosine", "clip": 1.0}
    assert expected.items() <= settings.items()
    assert (settings["label_smoothing"], settings["loss_over"], settings["precision"]) == (0.1, "last", "bf16")
    assert settings["augment"] is False
    data = json.loads((workplace / "r/data.json").read_text())
    assert (data["train_images"], data["test_images"]) == (18, 9)
    text = (workplace / "r/spec.yaml").read_text()
    assert "sequential" in text
    assert list(json.loads((workplace / "r/summary.json").read_text())["accuracy"]) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "readout.classes=7"], r"declares 7, but the data has 3 classes\.\n  Give --set readout\.classes=3"),
        (["--data", "shape"], "`shape` is neither a known data set nor a directory"),
        (["--lr", "0"], r"--lr: 0\.0 was given"),
        (["--resume", "--out", "nothing"], "there is no run here to resume"),
        (["--set", "areas.V9.channels=3"], "V9"),
    ],
)
def test_findings_leave_nothing_behind(place: Path, workplace: Path, arguments: list[str], message: str) -> None:
    done = run(*words(place, *arguments))
    assert isinstance(done.exception, CortexGraphError)  # `main` prints it and exits with 1
    assert re.search(message, str(done.exception))
    assert [path.name for path in workplace.iterdir() if path.name != "cache"] == []


def test_a_run_to_start_from_that_is_not_there(workplace: Path) -> None:
    done = run("train", "--from", "runs/nothere")
    assert isinstance(done.exception, CortexGraphError)
    assert str(done.exception).startswith("runs/nothere: this does not exist, ")


@pytest.mark.parametrize(
    "arguments", [["train"], ["train", "tiny.yaml", "--resume"], ["train", "--epochs", "x"], ["eval"]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_eval_of_nothing() -> None:
    done = run("eval", "nothing")
    assert "this folder does not exist" in str(done.exception)


def test_eval_needs_data_for_a_run_made_in_python(finished: Path) -> None:
    assert "Give --data: a name such as cifar10" in str(run("eval", finished).exception)
    assert "its 10 classes are" in str(run("eval", finished, "--data", "shapes").exception)


def test_plot_of_unknown_kind(finished: Path, place: Path) -> None:
    done = run("eval", finished, "--data", place / "stripes", "--plot", "x.docx")
    assert "the suffix is not .png, .svg or .pdf" in str(done.exception)


def test_files_to_write_are_checked_before_the_evaluation(finished: Path, place: Path) -> None:
    done = run("eval", finished, "--data", place / "stripes", "--csv", "no/t.csv", "--plot", "no/t.svg")
    assert str(done.exception).count("the folder no does not exist") == 2
    assert done.output == ""


def test_eval_finds_the_same_images_however_they_are_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(*words(place, "--out", "r", "--test-images", "6", "--quiet")).exit_code == 0
    here = Path.cwd()
    monkeypatch.chdir(place)
    for data in ([], ["--data", "stripes"], ["--data", place / "stripes"]):
        assert "6 test images" in run("eval", here / "r", *data).output


def test_recipes(place: Path, workplace: Path, no_pictures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file, with options over it; a resumed run has it in its settings."""
    (workplace / "mine.yaml").write_text("epochs: 3\noptimizer: sgd\nlr: 0.05\nflip: alternating\n")
    words_of = ["train", place / "tiny.yaml", "--data", place / "stripes", "--batch-size", "8", "--device", "cpu"]
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_epoch_end", 1)
        assert run(*words_of, "--recipe", "mine.yaml", "--epochs", "2", "--out", "r").exit_code == 130
    stored = json.loads((workplace / "r/settings.json").read_text())["settings"]
    assert [stored[name] for name in ("recipe", "epochs", "lr", "momentum")] == ["mine.yaml", 2, 0.05, 0.9]
    other = run("train", "--resume", "--out", "r", "--recipe", "strong")
    assert "--recipe: it is strong now, but the run was started with mine.yaml" in str(other.exception)
    (workplace / "mine.yaml").unlink()
    assert run("train", "--resume", "--out", "r").exit_code == 0


def test_bad_recipes_write_nothing(place: Path, workplace: Path) -> None:
    (workplace / "mine.yaml").write_text("epochs: 3\nlearning_rate: 0.05\n")
    bad = run(*words(place, "--recipe", "mine.yaml", "--lr", "-1", "--out", "r"))
    assert "mine.yaml:2: learning_rate: this is not a setting" in str(bad.exception)
    assert "--lr: -1.0 was given" in str(bad.exception)
    large = run(*words(place, "--shift", "8", "--out", "r"))
    assert "--shift: 8 was given, but images of 8 × 8 pixels allow at most 7" in str(large.exception)
    assert not (workplace / "r").exists()


def test_a_folder_named_as_a_data_set_does_not_hide_it(workplace: Path) -> None:
    (workplace / "shapes").mkdir()
    assert located("shapes") == "shapes"
    assert located("./shapes") == str(workplace / "shapes")


@pytest.mark.parametrize("command", ["train", "eval"])
def test_help_has_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"Example: cortexgraph {command} " in " ".join(done.output.split())


def test_help_gives_the_defaults_in_force() -> None:
    text = " ".join(re.sub(r"[│\n]", " ", run("train", "--help").output).split())
    fields = TrainSettings.model_fields
    for name in (
        "epochs",
        "batch_size",
        "optimizer",
        "schedule",
        "loss_over",
        "seed",
        "precision",
        "device",
        "devices",
    ):
        option = "--" + name.replace("_", "-")
        told = re.search(rf"{option} ((?!--).)*?\[default: \((.*?)\)\]", text)
        assert told is not None, option
        assert told[2] == str(fields[name].default), option


def test_of_two_at_once_one_trains_and_the_other_is_refused(place: Path, workplace: Path) -> None:
    with RunFolder("r").locked():
        refused = run(*words(place, "--out", "r"))
    assert "r: another process is training in this folder.\n  Wait until it has ended" in str(refused.exception)
    assert [path.name for path in (workplace / "r").iterdir()] == [".run.lock"]
    assert run(*words(place, "--out", "r", "--quiet")).exit_code == 0  # the file of the lock is in nobody's way


# ---- Ctrl-C ---------------------------------------------------------------------


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cortexgraph", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_rows(table: Path, rows: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 240  # imports take long on a busy machine
    while time.monotonic() < until and process.poll() is None:
        if table.exists() and len(table.read_text().splitlines()) > rows:
            return
        time.sleep(0.01)
    pytest.fail(f"no row {rows}: {process.communicate()}")


def test_ctrl_c_leaves_a_resumable_run(place: Path, workplace: Path) -> None:
    arguments = words(place, "--epochs", "400", "--out", "r", "--lr", "0.01")
    process = start(*arguments)
    wait_for_rows(workplace / "r/metrics.csv", 2, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert re.fullmatch(
        r"\nStopping after this batch; once more to stop at once\.\n"
        r"Stopped after \d+ of 400 epochs; they are saved\. "
        r"Resume with: cortexgraph train --resume --out r\n",
        err,
    ), err
    done = int(re.findall(r"after (\d+) of", err)[0])
    assert len([line for line in out.splitlines() if line.startswith("epoch ")]) == done
    assert len((workplace / "r/metrics.csv").read_text().splitlines()) == done + 1
    assert not (workplace / "r/summary.json").exists()


def test_resumed_command_needs_only_the_folder(place: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--epochs", "3", "--optimizer", "adamw", "--seed", "4", "--steps", "5")
    assert run(*words(place, *options, "--out", "whole")).exit_code == 0
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_epoch_end", 1)
        stopped = run(*words(place, *options, "--out", "r"))
    assert stopped.exit_code == 130
    assert "Resume with: cortexgraph train --resume --out r" in stopped.output
    command = json.loads((workplace / "r/settings.json").read_text())["command"]
    changed = run("train", "--resume", "--out", "r", "--seed", "5")
    assert "--seed: it is 5 now, but the run was started with 4" in str(changed.exception)
    resumed = run("train", "--resume", "--out", "r")
    assert resumed.exit_code == 0, resumed.output
    assert_equal_runs(workplace / "whole", workplace / "r")
    assert json.loads((workplace / "r/summary.json").read_text())["command"] == command


def test_ctrl_c_while_drawing(
    place: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(spec: NetworkSpec) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job, "draw", interrupted)
        stopped = run(*words(place, "--out", "a run"))
    assert stopped.exit_code == 130
    assert stopped.output == "Stopped. Resume with: cortexgraph train --resume --out 'a run'\n"
    with monkeypatch.context() as patch:  # of several processes the first one says it
        patch.setenv("SLURM_PROCID", "1")
        train_command._exit(KeyboardInterrupt(), RunFolder("a run"))
    assert capsys.readouterr().err == ""
    with monkeypatch.context() as patch:  # what was imported is named again
        patch.setenv(VARIABLE, os.pathsep.join(["/my own.py", "json"]))
        train_command._exit(KeyboardInterrupt(), RunFolder("a run"))
    assert capsys.readouterr().err.endswith(" --out 'a run' --import '/my own.py' --import json\n")
    assert run("train", "--resume", "--out", "a run").exit_code == 0
    assert (workplace / "a run/areas.svg").exists()


@pytest.mark.parametrize(
    ("lost", "message"), [("spec.yaml", "Start it again without --resume."), ("checkpoints", None)]
)
def test_resuming_what_was_killed_early(
    place: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch, no_pictures: None, lost: str, message: str | None
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_start", 1)
        assert run(*words(place, "--out", "r")).exit_code == 130
    path = workplace / "r" / lost
    path.rmdir() if path.is_dir() else path.unlink()
    done = run("train", "--resume", "--out", "r")
    assert (message in str(done.exception)) if message else (done.exit_code == 0)


def test_validation_freezing_fine_tuning_and_extending(place: Path, workplace: Path) -> None:
    done = run(*words(place, "--out", "first", "--validation", "0.25", "--freeze", "V1, IT", "--freeze", "V1 -> V1"))
    assert done.exit_code == 0, done.output
    assert "validation and" in done.output
    assert "frozen: V1, IT, V1 -> V1; their running statistics" in done.output
    assert re.search(r"epoch 1/1  loss: train \S+, validation \S+  accuracy: train \S+%, validation \S+%", done.output)
    assert re.search(r"readout step +test accuracy, epoch 1 +validation accuracy, best epoch \(1\)", done.output)
    tuned = run("train", "--from", "first", "--data", place / "stripes", "--out", "second", *SHORT)
    assert tuned.exit_code == 0, tuned.output
    assert "tiny starts from the weights of first\n" in tuned.output
    longer = run("train", "--extend", "2", "--out", "second")
    assert longer.exit_code == 0, longer.output
    assert "the schedule of the learning rate starts again after epoch 1\n" in longer.output
    assert [line.split("  ")[0] for line in longer.output.splitlines() if line.startswith("epoch")] == [
        "epoch 2/3",
        "epoch 3/3",
    ]
    assert "Run:  second  (" in longer.output
    command = json.loads((workplace / "second/settings.json").read_text())["command"]
    assert command.count("&&") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--extend", "2"], "--extend needs the folder of the run"),
        (["--extend", "2", "--out", "r", "--from", "other"], "leave out --from"),
        (["--resume", "--out", "r", "--from", "other"], "leave out --from"),
        (["--extend", "2", "--out", "r"], "there is no run here to extend"),
        (["--from", "nothing/here", "tiny.yaml"], "this does not exist"),
        (["--from", "nothing"], "this folder does not exist"),
        (["tiny.yaml", "--validation", "2.5"], "it must be a whole number of images, or a share below 1"),
        (["tiny.yaml", "--validation", "36"], "--validation: 36 of 24 training images would be set aside"),
        (["tiny.yaml", "--freeze", "V7"], "freeze V7: no part of the network has this name"),
    ],
)
def test_what_a_run_cannot_go_on_with(place: Path, workplace: Path, arguments: list[str], message: str) -> None:
    given = [place / "tiny.yaml" if word == "tiny.yaml" else word for word in arguments]
    done = run("train", *given, *([] if "--resume" in given else ["--data", place / "stripes"]))
    assert done.exit_code in (1, 2), done.output
    text = " ".join(f"{done.output} {done.exception}".replace("│", " ").split())
    assert message in text
    assert [*workplace.iterdir()] == [path for path in [workplace / "cache"] if path.exists()]
