"""The command line as a user meets it: exit codes, messages, files written whole or not at all."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cortexgraph.cli.app import app
from tests.cli.conftest import Run

SPECIMENS = Path(__file__).parents[1] / "specs" / "invalid"


def test_check_says_fine(run: Run) -> None:
    result = run("check", "ventral")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("ventral: 4 areas, 11 connections, ")


def test_check_reports_all_findings_without_a_traceback(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text((SPECIMENS / "graph" / "stride_up.yaml").read_text() + "\n")
    result = run("check", "bad.yaml", "--set", "readout.from=V9")
    assert result.code == 1
    assert result.out == ""
    assert "bad.yaml:10: connections[1] V2 -> V1: kernel 3 with stride 2 maps 8 to 4, but V1 is 16." in result.err
    assert "no area is called `V9`" in result.err
    assert "Traceback" not in result.err


def test_warnings_do_not_fail(run: Run) -> None:
    result = run("check", str(SPECIMENS / "graph" / "dead_area.yaml"))
    assert result.code == 0
    assert "warning: " in result.err
    assert result.out.endswith("fine, 1 warning.\n")


def test_drawings_of_no_format_are_refused_before_any_is_written(run: Run, tmp_path: Path) -> None:
    result = run("draw", "ventral", "-o", "a.svg", "-o", "b.xyz", "-o", "c")
    assert (result.code, result.out) == (1, "")
    assert "b.xyz: the suffix is `.xyz`" in result.err
    assert "c: the file name has no suffix" in result.err
    assert list(tmp_path.iterdir()) == []


def test_show(run: Run) -> None:
    result = run("show", "ventral", "--steps", "8")
    assert result.code == 0
    rows = [line.split() for line in result.out.splitlines()]
    numbers, fields, over_time = [row for row in rows if row[:1] == ["V2"] and row[1:2] != ["→"]]
    assert numbers[1:6] == ["1", "32", "16", "×", "16"]
    assert " ".join(fields[1:]) == "2: 7; 3: 11; 4: 19; 5: 27; 6–8: all"
    assert over_time[-5:] == ["2–6", "–", "1", "7–8", "2–6"]
    assert "V1 → V2" in result.out
    assert "ventral" in result.out.split("Totals")[1]
    assert "ResNet-18 on 224 × 224 images" in result.out


def test_show_json(run: Run) -> None:
    summary = json.loads(run("show", "ventral", "--steps", "8", "--order", "sequential", "--json").out)
    assert [area["name"] for area in summary["areas"]] == ["V1", "V2", "V4", "IT"]
    assert {area["first_response"] for area in summary["areas"]} == {1}
    assert summary["parameters"] > 0
    assert summary["macs"] == sum(step["macs"] for step in summary["steps"]) + summary["readout_macs"]
    assert summary["areas"][0]["receptive_field_px"]["1"] == [5, 5]
    assert summary["for_orientation"][0]["parameters"] == 11_689_512


def test_compile_writes_a_module(run: Run, tmp_path: Path) -> None:
    result = run("compile", "ventral", "--out", "net.py", "--record", "V4", "--record", "IT=last", "--steps", "5")
    assert (result.code, result.out) == (0, "wrote net.py\n")
    source = (tmp_path / "net.py").read_text()
    ast.parse(source)
    assert 'states["V4", 3] = V4_3' in source
    assert 'states["IT", 5] = IT_5' in source
    printed = run("compile", "ventral", "--no-pass", "prune")
    assert printed.out.startswith('"""ventral')


def test_compile_explains_what_each_pass_removes_and_rolls(run: Run, tmp_path: Path) -> None:
    result = run("compile", "ventral", "--explain", "--no-pass", "fold", "--steps", "20", "--roll", "always")
    assert result.code == 0
    words = [line.split()[0] for line in result.out.splitlines()[2:] if line[:1].isalpha()]
    assert [word for word in words if word in {"settle", "prune", "cse", "fold", "roll", "release"}] == [
        "settle", "prune", "cse", "roll", "release",
    ]  # fmt: skip
    assert "leaves out 6 silent" in " ".join(result.out.split())
    assert "of the floating-point operations for an image are saved." in result.out
    assert run("compile", "ventral", "--explain", "--out", "net.py", "--steps", "20", "--roll", "always").code == 0
    assert "for t in range(5, 18):" in (tmp_path / "net.py").read_text()
    refused = run("compile", "ventral", "--roll", "often")
    assert refused.code == 1


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf", "dot"])
@pytest.mark.parametrize("flags", [[], ["--unrolled"], ["--schedule"], ["--matrix"]])
def test_draw(run: Run, tmp_path: Path, suffix: str, flags: list[str]) -> None:
    result = run("draw", "ventral", *flags, "--steps", "4", "--out", f"picture.{suffix}")
    assert (result.code, result.out) == (0, f"wrote picture.{suffix}\n")
    assert (tmp_path / f"picture.{suffix}").stat().st_size > 1000


