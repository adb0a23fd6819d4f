"""What users register beside this package: entry points of installed packages, and files or modules that they name.

Only the user says what is imported: by installing a package, by `--import`, or by the environment variable that hands
`--import` on to other processes. No spec, experiment, run folder or download can.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from traceback import extract_tb

from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.wording import shortened, suggest

GROUP = "cortexgraph"
"""Of the entry points, each of which names a module that registers something."""
VARIABLE = "CORTEXGRAPH_IMPORT"
"""The files and modules of `--import`, in the form of PATH."""


def import_registrations(names: Sequence[str] = ()) -> None:
    """Import entry points and the files and modules of the environment variable, each once, and those named here too.

    Processes that this one starts inherit the variable, to which the names are added.

    Args:
        names: Python files, or modules.

    Raises:
        CortexGraphError: with a finding for each that cannot be imported.
    """
    every = [*dict.fromkeys(map(_located, [*imported(), *names]))]
    findings = [f for point in entry_points(group=GROUP) for f in _problems(f"entry point {point.name}", point.load)]
    findings += [f for name in every for f in _problems(_place(name), partial(_import, name))]
    if findings:
        raise CortexGraphError(findings)
    if every:
        os.environ[VARIABLE] = os.pathsep.join(every)


def imported() -> list[str]:
    """The files and modules that this process and those that it starts import."""
    return [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def _place(name: str) -> str:
    return (name if _is_file(name) else shortened(name)) or "--import"


def _is_file(name: str) -> bool:
    return name.endswith(".py") or os.sep in name


def _located(name: str) -> str:
    """A file by its whole path: other processes may have another working directory."""
    with suppress(ValueError, RuntimeError):  # no text of a path, or the home directory of an unknown user
        return str(Path(name).expanduser().resolve()) if _is_file(name) else name
    return name


def _import(name: str) -> None:
    """Import a module, or a file under its own name, by which other processes find what they unpickle."""
    if not _is_file(name):
        importlib.import_module(name)
        return
    path = Path(name)
    if not path.is_file():
        beside = [other.name for other in path.parent.glob("*.py")]
        repair = suggest(path.name, beside, "Name a Python file, or a module that is installed.")
        raise CortexGraphError(Diagnostic("bad-import", name, "this file does not exist", repair=repair))
    if "." in path.stem:
        found, repair = f"Python takes `{path.stem}` for a module in a package", "Rename the file, without the dot."
        raise CortexGraphError(Diagnostic("bad-import", name, found, repair=repair))
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # at the end: what is installed keeps its names
    other = getattr(importlib.import_module(path.stem), "__file__", None)
    if other is None or Path(other).resolve() != path:
        found, repair = f"another module is called `{path.stem}` ({other or 'built in'})", "Rename the file."
        raise CortexGraphError(Diagnostic("bad-import", name, found, repair=repair))


def _problems(place: str, load: Callable[[], object]) -> Iterator[Diagnostic]:
    """What an import raises, at the line of the imported module."""
    try:
        load()
    except (Exception, SystemExit) as error:
        own = (__file__, importlib.__file__, importlib.metadata.__file__)
        lines = [frame for frame in extract_tb(error.__traceback__) if frame.filename not in own]
        lines = [frame for frame in lines if not frame.filename.startswith("<")]
        if isinstance(error, CortexGraphError) and not lines:
            yield from error.diagnostics
        elif isinstance(error, ModuleNotFoundError) and not lines:
            found, repair = (
                f"no module is called `{shortened(str(error.name))}`",
                "Install it, or give the path of a file, `./NAME.py`.",
            )
            yield Diagnostic("bad-import", place, found, repair=repair)
        else:
            at = (lines[0].filename, lines[0].lineno) if lines else (None, None)  # the line of the module itself
            found = f"{type(error).__name__}: {' '.join(str(error).split())}"
            repair = "Correct it, choose another name for what is registered already, or do not import it."
            place = "" if lines else place
            yield Diagnostic("bad-import", place, found, repair=repair, file=at[0], line=at[1])
