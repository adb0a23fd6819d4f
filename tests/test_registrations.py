"""Registrations of the user in commands: a file, a module, an entry point, and what is wrong with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cortexgraph import registrations
from cortexgraph.cli.app import app
from cortexgraph.data.load import SOURCES, load_data
from cortexgraph.errors import CortexGraphError, in_commands
from cortexgraph.ops.registry import CELLS
from cortexgraph.registrations import VARIABLE, import_registrations
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import RunFolder, TrainSettings, train
from cortexgraph.training.losses import LOSSES

LAB = """
import torch
import cortexgraph as cg
from cortexgraph.data import ImageData, Items, Request
from helper_of_lab import SHADE
from dataclasses import dataclass
from cortexgraph.ops.cells import Simple


class Bars:
    def __init__(self, shape):
        self.shape = shape

    def __call__(self, n):
        return (torch.arange(self.shape[1]) % 4 < 2).expand(self.shape).mul(SHADE).byte().rot90(n % 2, (1, 2))


@cg.register_data("bars")
def bars(request: Request) -> ImageData:
    items = Items(Bars(request.shape), [n % 2 for n in range(32)], "bars 1")
    return request.data("bars", ["down", "across"], {"train": items, "test": items})


@cg.register_loss("half")
def half(logits, labels, smoothing):
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none") / 2


@cg.register_cell("lab_cell")
@dataclass(frozen=True)
class LabCell(Simple):
    pass
