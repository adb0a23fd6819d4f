"""What the documents show is what the code does."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import cortexgraph as cg

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_examples_in_the_docs_run(path: Path) -> None:
    failures, _ = doctest.testfile(str(path), module_relative=False)
    assert failures == 0


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


def test_pictures_and_links_of_the_readme_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", README)
    local = [a or b for a, b in links if not (a or b).startswith("http")]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []


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
