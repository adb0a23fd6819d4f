"""What the documents show is what the code does."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest
from pydantic import BaseModel, TypeAdapter

import cortexgraph as cg
from cortexgraph.ops import CELLS, OPERATIONS
from cortexgraph.spec.reading import read_yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_examples_in_the_docs_run(path: Path) -> None:
    failures, _ = doctest.testfile(str(path), module_relative=False)
    assert failures == 0


MODULES = sorted(path for path in (ROOT / "cortexgraph").rglob("*.py") if ">>> " in path.read_text())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_in_docstrings_run(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def block(marker: str) -> str:
    match = re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert match is not None
    return match[1]


def test_the_spec_in_the_readme_is_the_shipped_one() -> None:
    spec, shipped = cg.loads(block("spec")), cg.load("ventral")
    digest = {"description": "", "references": ()}
    assert cg.emit(spec).split("class ")[-1] == cg.emit(shipped.model_copy(update=digest)).split("class ")[-1]


def test_the_source_in_the_readme_is_what_compile_writes() -> None:
    assert block("source") in cg.emit(cg.load("ventral"))


def test_set_up_is_two_commands() -> None:
    start = README.split("## Start")[1].split("\n## ")[0]
    assert re.findall(r"```sh\n(.*?)\n```", start, re.DOTALL) == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def readme_commands() -> list[list[str]]:
    """The command lines of the README that need nothing but the repository."""
    section = README.split("## What you can do with it")[1].split("\nFrom Python")[0]
    lines = re.findall(r"^cortexgraph (.*?)(?:\s+#.*)?$", section, re.MULTILINE)
    return [shlex.split(line.split(" > ")[0]) for line in lines]


@pytest.mark.slow(reason="trains twice for an epoch")
def test_every_line_of_the_readme_runs_in_turn(tmp_path: Path) -> None:
    """With fewer images and epochs, in a copy of the folder that has only what the lines name."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    short = {
        "train": ["--epochs", "1", "--train-images", "100", "--test-images", "50"],
        "record": ["--images", "20"],
        "compare": ["--dry-run"],
    }
    commands = readme_commands()
    assert len(commands) == 22
    for words in commands:
        line = [sys.executable, "-m", "cortexgraph", *words, *short.get(words[0], [])]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, f"{words}: {done.stderr}"


