"""One run of an experiment: train, measure, and leave what came of it in the run's folder."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cortexgraph.errors import CortexGraphError, DataError, Diagnostic
from cortexgraph.experiment.model import EvaluationSpec
from cortexgraph.experiment.plan import Run
from cortexgraph.files import write_text
from cortexgraph.training.run_folder import RunFolder

__all__ = ["Outcome", "carry_out", "check_out", "is_done", "outcome_of", "stale", "trained_as"]

RESULT = "result.json"


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        run: its name.
        error: what went wrong; empty if nothing did.
        result: what was measured, as in `result.json`.
    """

    run: str
    error: str = ""
    result: Mapping[str, Any] | None = None


def is_done(run: Run) -> bool:
    """Whether the run is trained and measured as asked."""
    return outcome_of(run) is not None


def outcome_of(run: Run) -> Outcome | None:
    """What came of a run that is finished, and measured as asked."""
    try:
        found = json.loads((run.folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("asked") != _asked(run) or not RunFolder(run.folder).is_finished:
        return None
    return Outcome(run.name, result=found)


def stale(run: Run) -> Diagnostic | None:
    """What in a run's folder is of another experiment, if anything is."""
    folder = RunFolder(run.folder)
    if not folder.is_run:
        return None
    stored = folder.read_settings()
    changed = [
        name for name, value in run.settings.model_dump().items() if stored.get("settings", {}).get(name) != value
    ]
    if stored.get("spec_sha256") != _resolved_digest(run):
        changed.append("spec")
    card = folder.read_json(folder.data)["load_data"] if folder.data.exists() else None
    if card is not None and card != dict(run.data):
        changed.append("data")
    if not changed:
        return None
    return Diagnostic(
        "other-experiment",
        str(run.folder),
        f"this run was made with other {', '.join(changed)}",
        repair="Name another folder with --out, or give --overwrite to repeat such runs.",
    )


def carry_out(run: Run, *, overwrite: bool = False) -> Outcome:
    """Train and measure, as far as it is not done; whatever goes wrong is told in the outcome.

    A run that was interrupted goes on from its last finished epoch. Another process that works on the same run keeps
    it for itself.
    """
    from filelock import FileLock, Timeout

    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(run.folder.with_suffix(".lock"), timeout=20):
            return outcome_of(run) or _measured(run, overwrite=overwrite)
    except Timeout:
        return Outcome(run.name, f"{run.folder}: another process works on this run")
    except CortexGraphError as error:
        return Outcome(run.name, str(error))
    except OSError as error:
        return Outcome(run.name, f"{run.folder}: it cannot be written: {error.strerror}")
    except Exception:  # one run's failure, whatever it is, leaves the others alone
        return Outcome(run.name, traceback.format_exc())


def _measured(run: Run, *, overwrite: bool) -> Outcome:
    from cortexgraph.data import load_data
    from cortexgraph.training import train

    spec = run.variant.spec
    size = spec.input.size
    pair = (size, size) if isinstance(size, int) else size
    images = load_data(**run.data, size=pair, channels=spec.input.channels)
    folder = RunFolder(run.folder)
    if overwrite and stale(run) is not None:
        train(spec, images, run.settings, run.folder, overwrite=True, quiet=True, origin=run.data)
    elif not folder.is_finished:
        train(spec, images, run.settings, run.folder, resume=folder.is_run, quiet=True, origin=run.data)
    result = _result(run, images)
    write_text(run.folder / RESULT, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return Outcome(run.name, result=result)


def _result(run: Run, images: Any) -> dict[str, Any]:
    folder = RunFolder(run.folder)
    summary = folder.read_json(folder.summary)
    looks = {name: _look(run, look, images) for name, look in run.evaluations.items()}
    return {
        "asked": _asked(run),
        "variant": run.variant.name,
        "values": dict(run.variant.values),
        "seed": run.seed,
        "parameters": summary["parameters"],
        "epochs": summary["epochs"],
        "seconds": summary["seconds"],
        "device": summary["device"],
        "accuracy": summary["accuracy"],
        "evaluations": looks,
    }


def _look(run: Run, look: EvaluationSpec, images: Any) -> list[dict[str, Any]]:
    """Accuracy at each readout step of one evaluation of the run's weights."""
    from cortexgraph.edit import lesion
    from cortexgraph.training import evaluate, load_run

    opened = load_run(run.folder)
    network = lesion(opened.network, *look.lesion) if look.lesion else opened.network
    measured = evaluate(
        network,
        opened.normalised(images),
        at=look.at,
        steps=look.steps,
        order=look.order,
        device=run.settings.device,
    )
    return [asdict(step) for step in measured.steps]


def _asked(run: Run) -> dict[str, Any]:
    """What the run was asked for, in JSON: what differs in it calls for another measurement."""
    looks = {name: look.model_dump(mode="json", exclude_defaults=True) for name, look in run.evaluations.items()}
    return trained_as(run) | {"evaluations": looks}


def trained_as(run: Run) -> dict[str, Any]:
    """What decides a run's weights, in JSON."""
    return {
        "spec_sha256": _resolved_digest(run),
        "settings": run.settings.model_dump(mode="json"),
        "data": dict(run.data),
    }


def _resolved_digest(run: Run) -> str:
    from cortexgraph.compiler import build
    from cortexgraph.graph import resolved

    return resolved(build(run.variant.spec)).digest


def check_out(out: Path) -> None:
    """Whether the experiment's folder can be written.

    Raises:
        DataError: if not.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / ".writable", "")
        (out / ".writable").unlink()
    except OSError as error:
        raise DataError(
            Diagnostic("unwritable", str(out), f"it cannot be written: {error.strerror}", repair="Name another --out.")
        ) from None
