"""One run of an experiment: train, measure, and leave the result in the run's folder.

`python -m cortexgraph.experiment.run FILE` carries out the run that the file holds, in a separate process.
"""

from __future__ import annotations

import csv
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, cast

from pydantic import AliasChoices, Field, JsonValue
from typing_extensions import TypedDict

from cortexgraph.compiler import build
from cortexgraph.errors import CortexGraphError, DataError, Diagnostic
from cortexgraph.experiment.model import EvaluationSpec
from cortexgraph.experiment.plan import Run
from cortexgraph.files import locked, read_text
from cortexgraph.registrations import import_registrations
from cortexgraph.spec.fields import pair
from cortexgraph.training.processes import end_with_parent, is_first_process, on_these_machines
from cortexgraph.training.records import Count, Split, Summary
from cortexgraph.training.run_folder import RunFolder, write_json
from cortexgraph.training.settings import in_force
from cortexgraph.training.tasks import ACCURACY

if TYPE_CHECKING:
    from cortexgraph.data import ImageData
    from cortexgraph.network import CompiledNetwork
    from cortexgraph.training import TrainedRun
    from cortexgraph.training.records import EpochRecord

RESULT = "result.json"
PRUNED = 3
"""Exit code of a separate process whose run a search pruned."""


FORMER = AliasChoices("scores", "score", "accuracy")
"""Names of values: results of earlier versions call them accuracies."""


class Reading(TypedDict):
    """One readout step of an evaluation."""

    step: Annotated[int, Field(ge=1)]
    score: Annotated[float, Field(validation_alias=FORMER)]
    loss: float
    trained: bool


class Result(TypedDict):
    """The measurements, as in `result.json`; `asked` is the request that they answer.

    `scores` has the value of `metric`, which is accuracy if it is left out, at each readout step.
    """

    asked: dict[str, JsonValue]
    variant: str
    values: dict[str, str]
    seed: int
    parameters: Count
    epochs: Count
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    device: str
    scores: Annotated[
        dict[Annotated[str, Field(pattern="^[0-9]{1,9}$")], float], Field(min_length=1, validation_alias=FORMER)
    ]
    metric: NotRequired[str]
    evaluations: dict[str, Annotated[list[Reading], Field(min_length=1)]]
    chosen_on: NotRequired[Split]  # results of earlier versions have none
    validation: NotRequired[dict[str, float]]  # score and loss of the kept epoch, where images are set aside


def metric_of(result: Result) -> str:
    """The metric of its scores."""
    return result.get("metric", ACCURACY)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        run: its name.
        error: what went wrong; empty if nothing did.
        result: what was measured; None after an error, or if a search pruned the run.
    """

    run: str
    error: str = ""
    result: Result | None = None


def outcome_of(run: Run) -> Outcome | None:
    """The outcome of a run that is finished, and measured as asked; DataError if its result is damaged."""
    folder = RunFolder(run.folder)
    if not folder.is_finished or not (run.folder / RESULT).exists():
        return None
    result: Result = folder.read(run.folder / RESULT, Result)
    asked, settings = result["asked"], result["asked"].get("settings")
    if asked | {"settings": in_force(settings) if isinstance(settings, dict) else None} != _asked(run):
        return None
    own = (run.variant.name, dict(run.variant.values), run.seed, run.evaluations.keys())
    if (result["variant"], result["values"], result["seed"], result["evaluations"].keys()) != own:
        raise folder.damaged(run.folder / RESULT, "is the result of another run")
    if metric_of(result) == ACCURACY and not all(0 <= value <= 1 for value in result["scores"].values()):
        raise folder.damaged(run.folder / RESULT, "is not what a run writes (`scores`)")
    return Outcome(run.name, result=result)


def stale(run: Run) -> Diagnostic | None:
    """The finding for a run's folder that belongs to another experiment; DataError if the folder is damaged."""
    folder = RunFolder(run.folder)
    if not folder.is_run:
        return None
    own, before, settings = _trained_as(run), in_force(folder.train_settings()), in_force(run.settings)
    changed = [name for name in settings if before[name] != settings[name]]
    if folder.read_settings().spec_sha256 != own["spec_sha256"]:
        changed.append("spec")
    if folder.data.exists() and _deciding(folder.read_card().arguments) != own["data"]:
        changed.append("data")
    if not changed:
        return None
    found = f"this run was made with other {', '.join(changed)}"
    repair = "Name another folder with --out, or give --overwrite to repeat such runs."
    return Diagnostic("other-experiment", str(run.folder), found, repair=repair)


def carry_out(run: Run, *, overwrite: bool = False, apart: Mapping[str, str] | None = None) -> Outcome:
    """Train and measure where that is not done yet; the outcome holds any error.

    A run that was interrupted resumes after its last finished epoch. The run is locked against other processes. With
    `overwrite` it is repeated where its folder belongs to another experiment; with variables `apart` a separate process
    carries it out, so that a crash ends only this run. A run on several devices always has one: each of its processes
    runs the program that carries out this run alone.
    """
    if apart is not None or run.settings.processes > 1:
        return _apart(run, overwrite, os.environ if apart is None else apart)
    return _here(run, overwrite=overwrite)