def test_files_that_the_readme_names_are_there() -> None:
    named = re.findall(r"examples/[\w./]*\w", README)
    assert {"examples/airplane.png", "examples/connectome.csv", "examples/experiment.yaml"} <= {*named}
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = re.search(r"From Python:\n\n```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    exec(compile(code[1], "README.md", "exec"), {})
    assert (tmp_path / "ventral.pdf").exists()


def test_the_citation_names_this_version() -> None:
    citation = read_yaml((ROOT / "CITATION.cff").read_text()).data
    assert citation["version"] == cg.__version__
    assert citation["license"] == "MIT"


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_full_names_in_the_pages_exist_and_public_ones_are_written_short() -> None:
    texts = {page: re.findall(r"`cortexgraph\.([a-z_.]+\.)(\w+)", page.read_text()) for page in PAGES}
    names = [(page.name, place, name) for page, found in texts.items() for place, name in found]
    assert len(names) > 5
    for page, place, name in names:
        assert hasattr(importlib.import_module(f"cortexgraph.{place[:-1]}"), name), (page, place, name)
        assert name not in cg.__all__, f"{page}: write `cg.{name}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_and_links_of_the_pages_exist(page: Path) -> None:
    """The site has no page for a folder, so that links lead to files."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)|src=\"([^\"]+)\"", page.read_text())
    local = [a or b for a, b in links if not (a or b).startswith("http")]
    assert [link for link in local if not (page.parent / link).is_file()] == []


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ventral-unrolled", {}),
        ("ventral-up-and-down", {"steps": 2, "order": ("V1", "V2", "V4", "IT", "V4", "V2", "V1")}),
    ],
)
def test_pictures_in_the_docs_are_of_the_shipped_spec(name: str, options: dict[str, object]) -> None:
    """The ids of updates in the committed picture are those of a fresh one (fonts may differ between machines)."""
    drawn = cg.draw_unrolled(cg.load("ventral"), **options).svg()  # type: ignore[arg-type]
    committed = (ROOT / "docs" / "images" / f"{name}.svg").read_text()
    ids = [re.findall(r'<g id="([^"]+)" class="([^"]+)"', svg) for svg in (drawn, committed)]
    assert ids[0] == ids[1]
    assert len(ids[0]) > 20


# ---- docs/language.md --------------------------------------------------------


def script(name: str) -> ModuleType:
    """A script of docs/ as a module."""
    source = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert source is not None
    assert source.loader is not None
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    return module


LANGUAGE = script("make_language")
PARTS = [model for _, model, _ in LANGUAGE.PARTS]


def test_the_page_of_the_language_is_that_of_the_models() -> None:
    page = (ROOT / "docs" / "language.md").read_text()
    assert page == LANGUAGE.page(), "the language has changed: python docs/make_language.py"


@pytest.mark.parametrize("model", PARTS, ids=lambda model: model.__name__)
def test_every_key_has_a_meaning_and_an_example_that_is_legal(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        (example,) = field.examples or []
        read = read_yaml(f"it: {LANGUAGE.flow(example)}").data["it"]
        assert TypeAdapter(Annotated[field.annotation, "field", *field.metadata]).validate_python(read) is not None


@pytest.mark.parametrize("word", [word for word in OPERATIONS if not OPERATIONS[word].fixed])
def test_the_example_of_every_operation_compiles(word: str) -> None:
    entry = LANGUAGE.example_of(OPERATIONS[word])
    spec = cg.NetworkSpec.model_validate(
        {
            "name": "example",
            "input": {"channels": 4, "size": 8},
            "areas": {"A": {"channels": 4, "size": 8}},
            "connections": [{"from": "image", "to": "A", "transform": [entry, {"conv": 1}, {"pool": 8}]}],
            "readout": {"from": "A", "classes": 2},
            "time": {"steps": 1},
        }
    )
    assert cg.check(spec) == []


@pytest.mark.parametrize("word", [*CELLS])
def test_the_example_of_every_cell_compiles(word: str) -> None:
    spec = cg.load("ventral", {"areas.V1.cell": LANGUAGE.example_of(CELLS[word])})
    assert cg.check(spec) == []


# ---- docs/zoo.md -------------------------------------------------------------


def test_the_page_of_the_zoo_is_that_of_the_specs() -> None:
    made, page = script("make_zoo"), (ROOT / "docs" / "zoo.md").read_text()
    assert page == made.page(), "the library has changed: python docs/make_zoo.py"
    shown = set(re.findall(r'src="([^"]+)"', page))
    assert shown == {f"images/zoo/{file.name}" for file in (ROOT / "docs" / "images" / "zoo").iterdir()}


@pytest.mark.parametrize("name", ["blt_vs", "macaque_hierarchy"])
def test_drawings_of_the_zoo_are_of_the_shipped_specs(name: str) -> None:
    committed = (ROOT / "docs" / "images" / "zoo" / f"{name}.svg").read_text()
    ids = [re.findall(r'<g id="([^"]+)"', svg) for svg in (cg.draw(cg.load(name)).svg(), committed)]
    assert ids[0] == ids[1], "python docs/make_zoo.py"


# ---- docs/coming_from.md -----------------------------------------------------


def test_what_people_from_other_tools_find_here_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code in the right columns, in turn, after the lines above them."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "coming_from.md").read_text()
    first = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert first is not None
    cells = [row.rsplit("|", 2)[1] for row in text.splitlines() if row.startswith("| ")]
    lines = [line for cell in cells for line in re.findall(r"`([^`]+)`", cell)]
    assert len(lines) > 25
    names: dict[str, object] = {}
    for line in [first[1], *lines]:
        exec(compile(line, "docs/coming_from.md", "exec"), names)


# ---- the site ----------------------------------------------------------------

SITE = script("make_site")
NOTEBOOKS = sorted((ROOT / "docs" / "tutorial").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs(path: Path) -> None:
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell for cell in cells if cell["outputs"] or cell["execution_count"]] == []
    assert "".join(cells[0]["source"]).startswith("# %pip install")


@pytest.mark.slow(reason="two of them train a network")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_tutorial_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, object] = {}
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), path.name, "exec"), names)


def test_pages_of_notebooks_lead_to_pages_and_to_colab() -> None:
    assert SITE.to_pages("[next](order_and_delay.ipynb)") == "[next](order_and_delay.md)"
    line = SITE.ways_to_run("x.ipynb", "https://github.com/owner/name")
    assert "(https://colab.research.google.com/github/owner/name/blob/main/docs/tutorial/x.ipynb)" in line
    assert "](x.ipynb)" in line


def test_the_site_shows_every_page() -> None:
    text = (ROOT / "zensical.toml").read_text()
    shown = re.findall(r'"([\w/]+)\.md"', text[text.index("nav = ") :])
    made = {"README", "CHANGELOG", "docs/reference"}
    pages = {str(path.relative_to(ROOT).with_suffix("")) for path in [*PAGES, *NOTEBOOKS]}
    assert sorted(shown) == sorted(made | pages)


def test_the_reference_has_every_public_name_once() -> None:
    named = re.findall(r"heading: (\w+)", SITE.reference())
    assert sorted(named) == cg.__all__
