"""Trained networks that ship with cortexgraph: small run folders, called by name, and how they are made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.training.run_folder import RunFolder, write_json
from cortexgraph.wording import quoted, similar

__all__ = ["MAX_BYTES", "find_run", "pack", "packed"]

FOLDER = Path(__file__).resolve().parents[1] / "weights"
MAX_BYTES = 5_000_000


def packed() -> dict[str, Path]:
    """The folder of each trained network that ships, by name."""
    return {path.parent.name: path.parent for path in sorted(FOLDER.glob("*/settings.json"))}


def find_run(name: str | Path) -> RunFolder:
    """The run in a folder, or the trained network of that name that ships.

    Raises:
        DataError: if there is neither.
    """
    shipped = packed()
    if Path(name).exists() or (str(name) not in shipped and Path(name).parent != Path()):
        return RunFolder(name)
    if str(name) in shipped:
        return RunFolder(shipped[str(name)])
    guess = similar(str(name), list(shipped))
    listing = f"the trained networks that ship are {quoted(shipped)}" if shipped else "none ships"
    repair = f"Did you mean `{guess}`?" if guess else "Give the folder of a run, or one of these names."
    raise DataError(Diagnostic("no-run", str(name), "there is no such folder", listing, repair))


def pack(run: str | Path, out: str | Path, *, data: str) -> Path:
    """Copy what a run needs to be used elsewhere: spec, weights, classes, settings and summary.

    Paths of this machine are left out. The copy is a run folder without checkpoints: `load_run`, `evaluate` and
    `predict` take it.

    Args:
        run: the folder of a finished run.
        out: the folder to make.
        data: what the images were, in words.

    Returns:
        `out`.

    Raises:
        DataError: if the run is not finished, its weights are larger than 5 MB, or `out` exists.
    """
    source, target = RunFolder(run), RunFolder(out)
    stored = source.read_settings()
    if not source.is_finished:
        raise _refusal(source.path, "this run is not finished", "Finish it with `cortexgraph train --resume`.")
    if (size := source.weights.stat().st_size) > MAX_BYTES:
        found = f"its weights have {size:,} bytes, but {MAX_BYTES:,} are the most"
        raise _refusal(source.path, found, "Train a smaller network.")
    if target.path.exists():
        raise _refusal(target.path, "it exists", "Name another folder, or remove it first.")
    card, summary = source.read_card(), source.read_json(source.summary)
    command = str(summary["command"]).replace(str(card["name"]), "DIR").replace(str(source.path), "RUN")
    temporary = RunFolder(target.path.with_name(f".{target.path.name}.part"))
    shutil.rmtree(temporary.path, ignore_errors=True)
    temporary.path.mkdir(parents=True)
    for name in ("spec.yaml", "weights.safetensors", "metrics.csv"):
        shutil.copyfile(source.path / name, temporary.path / name)
    write_json(temporary.data, {**card, "name": data, "load_data": None})
    summary |= {"run": target.path.name, "data": data, "command": command}
    write_json(temporary.summary, summary)
    _write_text(temporary)
    write_json(temporary.settings, {"cortexgraph_run": 1, **stored, "command": command})
    temporary.path.rename(target.path)
    return target.path


def _write_text(target: RunFolder) -> None:
    """The summary for people, made anew from the numbers."""
    from cortexgraph.training.summary import Summary, summary_text

    found = json.loads(target.summary.read_text(encoding="utf-8"))
    steps = {key: {int(step): value for step, value in found[key].items()} for key in ("accuracy", "best_accuracy")}
    target.summary_text.write_text(summary_text(Summary(**{**found, **steps, "run": target.path})), encoding="utf-8")


def _refusal(path: Path, found: str, repair: str) -> DataError:
    return DataError(Diagnostic("pack", str(path), found, repair=repair))
