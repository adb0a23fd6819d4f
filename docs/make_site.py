"""Builds the documentation site in build/site: `make docs`, or python docs/make_site.py with the extra `site`.

Pages keep their places in the repository, so that the same links work on a forge and on the site. Two things are made
here: the reference, from the public names of the package, and the pages of the tutorial, by executing its notebooks.
Every warning is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import cortexgraph as cg

ROOT = Path(__file__).parents[1]
CONFIG = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
PAGES = ROOT / CONFIG["docs_dir"]
COPIED = (*(page.name for page in ROOT.glob("*.md")), "CITATION.cff", "docs", "examples", "specs")

REFERENCE: dict[str, tuple[str, ...]] = {
    "Specs": ("spec", "ops.registry"),
    "Check, compile and run": ("compiler", "stepper", "streaming", "tracing", "exporting", "edit"),
    "Draw and inspect": ("drawing", "pages", "analysis", "graph", "unrolling"),
    "Data, training and evaluation": ("data", "training", "hub"),
    "Analysis": ("recording", "decisions", "brain", "probing", "interventions", "graph.interventions"),
    "Extend": ("ops", "checks", "training.losses"),
    "Errors": ("errors",),
}
"""The modules below each heading of the reference: the public names are those that `cortexgraph` takes from them."""

ENTRY = """\
::: {place}
    options:
      heading: {name}
      toc_label: {name}
"""


def reference() -> str:
    """The page of the reference: for each public name, the directive that shows its docstring."""
    homes: dict[str, list[tuple[str, str]]] = {}
    for name, (module, own) in cg._HOMES.items():
        homes.setdefault(module, []).append((name, own))
    parts = [
        "# Python API\n\nAfter `import cortexgraph as cg`. [The language](language.md) lists the fields of a spec.\n"
    ]
    for heading, modules in REFERENCE.items():
        parts.append(f"## {heading}\n")
        for module in (f"cortexgraph.{module}" for module in modules):
            parts += [ENTRY.format(place=place(module, own), name=name) for name, own in homes.pop(module)]
    assert not homes, f"no heading has {', '.join(homes)}"
    return "\n".join(parts)


def place(module: str, name: str) -> str:
    """The full name of what a module offers, which may stand in a file of the same name."""
    file = ROOT / module.replace(".", "/") / f"{name}.py"
    return f"{module}.{name}.{name}" if file.exists() else f"{module}.{name}"


def to_pages(text: str) -> str:
    """Markdown whose links to notebooks lead to their pages."""
    return text.replace(".ipynb)", ".md)")


def copy_pages() -> None:
    """Copy what the site shows."""
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, PAGES / name, ignore=shutil.ignore_patterns("__pycache__", "make_*.py"))
        else:
            shutil.copy(ROOT / name, PAGES / name)
    for page in PAGES.rglob("*.md"):
        page.write_text(to_pages(page.read_text(encoding="utf-8")), encoding="utf-8")
    landing = PAGES / "README.md"  # the cells of its table, which holds Markdown, one below the other
    landing.write_text(re.sub(r"</?t(able|r|d)\b[^>]*>", "", landing.read_text(encoding="utf-8")), encoding="utf-8")


def execute(notebook: Path) -> None:
    """Execute a notebook and write its page beside it, with its pictures in a folder."""
    import nbformat  # comes with nbconvert
    from nbconvert import MarkdownExporter
    from nbconvert.preprocessors import ExecutePreprocessor
    from nbconvert.writers import FilesWriter

    book = nbformat.read(notebook, as_version=4)
    book.cells.insert(0, nbformat.v4.new_code_cell("%config InlineBackend.figure_formats = ['svg']"))
    with tempfile.TemporaryDirectory() as folder:
        quiet = ["--log-level=ERROR"]  # of its kernel: without it, it warns that it listens on this machine
        run = ExecutePreprocessor(timeout=900, kernel_name="python3", extra_arguments=quiet)
        run.preprocess(book, {"metadata": {"path": folder}})
    del book.cells[0]
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = to_pages(cell.source)
        if cell.cell_type == "code":  # stderr has warnings, which name folders of this machine
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "image/svg+xml" in output.get("data", ()):  # as a file, not inside the page
                    output.data.pop("text/html", None)
    title, _, rest = book.cells[0].source.partition("\n")
    book.cells[0].source = f"{title}\n\n{ways_to_run(notebook.name)}\n{rest}"
    names = {"unique_key": notebook.stem, "output_files_dir": f"{notebook.stem}_files"}
    text, resources = MarkdownExporter().from_notebook_node(book, names)
    FilesWriter(build_directory=str(notebook.parent)).write(text, resources, notebook.stem)


def ways_to_run(name: str, repository: str | None = CONFIG.get("repo_url")) -> str:
    """The line below the title of a notebook's page."""
    download = f"[Download this notebook]({name})"
    if repository is None:
        upload = "Colab opens it by *File › Upload notebook*; install there the wheel that `make package` builds"
        return f"{download}. {upload}."
    place = f"{repository.removeprefix('https://github.com/')}/blob/main/docs/tutorial/{name}"
    badge = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"[![Open in Colab]({badge})](https://colab.research.google.com/github/{place}) · {download}"


def give_room() -> None:
    """Hide lists of pages with one entry, and of headings beside notebooks: lines of code have up to 120 columns."""
    alone = [page for entry in CONFIG["nav"] for page in entry.values() if isinstance(page, str)]
    hidden = dict.fromkeys((PAGES / page for page in alone), "navigation")
    hidden |= dict.fromkeys((PAGES / "docs" / "tutorial").glob("*.md"), "toc")
    for page, part in hidden.items():
        page.write_text(f"---\nhide: [{part}]\n---\n{page.read_text(encoding='utf-8')}", encoding="utf-8")


def build() -> None:
    """Run the site generator; findings on docstrings count as errors too."""
    zensical = Path(sys.executable).parent / "zensical"
    line = [zensical, "build", "--strict", "--clean"]
    done = subprocess.run(line, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    print(done.stdout)
    if done.returncode or re.search(r"^(mkdocstrings|griffe|autorefs)\b", done.stdout, re.MULTILINE):
        raise SystemExit("the site has warnings")


def main() -> None:
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    copy_pages()
    (PAGES / "docs" / "reference.md").write_text(reference(), encoding="utf-8")
    for notebook in sorted((PAGES / "docs" / "tutorial").glob("*.ipynb")):
        print(f"executing {notebook.name}")
        execute(notebook)
    give_room()
    build()
    site = CONFIG["site_dir"]
    print(f"Open {site}/index.html, or, to search in it, run: python -m http.server --directory {site}")


if __name__ == "__main__":
    main()