def _apart(run: Run, overwrite: bool, variables: Mapping[str, str]) -> Outcome:
    with NamedTemporaryFile(suffix=".run") as file:
        file.write(pickle.dumps((run, overwrite, os.getpid())))
        file.flush()
        process = subprocess.run(
            [sys.executable, "-m", "cortexgraph.experiment.run", file.name],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=variables,
            check=False,
        )
    if process.returncode == PRUNED:
        return Outcome(run.name)
    if process.returncode == 0 and (outcome := outcome_of(run)) is not None:
        return outcome
    message = process.stderr.decode(errors="replace").strip()
    return Outcome(run.name, message or f"its process ended with code {process.returncode}")


def _here(run: Run, *, overwrite: bool) -> Outcome:
    lock = run.folder.with_suffix(".lock")
    try:
        import_registrations()
        if not is_first_process():
            return _measured(run, overwrite=overwrite)
        with locked(lock, f"another process works on {run.folder.name}", wait_s=20):
            return outcome_of(run) or _measured(run, overwrite=overwrite)
    except CortexGraphError as error:
        return Outcome(run.name, str(error))
    except OSError as error:
        return Outcome(run.name, f"{run.folder}: it cannot be written: {error.strerror}")
    except Exception as error:  # one run's failure, whatever it is, leaves the others alone
        known = {"TrialPruned": "", "UncompletedJobError": f"{error} The same command continues the run."}
        return Outcome(run.name, known.get(type(error).__name__, traceback.format_exc()))


def adopt(runs: Sequence[Run], folders: Sequence[Path]) -> list[Run]:
    """Copy finished runs of the same spec, settings and data from folders of other experiments, and say which.

    Runs that have begun are left alone. Raises DataError if a run in the folders is damaged.
    """
    others = [RunFolder(path.parent) for folder in folders for path in sorted(folder.rglob("summary.json"))]
    finished = [(other.path, _stored_as(other)) for other in others if other.is_finished]
    adopted = []
    for run in runs:
        twins = [path for path, stored in finished if stored == _trained_as(run) and path != run.folder]
        if twins and not RunFolder(run.folder).is_run:
            temporary = run.folder.with_name(f".{run.folder.name}.copy")
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(twins[0], temporary, ignore=shutil.ignore_patterns(RESULT, ".*"))
            shutil.rmtree(run.folder, ignore_errors=True)
            temporary.rename(run.folder)
            adopted.append(run)
    return adopted


# ---- measuring --------------------------------------------------------


def _measured(run: Run, *, overwrite: bool) -> Outcome:
    from cortexgraph.training import train

    folder = RunFolder(run.folder)
    again = overwrite and stale(run) is not None
    resume = not again and folder.state == "unfinished"
    images = _images(run, folder.read_card().streamed if resume and folder.data.exists() else None)
    if again or not folder.is_finished:
        on_epoch = None if run.trial is None else _judge(run.trial)
        started: dict[str, Any] = {"resume": resume, "overwrite": again, "origin": run.data}
        train(run.variant.spec, images, run.settings, folder.path, quiet=True, on_epoch=on_epoch, **started)
    if not is_first_process():
        return Outcome(run.name)
    summary = folder.read_summary()
    result = Result(
        asked=_asked(run),
        variant=run.variant.name,
        values=dict(run.variant.values),
        seed=run.seed,
        parameters=summary.parameters,
        epochs=summary.epochs,
        seconds=summary.seconds,
        device=summary.device,
        scores={str(step): score for step, score in summary.scores.items()},
        metric=summary.score,
        evaluations={name: _readings(run, evaluation, images) for name, evaluation in run.evaluations.items()},
        chosen_on=summary.chosen_on,
    )
    if summary.chosen_on == "validation":
        result["validation"] = _on_validation(folder, summary)
    write_json(run.folder / RESULT, result)
    return Outcome(run.name, result=result)


def check_images(runs: Sequence[Run], variants: Collection[str]) -> None:
    """Load what the runs will load, each data set once, and check it against their networks and settings.

    Raises DataError with every finding; what all variants of the experiment share is said without their names.
    """
    import_registrations()
    found: dict[Diagnostic, list[str]] = {}
    waiting = list({run.variant.name: run for run in runs}.values())  # a seed changes nothing here
    while waiting:
        request = _image_request(waiting[0])
        for name, finding in _misfits(request, [run for run in waiting if _image_request(run) == request]):
            found.setdefault(finding, []).append(name)
        waiting = [run for run in waiting if _image_request(run) != request]
    findings = []
    for finding, names in found.items():
        owner = "" if set(names) >= set(variants) else f"{names[0]}{' and others' * (len(names) > 1)}: "
        findings.append(replace(finding, place=f"{owner}{finding.place}"))
    if findings:
        raise DataError(findings)


