"""What a page shows of a run: its curves, its accuracy, how it was trained."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cortexgraph.spec import NetworkSpec, load
from cortexgraph.spec.overrides import Override

__all__ = ["RunView", "read_view"]


@dataclass(frozen=True)
class RunView:
    """A run.

    Attributes:
        name: of the folder.
        curves: the picture of its curves as a data URL; None before the run has finished.
        accuracy: readout step, test accuracy of the last and of the best epoch, as texts.
        facts: names and values of what is known of it.
    """

    name: str
    curves: str | None
    accuracy: tuple[tuple[str, str, str], ...]
    facts: tuple[tuple[str, str], ...]


def read_view(path: Path, overrides: Sequence[str | Override] = ()) -> tuple[NetworkSpec, RunView]:
    """The spec of a run, and what the page shows of it.

    Raises:
        DataError: if this is no run, or is damaged.
        SpecError: if its spec cannot be read.
    """
    from cortexgraph.training.run_folder import RunFolder

    run = RunFolder(path)
    settings = run.read_settings().get("settings", {})
    spec = load(run.spec, overrides)
    facts = [(name.replace("_", " "), str(value)) for name, value in settings.items() if value is not None]
    curves = run.path / "curves.svg"
    if not run.is_finished or not curves.exists():
        return spec, RunView(run.path.name, None, (), tuple(facts))
    summary = run.read_json(run.summary)
    last, best = summary.get("accuracy", {}), summary.get("best_accuracy", {})
    accuracy = tuple((step, f"{share:.2%}", f"{best.get(step, share):.2%}") for step, share in last.items())
    told = [(name, str(summary[name])) for name in ("data", "best_epoch", "device", "command") if summary.get(name)]
    picture = base64.b64encode(curves.read_bytes()).decode()
    facts = [*((name.replace("_", " "), value) for name, value in told), *facts]
    return spec, RunView(run.path.name, f"data:image/svg+xml;base64,{picture}", accuracy, tuple(facts))
