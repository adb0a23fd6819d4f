"""Wrong usage: everything that is wrong with a command line at once, with what was probably meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cortexgraph.extras import explained
from tests.cli.conftest import Run

SPEC = """name: a
input: {size: 8}
areas: {V1: {channels: 2, size: 8}}
connections: [image -> V1]
readout: {from: V1, classes: 2}
time: {steps: 2}
"""
EXPERIMENT = "name: e\nspec: ventral\nvariants: {short: {set: {time.steps: 4}}}\n"


def test_all_unknown_options_at_once(run: Run) -> None:
    result = run("train", "ventral", "--epoch", "3", "--learning-rate=0.1", "--batch_size", "4", "--lr", "1")
    assert result.code == 2
    assert result.err.splitlines() == [
        "cortexgraph train: no such option: --epoch.",
        "  Did you mean --epochs?    [usage]",
        "cortexgraph train: no such option: --learning-rate.",
        "  Did you mean --lr?    [usage]",
        "cortexgraph train: no such option: --batch_size.",
        "  Did you mean --batch-size?    [usage]",
    ]


@pytest.mark.parametrize("after", [(), ("--steps", "4"), ("--steps=4",), ("-o", "x.svg")])
@pytest.mark.parametrize(
    ("command", "option", "metavar"),
    [
        ("eval r", "--tta", "none|mirror|mirror+shift"),
        ("record r --out x.nc", "--plots", "png|svg|pdf"),
        ("draw ventral", "--upstream", "V4@3"),
        ("train ventral", "--epochs", "N"),
        ("compile ventral", "--out", "FILE"),
        ("import weights c.pth", "--spec", "SPEC"),
    ],
)
def test_a_missing_value_is_said_at_its_option(
    run: Run, command: str, option: str, metavar: str, after: tuple[str, ...]
) -> None:
    result = run(*command.split(), option, *after)
    words = command.partition(" r")[0] if command.startswith(("eval", "record")) else command
    name = " ".join(words.split()[: 2 if words.startswith("import") else 1])
    assert result.code == 2
    assert (
        f"{option}: the value is missing.\n  Write `{option} {metavar}`; see `cortexgraph {name} --help`." in result.err
    )


def test_a_missing_package_is_said_in_a_line(tmp_path: Path) -> None:
    """What the command line itself needs, what a command needs, and what ours lacks, which is a defect of ours."""
    for module, found in (("typer", "typer is not installed"), ("networkx", "networkx is not installed")):
        code = f"import sys; sys.modules[{module!r}] = None; sys.argv[1:] = ['show', 'ventral']\n"
        code += "from cortexgraph.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"{found}.\n  Run: pip install cortexgraph-compiler    [missing-extra]\n"
    own = ModuleNotFoundError("No module named 'cortexgraph.lost'", name="cortexgraph.lost")
    assert explained(own) is own


def test_numbers_of_steps_and_records_in_other_forms(run: Run) -> None:
    assert "it is the number of steps T, a whole number" in run("check", "ventral", "--steps", "2.5").err
    assert "Write --record IT=3." in run("compile", "ventral", "--record", "IT:3").err


def test_a_column_that_would_be_empty_is_left_out(run: Run) -> None:
    assert "FLOP/batch" not in run("compile", "ventral", "--explain").out


def test_a_run_that_is_not_there_is_missed_before_torch_is_imported(tmp_path: Path) -> None:
    words = ["train", "--resume", "--out", str(tmp_path / "no")]
    code = f"import sys; sys.argv[1:] = {words}\nfrom cortexgraph import cli\ntry: cli.main()\n"
    code += "finally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "False\n")
    assert "there is no run here to resume" in done.stderr


def test_an_argument_after_two_dashes_is_no_option(run: Run) -> None:
    result = run("check", "--", "--nothing")
    assert "No such option" not in result.err
    assert result.code == 1


def test_settings_that_were_typed_are_named_as_options(run: Run) -> None:
    result = run("train", "ventral", "--batch-size", "0", "--optimizer", "adam", "--out", "r")
    assert result.code == 1
    assert "--batch-size: 0 was given, but it must be at least 1." in result.err
    assert "--optimizer: 'adam' was given" in result.err
    assert "settings." not in result.err


@pytest.mark.parametrize("name", ["spec", "experiment"])
def test_a_spec_is_no_experiment_and_an_experiment_no_spec(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "f.yaml").write_text(SPEC if name == "spec" else EXPERIMENT)
    result = run("compare", "f.yaml", "--dry-run") if name == "spec" else run("check", "f.yaml")
    assert result.code == 1
    (first, second) = result.err.splitlines()
    other = "an experiment" if name == "spec" else "a spec"
    this = "a spec" if name == "spec" else "an experiment"
    assert first == f"f.yaml:1: this is {this}, but {other} is needed."
    assert "`cortexgraph train f.yaml`" in second or "`cortexgraph compare f.yaml`" in second


def test_a_zoo_spec_is_no_experiment(run: Run) -> None:
    result = run("compare", "ventral")
    assert result.code == 1
    assert "name it in an experiment file, under `spec: ventral`" in result.err


def test_one_of_a_kind_is_no_plural(run: Run, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(SPEC)
    assert run("check", "f.yaml").out == "a: 1 area, 1 connection, 2 steps: fine.\n"
