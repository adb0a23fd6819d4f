"""What others install: the content and size of wheel and sdist, a wheel alone, and the files that describe packages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from contextlib import chdir
from email.parser import Parser
from pathlib import Path
from shutil import which
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from hatchling.build import build_sdist, build_wheel
from jinja2 import Environment, StrictUndefined

import cortexgraph as cg
from tests.commands import script

ROOT = Path(__file__).parents[1]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIGURATION["project"]
BUDGET_BYTES = 3_000_000
"""Of a wheel and of an sdist, without the weights of trained networks."""
WEIGHTS = "cortexgraph/weights/"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    with chdir(ROOT):
        name = build_sdist(str(folder))
    with tarfile.open(folder / name) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # Python < 3.11.4
    return folder / name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from the sdist, as `uv build` and installers do."""
    folder = tmp_path_factory.mktemp("wheel")
    with chdir(sdist):
        return folder / build_wheel(str(folder))


def files_of(folder: Path) -> set[str]:
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {file for file in files if "__pycache__" not in file}


def test_a_wheel_is_the_package_with_its_zoo_and_within_its_budget(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        entries = {entry.filename: entry.compress_size for entry in archive.infolist()}
        metadata = Parser().parsestr(archive.read(next(n for n in entries if n.endswith("/METADATA"))).decode())
        scripts = archive.read(next(n for n in entries if n.endswith("/entry_points.txt"))).decode()
    package = {f"cortexgraph/{file}" for file in files_of(ROOT / "cortexgraph")}
    for source, place in CONFIGURATION["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items():
        folder = (ROOT / source).is_dir()
        package |= {f"{place}/{file}" for file in files_of(ROOT / source)} if folder else {place}
    assert {name for name in entries if ".dist-info/" not in name} == package
    assert sum(size for name, size in entries.items() if not name.startswith(WEIGHTS)) < BUDGET_BYTES
    assert metadata["Version"] == cg.__version__
    assert metadata["Requires-Python"] == PROJECT["requires-python"]
    assert "cortexgraph = cortexgraph.cli:main" in scripts


def test_an_sdist_holds_what_its_tests_need_and_no_pictures(sdist: Path) -> None:
    files = files_of(sdist)
    assert {"README.md", "CITATION.cff", "Makefile", "tests/test_packages.py", "specs/ventral.yaml"} <= files
    assert [file for file in files if file.startswith("docs/") and file.endswith((".svg", ".png"))] == []
    weights = sum((sdist / file).stat().st_size for file in files if file.startswith(WEIGHTS))
    assert sdist.with_name(f"{sdist.name}.tar.gz").stat().st_size - weights < BUDGET_BYTES


COMMANDS = [
    "check ventral",
    "draw ventral -o ventral.svg",
    "compile ventral -o ventral.py",
    "zoo",
    "new mine.yaml",
    "check mine.yaml",
]


def test_a_wheel_alone_checks_draws_and_compiles_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ZipFile(wheel).extractall(tmp_path / "site")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n{script(COMMANDS)}"
    code += "print(sys.modules['cortexgraph'].__file__)"
    words = [sys.executable, "-I", "-c", code]
    done = subprocess.run(words, cwd=tmp_path / "empty", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).is_relative_to(tmp_path / "site")
    assert files_of(tmp_path / "empty") == {"ventral.svg", "ventral.py", "mine.yaml"}


UV = which("uv") or which(
    "uv", path=Path(sys.executable).parent
)  # `make` installs it and does not activate its environment


@pytest.mark.slow(reason="installs torch into an environment of its own: minutes and 6 GB")
@pytest.mark.skipif(UV is None, reason="uv makes the environment")
def test_a_wheel_trains_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    short = ["--epochs", "1", "--train-images", "60", "--test-images", "40"]
    (tmp_path / "empty").mkdir()
    for words in (
        [str(UV), "venv", "--python", sys.executable, str(tmp_path / "venv")],
        [str(UV), "pip", "install", "--python", str(python), f"{wheel}[train]"],
        [str(python), "-m", "cortexgraph", "train", "ventral", "--out", "runs/ventral-shapes", *short],
    ):
        done = subprocess.run(words, cwd=tmp_path / "empty", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "empty" / "runs" / "ventral-shapes" / "summary.json").exists()


# ---- what describes the packages ------------------------------------------------


def test_the_citation_has_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    assert citation["version"] == cg.__version__
    assert citation["license"] == PROJECT["license"]


def test_the_conda_recipe_has_the_dependencies_of_pyproject() -> None:
    """Rendered with functions that have the parameters of conda-build's, which reads files beside the recipe."""
    folder = ROOT / "conda" / "recipe"

    def load_toml(filename: str, *, from_recipe_dir: bool) -> Mapping[str, Any]:
        return tomllib.loads((folder / filename).read_text())

    def search(*, load_file: str, regex_pattern: str, from_recipe_dir: bool) -> re.Match[str] | None:
        return re.search(regex_pattern, (folder / load_file).read_text())

    template = Environment(undefined=StrictUndefined).from_string((folder / "meta.yaml").read_text())
    text = template.render(load_file_data=load_toml, load_file_regex=search, PYTHON="python")
    recipe = yaml.safe_load(text)
    assert (recipe["package"]["name"], recipe["package"]["version"]) == (PROJECT["name"], cg.__version__)
    names = {"pytorch": "torch", "python-graphviz": "graphviz"}
    run = [requirement.split(" ") for requirement in recipe["requirements"]["run"]]
    assert run[0] == ["python", PROJECT["requires-python"]]
    assert [names.get(name, name) + bound for name, bound in run[1:]] == PROJECT["dependencies"]
    assert (folder / recipe["source"]["path"]).resolve() == ROOT


def test_the_workflow_begins_with_the_lowest_python_and_its_targets_exist() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    jobs = workflow["jobs"]
    assert f">={jobs['test']['strategy']['matrix']['python'][0]}" == PROJECT["requires-python"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = {target for step in steps if step.startswith("make ") for target in step.split()[1:]}
    assert targets == {"lint", "types", "lowest", "package"}
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M) for target in targets)


def test_the_entry_for_schemastore_is_complete() -> None:
    entry = json.loads((ROOT / "docs" / "schemastore.json").read_text())
    assert entry.keys() == {"name", "description", "fileMatch", "url"}
    assert all(pattern.startswith("*.cortexgraph.") for pattern in entry["fileMatch"])


def test_every_test_that_the_security_note_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 5
    for file, test in named:
        assert f"def {test}" in (ROOT / file).read_text(), (file, test)
