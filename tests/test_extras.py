"""Features without the packages of their extra: one finding with the command that installs them, never a traceback."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from cortexgraph.extras import FEATURES, packages
from tests.commands import script

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = [module for extra in FEATURES for module in packages(extra)]

BLOCKED = """
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Blocker())
"""


def python(code: str, modules: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process in which some modules are not installed."""
    command = [sys.executable, "-c", BLOCKED.format(modules=modules) + code]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=300)


def run(command: str, modules: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return python(
        f"from cortexgraph.cli import main\nsys.argv = {['cortexgraph', *command.split()]!r}\nmain()", modules, folder
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core")
    (folder / "areas.csv").write_text("source,target,weight,sln\nV1,V2,0.7,0.9\nV2,V1,0.3,0.1\n")
    (folder / "experiment.yaml").write_text("name: e\nspec: ventral\ndata: {source: shapes}\nvariants: {a: {}}\n")
    return folder


CORE = [
    "check ventral",
    "show ventral",
    "draw ventral -o a.svg",
    "draw ventral --unrolled -o b.png",
    "draw ventral --matrix -o c.pdf",
    "page ventral -o ventral.html",
    "compile ventral -o network.py",
    "compile ventral --explain",
    "zoo ventral blt",
    "zoo --compare ventral blt -o two.svg",
    "new mine.yaml",
    "schema",
    "import connectome areas.csv --out areas.yaml",
    "--help",
    "train --help",
]


def test_the_core_needs_no_extra(folder: Path) -> None:
    done = python(script(CORE), OPTIONAL, folder)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr


def test_the_core_compiles_loads_and_edits_networks(folder: Path) -> None:
    code = (
        "import torch, cortexgraph as cg\n"
        "network = cg.compile(cg.load('ventral'), record={'V4': 'all'})\n"
        "logits, states = network(torch.rand(2, 3, 32, 32))\n"
        "assert cg.lesion(network, 'IT -> V4') is not None\n"
        "print(tuple(logits.shape), len(states))"
    )
    done = python(code, OPTIONAL, folder)
    assert (done.returncode, done.stdout) == (0, "(2, 10) 4\n"), done.stderr


@pytest.mark.parametrize(
    ("command", "missing", "named"),
    [
        ("train ventral --data shapes", OPTIONAL, [*packages("train").values()]),
        ("train ventral --data shapes", ["tensorboard"], ["tensorboard"]),
        ("train --resume --out run", ["lightning"], ["lightning"]),
        ("eval run", ["lightning", "torchvision"], ["lightning", "torchvision"]),
        ("predict cat.jpg", ["PIL"], ["pillow"]),
        ("record run -o a.npz", ["lightning", "PIL"], ["lightning", "pillow"]),
        ("record ventral-cifar10 --data shapes --images 10 -o a.nc", ["h5netcdf", "h5py"], ["h5netcdf", "h5py"]),
        ("brain ventral-cifar10 --data a --stimuli s", ["rsatoolbox", "sklearn"], ["rsatoolbox", "scikit-learn"]),
        ("export ventral-cifar10 -o a.onnx", ["onnx", "onnxscript"], ["onnx", "onnxscript"]),
        ("export run -o a.pt2", ["safetensors"], ["safetensors"]),
        ("attribute ventral-cifar10 cat.jpg", ["captum"], ["captum"]),
        ("compare experiment.yaml", ["filelock", "matplotlib"], ["filelock", "matplotlib"]),
        ("compare experiment.yaml --engine ray", ["ray"], ["ray"]),
        ("compare experiment.yaml --engine slurm", ["submitit"], ["submitit"]),
        ("page run", ["safetensors"], []),
    ],
)
def test_a_missing_package_is_one_finding(folder: Path, command: str, missing: list[str], named: list[str]) -> None:
    before = sorted(folder.iterdir())
    done = run(command, missing, folder)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr
    if named:
        assert f"not installed.\n  Run: pip install {' '.join(named)}    [missing-extra]\n" in done.stderr
    assert sorted(folder.iterdir()) == before


FROM_PYTHON = """
from importlib import import_module

from cortexgraph.extras import MissingPackageError

for module, name in {names!r}:
    try:
        getattr(import_module(module), name)
    except MissingPackageError as error:
        print(error.diagnostics[0].repair)
"""


def test_python_gets_the_same_finding(folder: Path) -> None:
    names = [("cortexgraph", "export"), ("cortexgraph.training", "train"), ("cortexgraph.training", "evaluate")]
    names += [("cortexgraph.data", "load_data"), ("cortexgraph.recording", "record")]
    done = python(FROM_PYTHON.format(names=names), OPTIONAL, folder)
    assert done.stdout.splitlines() == [f"Run: pip install {' '.join(packages('train').values())}"] * len(names), (
        done.stderr
    )


def test_a_missing_package_that_every_installation_has_is_one_finding_too(folder: Path) -> None:
    done = run("compile ventral", ["jinja2"], folder)
    assert done.stderr == "jinja2 is not installed.\n  Run: pip install cortexgraph-compiler    [missing-extra]\n"


# ---- pyproject.toml ----------------------------------------------------------


@pytest.mark.parametrize("extra", FEATURES)
def test_packages_of_an_extra_are_modules_that_code_can_import(extra: str) -> None:
    declared = {line.split(">=")[0] for line in PROJECT["optional-dependencies"][extra]}
    assert {name.replace("-", "_") for name in packages(extra).values()} == {n.replace("-", "_") for n in declared}
    if extra not in {"ray", "slurm"}:  # not among the packages of developers
        assert [module for module in packages(extra) if find_spec(module) is None] == []


def test_the_distribution_has_a_name_of_its_own() -> None:
    """The package index has an unrelated `cortexgraph`: a repair must never install that."""
    assert PROJECT["name"] == "cortexgraph-compiler"
    suffixes = {".py", ".md", ".toml", ".yaml", ""}
    tops = [ROOT / name for name in ("cortexgraph", "docs", "examples", "README.md", "Makefile", "pyproject.toml")]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()]
    texts = {file: file.read_text() for file in files if file.suffix in suffixes}
    assert len(texts) > 100
    assert [
        str(file) for file, text in texts.items() if "cortexgraph[" in text or "pip install cortexgraph\n" in text
    ] == []


def test_the_first_command_of_the_readme_installs_every_extra_it_needs(tmp_path: Path) -> None:
    words = ["make", "--dry-run", "demo", f"VENV={tmp_path / 'venv'}"]
    commands = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True).stdout
    assert '--editable ".[train,record,onnx,attribution]"' in commands
