"""Imports go one way, and torch is imported only where a tensor is."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

import cortexgraph

PACKAGE = Path(cortexgraph.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    ("wording", "version"),
    ("errors",),
    ("files",),
    ("arguments", "extras", "registrations"),
    ("notebook",),
    ("spec",),
    ("ops",),
    ("graph",),
    ("unrolling",),
    ("passes",),
    ("codegen",),
    ("checks",),
    ("program", "loading"),
    ("streaming",),
    ("network",),
    ("own_operations", "stepper"),
    ("compiler",),
    ("tracing",),
    ("analysis", "render", "data", "edit", "interventions", "connectome", "protocol", "released"),
    ("drawing",),
    ("training",),
    ("brainscore",),
    ("exporting", "pages", "recording", "decisions", "experiment", "probing", "hub"),
    ("brain",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports() -> Iterator[tuple[str, str, Path]]:
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(syntax(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cortexgraph."):
                yield part, str(node.module).split(".")[1], path


def test_every_part_has_its_layer() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert parts - {"__init__", "__main__"} == set(LEVEL)


def test_imports_go_one_way() -> None:
    against = [
        f"{path.relative_to(PACKAGE)} imports {target}"
        for part, target, path in imports()
        if part in LEVEL and target != part and LEVEL[target] >= LEVEL[part]
    ]
    assert against == []


def absolute_imports(path: Path) -> Iterator[str]:
    """Full names of what a file imports, `package.name` for `from package import name`."""
    package = ".".join(("cortexgraph", *path.relative_to(PACKAGE).parts[:-1]))
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{base}.{alias.name}" for alias in node.names)


ALLOWED_EDGES = {
    ("cortexgraph.notebook", "cortexgraph.drawing"),
}
"""Imports that close a circle today. The list only shrinks."""


def module_imports(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """The modules of the package that a file imports: at its top, in functions, for type checkers, or by a string."""
    for full in absolute_imports(path):
        yield from [module for module in (full, full.rpartition(".")[0]) if module in modules and module != name][:1]
    for node in ast.walk(syntax(path)):
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if text in modules and modules[text].name != "__init__.py":
            yield text


def import_graph() -> nx.DiGraph[str]:
    names = {path: ".".join(("cortexgraph", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in FILES}
    modules = {name.removesuffix(".__init__"): path for path, name in names.items()}
    return nx.DiGraph(
        (name, target) for name, path in modules.items() for target in module_imports(name, path, modules)
    )


def test_no_circle_of_imports_between_files() -> None:
    graph = import_graph()
    graph.remove_edges_from(ALLOWED_EDGES)
    assert [sorted(circle) for circle in nx.strongly_connected_components(graph) if len(circle) > 1] == []


@pytest.mark.parametrize("edge", sorted(ALLOWED_EDGES))
def test_every_allowed_import_still_closes_a_circle(edge: tuple[str, str]) -> None:
    graph = import_graph()
    assert graph.has_edge(*edge)
    assert nx.has_path(graph, *reversed(edge)), "remove it from ALLOWED_EDGES"


def test_nothing_imports_the_prelude_and_it_imports_only_torch_and_the_standard_library() -> None:
    """Its source is copied into emitted files; the package reads it as text."""
    imported = {name for path in PACKAGE.rglob("*.py") for name in absolute_imports(path)}
    assert not {name for name in imported if name.startswith("cortexgraph.codegen.prelude")}
    roots = {name.split(".")[0] for name in absolute_imports(PACKAGE / "codegen" / "prelude.py")}
    assert "torch" in roots
    assert roots <= {"torch", *sys.stdlib_module_names}


TORCHLESS = [
    "import cortexgraph",
    "import cortexgraph as cg; cg.check(cg.load('ventral'))",
    "import cortexgraph as cg; cg.emit(cg.load('ventral'))",
    "import cortexgraph as cg; cg.draw(cg.load('ventral')).svg()",
    "import cortexgraph as cg; cg.draw_unrolled(cg.load('ventral')).svg()",
    "import cortexgraph as cg; cg.draw_schedule(cg.load('ventral')).svg()",
    "import cortexgraph as cg; cg.draw_matrix(cg.load('ventral')).svg()",
    "import cortexgraph as cg; cg.load('ventral')._repr_html_()",
    "import cortexgraph as cg; cg.summarise(cg.load('ventral'))",
    "import cortexgraph as cg; cg.page(cg.load('ventral'))",
    "import cortexgraph.cli.app",
]
REPORT = "print([n for n in ('torch', 'lightning', 'matplotlib') if n in sys.modules])"


def test_torch_is_not_imported_to_check_emit_or_draw() -> None:
    """In one process: the first line that imports it is where the list is no longer empty."""
    code = "\n".join(["import sys", *(f"{line}\n{REPORT}" for line in TORCHLESS)])
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    imported = dict(zip(TORCHLESS, result.stdout.splitlines(), strict=False))
    assert imported == dict.fromkeys(TORCHLESS, "[]"), result.stderr


def test_the_public_names_are_all_there() -> None:
    for name in cortexgraph.__all__:
        assert getattr(cortexgraph, name) is not None
    with pytest.raises(AttributeError, match="has no attribute `compil`"):
        cortexgraph.compil  # noqa: B018
