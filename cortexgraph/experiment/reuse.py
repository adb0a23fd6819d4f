"""Runs that another experiment has carried out already."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cortexgraph.experiment.plan import Run
from cortexgraph.experiment.run import trained_as
from cortexgraph.training.run_folder import RunFolder

__all__ = ["adopt"]


def adopt(runs: Sequence[Run], folders: Sequence[Path]) -> list[Run]:
    """Copy finished runs of the same spec, settings and data from other experiments; returns those that were found.

    Args:
        runs: what is to be carried out; those that have begun are left alone.
        folders: of experiments, or folders of these.
    """
    known = [RunFolder(path.parent) for folder in folders for path in sorted(Path(folder).rglob("summary.json"))]
    finished = [(folder.path, _made_with(folder)) for folder in known if folder.is_finished]
    found = []
    for run in runs:
        if RunFolder(run.folder).is_run:
            continue
        same = next((path for path, made in finished if made == trained_as(run) and path != run.folder), None)
        if same is not None:
            temporary = run.folder.with_name(f".{run.folder.name}.copy")
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(same, temporary, ignore=shutil.ignore_patterns("result.json"))
            shutil.rmtree(run.folder, ignore_errors=True)
            temporary.rename(run.folder)
            found.append(run)
    return found


def _made_with(folder: RunFolder) -> dict[str, Any]:
    stored = folder.read_settings()
    card = folder.read_card()["load_data"]
    return {"spec_sha256": stored.get("spec_sha256"), "settings": stored.get("settings"), "data": card}