def test_draw_names_the_picture_after_the_spec(run: Run) -> None:
    assert run("draw", "ventral", "--unrolled").out == "wrote ventral-unrolled.svg\n"
    assert run("draw", "ventral", "--schedule").out == "wrote ventral-schedule.svg\n"
    assert run("draw", "ventral", "--matrix", "--width", "parameters").out == "wrote ventral-matrix.svg\n"


def test_a_dense_network_suggests_the_matrix(run: Run, tmp_path: Path) -> None:
    names = [f"A{n}" for n in range(8)]
    areas = {name: {"channels": 2, "size": 8} for name in names}
    links = ["image -> A0", *(f"{a} -> {b}" for a in names for b in names)]
    spec = {"name": "dense", "input": {"size": 8}, "areas": areas, "connections": links}
    spec |= {"readout": {"from": "A7", "classes": 2}, "time": {"steps": 9}}
    (tmp_path / "dense.json").write_text(json.dumps(spec))
    result = run("draw", "dense.json")
    assert (result.code, result.out) == (0, "wrote dense.svg\n")
    assert "65 connections between 8 areas: --matrix draws them more legibly." in result.err
    assert "--matrix" not in run("draw", "dense.json", "--matrix").err
    assert "--matrix" not in run("draw", "ventral").err


def test_a_picture_taller_than_a_page_says_so(run: Run) -> None:
    result = run("draw", "ventral", "--unrolled", "--steps", "12", "--fold", "never", "--width", "8.5cm")
    assert re.search(
        r"The picture is \d\d cm tall, a page 24 cm: `--fold always` .* the schedule is lower\.", result.err
    )
    assert "tall" not in run("draw", "ventral", "--width", "8.5cm").err


def test_between_needs_two_places(run: Run) -> None:
    result = run("draw", "ventral", "--between", "V1@2", "-o", "x.svg")
    assert result.code == 2
    assert result.err.startswith("--between: 2 values are needed.\n  Write `--between A B@8`")


def test_draw_with_labels_widths_focus_and_folding(run: Run, tmp_path: Path) -> None:
    assert run("draw", "ventral", "--labels", "kernel, delay", "--width", "parameters", "-o", "a.dot").code == 0
    assert "147 k" not in re.sub(r"legend.*", "", (tmp_path / "a.dot").read_text())
    assert run("draw", "ventral", "--labels", "all", "-o", "a.dot").code == 0
    assert "147 k" in (tmp_path / "a.dot").read_text()
    for focus in (["--upstream", "V4@3"], ["--downstream", "V2@2"], ["--between", "image", "IT@6"]):
        assert run("draw", "ventral", *focus, "-o", "b.dot").code == 0
        assert f"{focus[0][2:]}" in (tmp_path / "b.dot").read_text()
    assert run("draw", "ventral", "--steps", "20", "--fold", "never", "-o", "c.dot").code == 0
    assert "step 9" in (tmp_path / "c.dot").read_text()


def test_new_check_and_never_overwrite(run: Run, tmp_path: Path) -> None:
    assert run("new", "mine.yaml").code == 0
    assert run("check", "mine.yaml").code == 0
    (tmp_path / "mine.yaml").write_text("precious")
    result = run("new", "mine.yaml")
    assert result.code == 1
    assert "mine.yaml: the file exists" in result.err
    assert (tmp_path / "mine.yaml").read_text() == "precious"
    for name in ("mine.txt", "", ".yaml"):
        assert ", but .yaml is written.\n  Write " in run("new", name).err
    assert "a name has at most 64" in run("new", "a" * 300 + ".yaml").err