"""
SPEC = """
cortexgraph: 1
name: net
input: {size: 8, channels: 1}
areas: {V1: {channels: 3, cell: lab_cell}}
connections: [image -> V1 -> V1]
readout: {from: V1, classes: 2}
time: {steps: 2}
"""
EXPERIMENT = """
cortexgraph: 1
name: lab
spec: net.yaml
data: {source: bars}
settings: {epochs: 1, batch_size: 8, device: cpu, loss: half}
variants: {one: {}, two: {settings: {lr: 0.1}}}
"""


@pytest.fixture(autouse=True)
def own_registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registries, modules and paths are as before after each test."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    tables: list[dict[str, Any]] = [SOURCES, LOSSES, CELLS._kinds]
    before = [dict(table) for table in tables]
    yield
    for table, kept in zip(tables, before, strict=True):
        for name in [*table.keys() - kept.keys()]:
            del table[name]
    for name in ("lab", "helper_of_lab"):
        sys.modules.pop(name, None)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("lab.py").write_text(LAB)
    Path("helper_of_lab.py").write_text("SHADE = 200\n")
    Path("net.yaml").write_text(SPEC)
    Path("experiment.yaml").write_text(EXPERIMENT)
    return tmp_path


def command(*words: object) -> str:
    """What a command prints; an error is raised."""
    with in_commands():
        return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False).output


def test_registrations_of_a_file_train_evaluate_and_resume(lab: Path) -> None:
    """Data that workers read, a loss and a cell; the run itself imports nothing."""
    words = ["--data-memory", 0, "--workers", 1, "--batch-size", 8, "--epochs", 1, "--device", "cpu", "--logger", "csv"]
    with pytest.raises(CortexGraphError, match="`lab_cell`"):
        command("check", "net.yaml")
    command("train", "net.yaml", "--data", "bars", "--loss", "half", *words, "--out", "run", "--import", "lab.py")
    assert os.environ[VARIABLE] == str(lab / "lab.py")
    assert json.loads(Path("run/settings.json").read_text())["settings"]["loss"] == "half"
    assert "16 test images" in command("eval", "run", "--images", 16)  # the variable says it to this process too
    assert command("check", "net.yaml").endswith(": fine.\n")
    del LOSSES["half"]
    with pytest.raises(CortexGraphError, match=r"its loss `half` is not registered\.\n  Import the Python file"):
        RunFolder("run").train_settings()


@pytest.mark.slow  # three processes import torch
def test_registrations_reach_the_processes_of_compare_and_several_devices(lab: Path) -> None:
    start = [sys.executable, "-m", "cortexgraph"]
    experiment = [*start, "compare", "experiment.yaml", "--import", "./lab.py", "--jobs", "2", "--out", "out"]
    subprocess.run(experiment, check=True, timeout=600)
    assert len([*Path("out").rglob("result.json")]) == 2
    Path("experiment.yaml").write_text(EXPERIMENT + "gpus: 2\n")
    subprocess.run([*experiment[:-1], "two"], check=True, timeout=600)
    assert len([*Path("two").rglob("result.json")]) == 2
    run = "out/runs/one/seed-0"
    alone = subprocess.run([*start, "eval", run], capture_output=True, text=True, check=False, timeout=600)
    assert alone.returncode == 1
    assert "its loss `half` is not registered.\n  Import the Python file that registers it: --import" in alone.stderr


def test_what_cannot_be_imported_is_said_at_once(lab: Path) -> None:
    Path("raises.py").write_text("a = 1\nb = 1 / 0\n")
    Path("twice.py").write_text("import cortexgraph as cg\n\n@cg.register_loss('mse')\ndef own(a, b, c): ...\n")
    Path("json.py").write_text("")
    Path("half.py").write_text("def (")
    Path("a.b.py").write_text("")
    names = [
        "lob.py",
        "no_such_module",
        "raises.py",
        "twice.py",
        "json.py",
        "half.py",
        "",
        "a\0.py",
        "~nobody/a.py",
        "a.b.py",
        "x" * 5000,
    ]
    with pytest.raises(CortexGraphError) as error:
        command("zoo", *[word for name in names for word in ("--import", name)])
    texts = [str(finding) for finding in error.value.diagnostics]
    for text, expected in zip(
        texts,
        [
            "lob.py: this file does not exist.\n  Did you mean `lab.py`?",
            "no_such_module: no module is called `no_such_module`.\n  Install it, or give the path",
            "raises.py:2: ZeroDivisionError: division by zero",
            "twice.py:3: ValueError: loss `mse` is registered already",
            "another module is called `json`",
            "SyntaxError: invalid syntax (half.py, line 1)",
            "ValueError: Empty module name",
            "this file does not exist",
            "this file does not exist",
            "Python takes `a.b` for a module in a package.\n  Rename the file",
            f"{'x' * 59}…: no module is called `{'x' * 59}…`.\n  Install it",
        ],
        strict=True,
    ):
        assert expected in text.replace(f"{lab}/", "")
    assert os.environ[VARIABLE] == ""


def test_the_variable_names_files_from_the_working_directory(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "lab.py")
    import_registrations()
    assert "bars" in SOURCES
    assert os.environ[VARIABLE] == str(lab / "lab.py")


def test_entry_points_of_installed_packages(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(lab)])
    points = [EntryPoint("mine", "lab", registrations.GROUP), EntryPoint("other", "missing", registrations.GROUP)]
    monkeypatch.setattr(registrations, "entry_points", lambda group: points)
    with pytest.raises(CortexGraphError, match=r"entry point other: no module is called `missing`"):
        import_registrations()
    assert "bars" in SOURCES


def test_a_spec_and_a_run_name_no_module(lab: Path) -> None:
    """A run of registered things is refused, not imported, where nothing else imports them."""
    for words in (["check", "net.yaml"], ["compare", "experiment.yaml", "--dry-run"]):
        with pytest.raises(CortexGraphError, match=r"lab_cell|half"):
            command(*words)
    assert "lab" not in sys.modules


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"areas": {"V1": {"channels": 3, "cell": "theirs"}}}, "no cell is called `theirs`"),
        ({"areas": {"V1": {"channels": 3, "body": ["theirs"]}}}, "no operation is called `theirs`"),
        ({"areas": {"V1": {"channels": 3, "activation": "theirs"}}}, "no activation is called `theirs`"),
        ({"readout": {"from": "V1", "classes": 10, "loss": "theirs"}}, "no loss is called `theirs`"),
        ({"settings": {"loss": "theirs"}}, "settings.loss: 'theirs' was given"),
        ({"data": {"source": "theirs"}}, "`theirs` is neither a known data set nor a directory"),
        ({"data": {"target": "theirs"}}, "`theirs` is not registered"),
    ],
)
def test_what_is_not_registered_can_be_imported(part: dict[str, Any], found: str, tmp_path: Path) -> None:
    fields = yaml.safe_load(SPEC.replace(", cell: lab_cell", "").replace("classes: 2", "classes: 10"))
    spec = NetworkSpec.model_validate(fields | {key: value for key, value in part.items() if key in fields})
    with pytest.raises(CortexGraphError) as error:
        data = load_data(**{"source": "shapes", "size": (8, 8), "channels": 1} | part.get("data", {}))
        train(spec, data, TrainSettings(**part.get("settings", {})), tmp_path / "run")
    (finding,) = error.value.diagnostics
    assert found in str(finding)
    assert finding.repair.endswith("To use your own, import the file that registers it: --import FILE.")