def _misfits(request: Mapping[str, Any], runs: Sequence[Run]) -> Iterator[tuple[str, Diagnostic]]:
    """What is wrong with the images that the runs share, and how they do not fit a run, with the variant's name."""
    from cortexgraph.data import load_data
    from cortexgraph.training.fit import prepared

    try:
        images = load_data(**request, processes=max(run.settings.devices * run.jobs for run in runs))
    except CortexGraphError as error:
        yield from ((run.variant.name, finding) for run in runs for finding in error.diagnostics)
        return
    except Exception:  # of the user's own reader: the runs report it
        return
    for run in runs:
        try:
            prepared(build(run.variant.spec), images, run.settings, [])
        except CortexGraphError as error:
            yield from ((run.variant.name, finding) for finding in error.diagnostics)


def _image_request(run: Run) -> dict[str, Any]:
    """The arguments of `load_data` that decide the images."""
    shape = run.variant.spec.input
    return {**run.data, "size": pair(shape.size), "channels": shape.channels}


def _images(run: Run, streamed: bool | None) -> ImageData:
    """The images: in memory if the runs at work have room for them together, or as the run has begun."""
    from cortexgraph.data import load_data

    processes = on_these_machines(run.settings).devices * (1 if streamed is False else run.jobs)
    memory = {"memory": 0} if streamed else {}
    return load_data(**_image_request(run) | memory, processes=processes)


def _judge(trial: tuple[str, int, str]) -> Callable[[EpochRecord], None]:
    from cortexgraph.experiment.study import judge

    return judge(trial)


def _on_validation(folder: RunFolder, summary: Summary) -> dict[str, float]:
    """Score and loss of the best epoch on the validation images."""
    with folder.metrics.open() as table:
        row = next(row for row in csv.DictReader(table) if int(row["epoch"]) == summary.best_epoch)
    return {name: float(row[f"validation_{of}"]) for name, of in (("score", summary.score), ("loss", "loss"))}


def _readings(run: Run, evaluation: EvaluationSpec, images: ImageData) -> list[Reading]:
    """The score at each readout step of one evaluation of the run's weights."""
    from cortexgraph.edit import lesion
    from cortexgraph.training import evaluate, load_run

    trained = load_run(run.folder)
    network: TrainedRun | CompiledNetwork = trained.network
    if evaluation.intervene is not None:
        network = replace(trained, interventions=Path(evaluation.intervene))
    else:
        images = trained.normalised(images)
    if evaluation.lesion:
        network = cast("CompiledNetwork", lesion(trained.network, *evaluation.lesion))
    at, steps, order = evaluation.at, evaluation.steps, evaluation.order
    own = run.settings
    measured = evaluate(network, images, at=at, steps=steps, order=order, device=own.device, settings=own)
    steps_and_scores = zip(measured.steps, measured.scores(), strict=True)
    return [Reading(step=s.step, score=score, loss=s.loss, trained=s.trained) for s, score in steps_and_scores]


# ---- identity ---------------------------------------------------------


def _asked(run: Run) -> dict[str, JsonValue]:
    """What the run was asked for, in JSON: a difference calls for another measurement."""
    of_each = {name: look.model_dump(mode="json", exclude_defaults=True) for name, look in run.evaluations.items()}
    for name, look in run.evaluations.items():
        if look.intervene is not None:
            of_each[name]["intervene"] = read_text(Path(look.intervene))
    return _trained_as(run) | {"evaluations": cast(JsonValue, of_each)}


def _trained_as(run: Run) -> dict[str, JsonValue]:
    """What decides a run's weights, in JSON."""
    from cortexgraph.graph import resolved

    digest = resolved(build(run.variant.spec)).digest
    return {"spec_sha256": digest, "settings": in_force(run.settings), "data": _deciding(run.data)}


def _deciding(data: Mapping[str, Any] | None) -> dict[str, JsonValue] | None:
    """The arguments of `load_data` that decide the images: not how many of them the memory holds at a time."""
    return None if data is None else {name: value for name, value in data.items() if name != "memory"}


def _stored_as(folder: RunFolder) -> dict[str, JsonValue]:
    """The same, as a run's folder has it."""
    started = folder.read_settings()
    settings, data = in_force(started.settings), _deciding(folder.read_card().arguments)
    own: dict[str, JsonValue] = {"spec_sha256": started.spec_sha256, "settings": settings, "data": data}
    return own | ({"initial": started.initial} if started.initial else {})  # no experiment has such a run


# ---- a separate process ----------------------------------------------------


def main() -> int:
    """Carry out the run that a file holds; errors go to standard error."""
    run, overwrite, parent = pickle.loads(Path(sys.argv[1]).read_bytes())  # from the process that started this one
    if is_first_process():
        threading.Thread(target=end_with_parent, args=(parent,), daemon=True).start()
    if (of_submitit := getattr(signal, "SIGUSR2", None)) is not None:  # it is sent to every process of the job
        signal.signal(of_submitit, signal.SIG_IGN)
    try:
        outcome = _here(run, overwrite=overwrite)
    except KeyboardInterrupt as stopped:
        print(stopped, file=sys.stderr)
        return 128 + signal.SIGINT
    print(outcome.error, file=sys.stderr)
    return 1 if outcome.error else 0 if outcome.result or not is_first_process() else PRUNED


if __name__ == "__main__":
    sys.exit(main())