def test_zoo_and_schema(run: Run) -> None:
    assert "ventral" in run("zoo").out
    assert json.loads(run("schema").out)["title"] == "NetworkSpec"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "ventrl"], "Did you mean `ventral`?"),
        (["check", "missing.yaml"], "missing.yaml"),
        (["show", "ventral", "--set", "time.stepz=3"], "Did you mean `steps`?"),
        (["show", "ventral", "--steps", "2"], "IT first responds at step 4"),
        (["draw", "ventral", "--out", "no/such/folder.svg"], "cannot be written"),
        (["draw", "ventral", "--out", "picture.gif"], "picture.gif"),
        (["draw", "ventral", "--upstream", "V9@3"], "no area is called `V9`"),
        (["draw", "ventral", "--upstream", "V4@99"], "the network runs for 6 steps"),
        (["draw", "ventral", "--downstream", "IT@1"], "IT first responds at step 4"),
        (["draw", "ventral", "--between", "IT@5", "V1@5"], "nothing of IT@5 reaches V1@5"),
        (["draw", "ventral", "--width", "strength"], "no connection of ventral notes a strength"),
        (
            ["draw", "ventral", "--width", "weight"],
            "the choices are `parameters`, `strength` and a printed width such as `8.5cm`",
        ),
        (
            ["draw", "ventral", "--unrolled", "--width", "strength"],
            "`strength` was given, but the choices are a printed width such as `8.5cm`",
        ),
        (["draw", "ventral", "--unrolled", "--width", "2cm"], "Give a width of 4.8 cm or more."),
        (["draw", "ventral", "--labels", "kernels"], "Did you mean `kernel`?"),
        (["draw", "ventral", "--fold", "often"], "the choices are `auto`, `always` and `never`"),
        (["compile", "ventral", "--out", "no/such/folder.py"], "cannot be written"),
        (["compile", "ventral", "--record", "V5"], "no area is called `V5`"),
        (
            ["compile", "ventral", "--record", "V4=often"],
            "--record V4=often: `often` was given, but the choices are `all`",
        ),
        (["compile", "ventral", "--record", "V4=" + "9" * 5000], "was given"),
        (
            ["compile", "ventral", "--no-pass", "shrink", "--no-pass", "xyz"],
            "--no-pass: `xyz` was given, but the choices",
        ),
        (["compile", "ventral", "--no-pass", "prun"], "Did you mean `prune`?"),
        (["compile", "ventral", "--explain", "--memory-format", "rows"], "--memory-format: `rows` was given"),
        (["compile", "ventral", "--memory-format", "sparse"], "the choices are `channels_last` and `contiguous`"),
    ],
)
def test_bad_input_is_one_clear_message_and_exit_code_1(
    run: Run, tmp_path: Path, words: list[str], message: str
) -> None:
    result = run(*words)
    assert result.code == 1
    assert result.out == ""
    assert message in result.err
    assert "Traceback" not in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["chek", "ventral"],
        ["check"],
        ["draw", "ventral", "--colour", "red"],
        ["draw", "ventral", "--matrix", "--unrolled"],
        ["draw", "ventral", "--upstream", "V4@3", "--downstream", "V2@2"],
        ["draw", "ventral", "--matrix", "--labels", "all"],
        ["draw", "ventral", "--schedule", "--upstream", "V4@3"],
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, words: list[str]) -> None:
    assert run(*words).code == 2


@pytest.mark.parametrize("command", [str(command.name) for command in app.registered_commands])
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert f"cortexgraph {command}" in result.out.split("Usage", 1)[1].split("\n", 1)[1]


def test_a_terminal_without_the_signs_of_mathematics(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "cortexgraph", "show", "ventral"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    result = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert (result.returncode, result.stderr) == (0, "")


def test_as_a_module() -> None:
    words = [sys.executable, "-m", "cortexgraph", "--version"]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("cortexgraph ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "train ventral --lr fast",
            "--lr: `fast` was given, but it must be a number.\n  See `cortexgraph train --help`",
        ),
        (
            "predict x.png --top 0",
            "--top: `0` was given, but it must be at least 1.\n  See `cortexgraph predict --help`",
        ),
        ("train ventral --epochs 1.5", "--epochs: `1.5` was given, but it must be a whole number"),
        ("show", "SPEC: this argument is missing.\n"),
        ("show ventral --stepz 3", "cortexgraph show: no such option: --stepz.\n  Did you mean --steps?"),
        ("shw", "cortexgraph: no such command 'shw'.\n  Did you mean 'show'?"),
        ("draw ventral --matrix --schedule", "--schedule and --matrix: choose one picture.\n"),
        ("train ventral --epochs", "--epochs: the value is missing.\n"),
    ],
)
def test_wrong_usage_has_the_form_of_every_finding(run: Run, words: str, said: str) -> None:
    result = run(*words.split())
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(said) or f": {said}" in result.err
    assert result.err.endswith("    [usage]\n")


def test_an_interruption_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cortexgraph.cli.options.load_spec", interrupted)
    result = run("show", "ventral")
    assert (result.code, result.err) == (130, "Interrupted: nothing was written that is not whole.\n")
