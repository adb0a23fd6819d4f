"""Pipes, full disks, narrow terminals, odd environment variables, odd arguments."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cortexgraph.cli.tables import print_table
from cortexgraph.spec import load, save, zoo
from tests.cli.conftest import Run


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `cortexgraph` is the command; it has no COLUMNS."""
    line = f'set -o pipefail; cortexgraph() {{ {sys.executable} -m cortexgraph "$@"; }}; {command}'
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=folder, env=kept)


@pytest.mark.parametrize("command", ["show ventral", "compile ventral", "schema"])
def test_a_reader_that_goes_ends_the_command_well(tmp_path: Path, command: str) -> None:
    done = shell(f"cortexgraph {command} | head -c 1", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "command", ["check ventral", "show ventral", "show ventral --json", "compile ventral", "--help"]
)
def test_a_full_disk_is_a_finding(tmp_path: Path, command: str) -> None:
    done = shell(f"cortexgraph {command} > /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (1, "standard output: No space left on device.    [unwritable]\n")


def test_no_standard_output_at_all(tmp_path: Path) -> None:
    done = shell("cortexgraph check ventral >&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_names_are_whole_in_a_pipe_and_at_80_columns(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped = shell("cortexgraph zoo", tmp_path).stdout.splitlines()
    rows = [line.split()[0] for line in piped if line[:1].isalpha()][2:]
    assert [*zoo()] == [row for row in rows if row in zoo()]
    monkeypatch.setenv("COLUMNS", "80")
    narrow = run("zoo").out.splitlines()
    names = [line.split()[0] for line in narrow if re.match(r"[a-z]\S+ +\d", line)]
    assert names == [*zoo()]
    assert max(map(len, narrow[:-3])) <= 80


def test_names_of_areas_are_whole_at_80_columns(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = run("show", "macaque_hierarchy").out
    for area in load("macaque_hierarchy").areas:
        assert re.search(rf"^{re.escape(area)} ", out, re.MULTILINE)


ODD = {
    "LOCAL_RANK": "abc", "SOURCE_DATE_EPOCH": "abc", "SLURM_NTASKS": "x", "SLURM_PROCID": "", "WORLD_SIZE": "1.5",
}  # fmt: skip


def test_odd_environment_variables_are_findings_before_any_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ODD.items():
        monkeypatch.setenv(name, value)
    for command in ("train ventral", "eval run", "predict cat.jpg", "record run -o a.npz", "export run -o a.onnx"):
        result = run(*command.split())
        assert (result.code, result.out) == (1, "")
        for name, value in ODD.items():
            assert f"{name}: `{value}` is set, but it must be a whole number.\n  Run: unset {name}" in result.err
    assert list(tmp_path.iterdir()) == []
    assert run("check", "ventral").code == 0


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "9" * 30])
def test_a_bad_date_does_not_end_the_process_that_draws(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    result = run("draw", "ventral", "-o", "a.pdf")
    assert result.code == 1
    assert f"SOURCE_DATE_EPOCH: `{value}` is set, but it must be a whole number" in result.err
    assert list(tmp_path.iterdir()) == []


def test_tasks_of_slurm_that_cannot_train_are_a_finding(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NUM_TASKS": "3", "NUM_NODES": "2", "TASKS_PER_NODE": "2,1"}.items():
        monkeypatch.setenv(f"SLURM_STEP_{name}", value)
    result = run("train", "ventral", "--train-images", "10", "--test-images", "10", "--device", "cpu", "--quiet")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("nodes: srun started 2,1 tasks on 2 nodes")
    assert list(tmp_path.glob("runs/*/settings.json")) == []


@pytest.mark.parametrize("value", ["abc", "", "-1", "0", "100000000"])
@pytest.mark.parametrize("name", ["COLUMNS", "OMP_NUM_THREADS", "LINES", "TERM", "PYTHONHASHSEED", "NO_COLOR"])
def test_other_variables_do_not_matter(run: Run, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert run("show", "ventral").code == 0


DIGITS = "9" * 5000
LONG = "n" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["train", "ventral", "--lr", "1e400"],
        ["train", "ventral", "--lr", "nan"],
        ["train", "ventral", "--lr", "-1e300"],
        ["train", "ventral", "--epochs", DIGITS],
        ["train", "ventral", "--seed", DIGITS],
        ["train", "ventral", "--lr", DIGITS],
        ["train", "ventral", "--train-images", DIGITS],
        ["train", "ventral", "--data", LONG],
        ["train", "ventral", "--out", LONG],
        ["check", LONG],
        ["check", DIGITS],
        ["check", "ventral", "--set", f"time.steps={DIGITS}"],
        ["check", "ventral", "--set", f"time.steps={'9' * 300}"],
        ["check", "ventral", "--set", f"name={LONG}"],
        ["check", "ventral", "--set", f"areas.{LONG}.channels=3"],
        ["check", "ventral", "--order", f"[{LONG}]"],
        ["check", "ventral", "--order", DIGITS],
        ["draw", "ventral", "-o", f"{LONG}.svg"],
        ["draw", "ventral", "--upstream", f"V4@{DIGITS}"],
        ["draw", "ventral", "--upstream", LONG],
        ["page", LONG],
        ["page", "ventral", "-o", f"{LONG}.html"],
        ["compile", "ventral", "-o", f"{LONG}.py"],
        ["compile", "ventral", "--record", f"V4={DIGITS}"],
        ["compile", "ventral", "--record", LONG],
        ["eval", LONG],
        ["eval", "ventral-cifar10", "--batch-size", DIGITS],
        ["predict", LONG],
        ["predict", "a.jpg", "--top", DIGITS],
        ["record", LONG, "-o", "a.npz"],
        ["export", LONG, "-o", "a.onnx"],
        ["compare", LONG],
        ["zoo", LONG],
        ["new", f"{LONG}.yaml"],
        ["schema", "-o", LONG],
        ["import", "connectome", LONG, "-o", "a.yaml"],
        ["import", "connectome", "areas.csv", "-o", "a.yaml", "--dt", "1e300"],
        ["import", "connectome", "areas.csv", "-o", "a.yaml", "--velocity", "1e300", "--dt", "nan"],
        ["import", "connectome", "areas.csv", "-o", "a.yaml", "--min-weight", "nan"],
        ["import", "connectome", "areas.csv", "-o", "a.yaml", "--channels", DIGITS],
        ["import", "connectome", "areas.csv", "-o", "a.yaml", "--size", "99999999999999999999"],
        ["import", "connectome", "areas.csv", "-o", "a.yaml", "--name", LONG],
    ],
    ids=lambda words: " ".join(word[:24] for word in words),
)
def test_absurd_numbers_and_names_are_findings(run: Run, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "areas.csv").write_text("source,target,weight,sln,distance\nV1,V2,0.7,0.9,5\nV2,V1,0.3,0.1,5\n")
    result = run(*words)
    assert result.code in {1, 2}, result.out
    assert "Traceback" not in result.err
    assert len(result.err) < 4000
    assert [path.name for path in tmp_path.iterdir()] == ["areas.csv"]


SURROGATE = "V\udcff"


@pytest.mark.parametrize(
    "words",
    [
        ["check", SURROGATE],
        ["check", "ventral", "--set", f"name={SURROGATE}"],
        ["check", "ventral", "--set", f"areas.{SURROGATE}.size=3"],
        ["check", "ventral", "--order", f"[{SURROGATE}]"],
        ["compile", "ventral", "--set", f"description={SURROGATE}"],
        ["compile", "ventral", "--record", SURROGATE],
        ["compile", "ventral", "--no-pass", SURROGATE],
        ["draw", "ventral", "-o", SURROGATE],
        ["draw", "ventral", "--upstream", SURROGATE],
        ["draw", "ventral", "--labels", SURROGATE],
        ["page", SURROGATE],
        ["eval", SURROGATE],
        ["predict", SURROGATE],
        ["predict", "a.jpg", "--weights", SURROGATE],
        ["record", SURROGATE, "-o", "a.npz"],
        ["record", "ventral-cifar10", "-o", SURROGATE],
        ["export", "ventral-cifar10", "-o", SURROGATE],
        ["train", "ventral", "--data", SURROGATE],
        ["train", "ventral", "--out", SURROGATE],
        ["compare", SURROGATE],
        ["zoo", SURROGATE],
        ["new", SURROGATE],
        ["import", "connectome", SURROGATE, "-o", "a.yaml"],
        ["import", "connectome", "areas.csv", "-o", "a.yaml", "--name", SURROGATE],
        ["import", "connectome", "areas.csv", "-o", "a.yaml", "--input", SURROGATE],
    ],
    ids=lambda words: " ".join(word.encode(errors="replace").decode() for word in words),
)
def test_bytes_that_are_no_text_are_findings(run: Run, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "areas.csv").write_text("source,target,weight,sln\nV1,V2,0.7,0.9\nV2,V1,0.3,0.1\n")
    result = run(*words)
    assert (result.code, result.out) == (1, "")
    assert "Traceback" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["areas.csv"]


@pytest.mark.parametrize("name", ["[bold]a.svg", "[cat].svg"])
def test_odd_names_of_files_are_written_and_printed(run: Run, tmp_path: Path, name: str) -> None:
    save(load("cornet_z"), tmp_path / "z.yaml")
    result = run("draw", "z.yaml", "-o", name)
    assert result.code == 0, result.err
    assert (tmp_path / name).exists()


def test_a_narrow_terminal_cuts_no_name_and_no_unit() -> None:
    env = os.environ | {"COLUMNS": "40"}
    command = [sys.executable, "-m", "cortexgraph", "show", "ventral"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
    for name in ("V1", "V2", "V4", "IT"):
        assert re.search(rf"^{name} ", shown, re.MULTILINE)
    assert "65.5 kB" in shown
    assert "parameters" in shown
    assert "feedforward" in shown
    tables = [line.rstrip() for line in shown.split("Totals, for one image")[0].splitlines()]
    assert max(map(len, tables)) <= 40
    assert "Connections, continued" in tables


def test_a_title_is_never_broken(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    title = f"pictures/{'very ' * 30}long.png: cat"
    print_table(title, ["class", "step 4>r"], [("cat", "99.0%")])
    assert capsys.readouterr().out.splitlines()[0] == title
