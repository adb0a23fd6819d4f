"""Packages that only some features need, environment variables that must be numbers, and findings about both."""

from __future__ import annotations

import ast
import os
import re
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from cortexgraph.errors import CompileError, CortexGraphError, Diagnostic
from cortexgraph.wording import listed, shortened

MODULES = {"pillow": "PIL", "scikit-learn": "sklearn"}
"""Packages whose module has another name."""

FEATURES = {
    "train": "training, evaluation and recording",
    "record": "NetCDF files, protocols and reaction times",
    "brain": "comparison with recordings from the brain",
    "onnx": "ONNX files",
    "attribution": "attribution",
    "datasets": "data saved by the library datasets",
    "hub": "the Hugging Face hub",
    "ray": "--engine ray",
    "slurm": "--engine slurm",
    "search": "a search in an experiment",
}
"""What each extra of `pyproject.toml` is for, as the place of its finding."""


class MissingPackageError(CortexGraphError, ImportError):
    """A feature needs packages that are not installed."""

    code = "missing-extra"


@cache
def packages(extra: str) -> dict[str, str]:
    """The packages that an extra declares, by the module that features import: the name to install each by."""
    try:
        declared = requires("cortexgraph-compiler") or ()
    except PackageNotFoundError:  # a checkout that is not installed
        return {}
    names = [line[1] for each in declared if (line := re.match(rf"([\w.-]+).*extra == .{extra}.$", each))]
    return {MODULES.get(name, name.replace("-", "_")): name for name in names}


def require(extra: str) -> None:
    """Raise MissingPackageError, with the command that installs them, where packages of an extra are not installed."""
    if missing := _missing(extra):
        raise _error(extra, missing)


def explained(error: ModuleNotFoundError) -> ImportError:
    """What to raise for an import that failed: a finding if a package is not installed, else the error itself."""
    module = (error.name or "").split(".")[0]
    for extra in FEATURES:
        if module in packages(extra) and not is_installed(module):
            return _error(extra, _missing(extra))
    if module in ("", "cortexgraph") or is_installed(module):
        return error
    repair = "Run: pip install cortexgraph-compiler"
    return MissingPackageError(Diagnostic(MissingPackageError.code, "", f"{module} is not installed", repair=repair))


def import_explained(name: str) -> ModuleType:
    """Import a module of ours. Raises MissingPackageError if it needs a package of an extra that is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise explained(error) from None


def homes_of(file: str) -> dict[str, tuple[str, str]]:
    """Of each name that a package imports for type checkers, and gives on first use, the module and its name there."""
    (block,) = (each for each in ast.parse(Path(file).read_text(encoding="utf-8")).body if isinstance(each, ast.If))
    imports = [each for each in block.body if isinstance(each, ast.ImportFrom)]
    return {alias.asname or alias.name: (str(each.module), alias.name) for each in imports for alias in each.names}


def _missing(extra: str) -> list[str]:
    return [package for module, package in packages(extra).items() if not is_installed(module)]


def _error(extra: str, names: list[str]) -> MissingPackageError:
    found = f"{listed(names)} {'is' if len(names) == 1 else 'are'} not installed"
    repair = f"Run: pip install {' '.join(names)}"
    return MissingPackageError(Diagnostic(MissingPackageError.code, FEATURES[extra], found, repair=repair))


def is_installed(module: str) -> bool:
    """Whether a module can be found, without importing it."""
    try:
        return find_spec(module) is not None
    except (ValueError, ImportError):  # the import is blocked
        return False


# ---- environment variables that are read as numbers ---------------------------------

DATE = "SOURCE_DATE_EPOCH"
NUMBERS = (
    r"(LOCAL_|NODE_|GROUP_)?RANK|(LOCAL_)?WORLD_SIZE|MASTER_PORT"
    rf"|SLURM_(NTASKS|NTASKS_PER_NODE|PROCID|LOCALID|NODEID|JOB_ID|JOBID|NNODES|STEP_(ID|NUM_NODES|NUM_TASKS))|{DATE}"
)
"""What torch, Lightning, matplotlib and Cairo read as whole numbers."""


def check_numbers(names: str = NUMBERS) -> None:
    """Refuse variables of such names that must be whole numbers and are not, before a library ends the process.

    Raises CompileError with every such variable.
    """
    findings = [
        Diagnostic(
            "environment", name, f"`{shortened(value)}` is set", "it must be a whole number", f"Run: unset {name}"
        )
        for name, value in os.environ.items()
        if re.fullmatch(names, name) and (value or name != DATE) and not re.fullmatch("[0-9]{1,18}", value)
    ]
    if findings:
        raise CompileError(findings)
