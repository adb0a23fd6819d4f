"""A training that is checked: how it begins in its folder, its summary at the end, and its extension afterwards."""

from __future__ import annotations

import io
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch

from cortexgraph.compiler import unroll
from cortexgraph.data import ImageData
from cortexgraph.drawing import draw, draw_unrolled
from cortexgraph.errors import CortexGraphError, DataError, Diagnostic
from cortexgraph.files import write_bytes, write_text
from cortexgraph.network import CompiledNetwork
from cortexgraph.spec import NetworkSpec
from cortexgraph.training.images import images_text
from cortexgraph.training.loaders import left_out
from cortexgraph.training.processes import is_first_process
from cortexgraph.training.recipe import STANDARD
from cortexgraph.training.recorder import plain_state
from cortexgraph.training.records import DECIDING, DataCard, EpochRecord, Started, Summary, best_epoch, reported_epoch
from cortexgraph.training.run_folder import LOCK, PART, RunFolder, save_tensors, write_json
from cortexgraph.training.settings import TrainSettings, stored_settings
from cortexgraph.training.starting import Frozen, Start
from cortexgraph.training.tasks import ACCURACY
from cortexgraph.unrolling import total_parameters, trained_parameters
from cortexgraph.version import __version__
from cortexgraph.wording import count_of, parameters_text


@dataclass(frozen=True)
class Job:
    """A training.

    Attributes:
        run: its folder.
        spec, network: resolved, and compiled with the weights from which training starts.
        data: the images, those for validation set aside; `rows` says which they are.
        card: what the run keeps of all the images.
        settings: with the precision in which this machine computes.
        started: how the run was started, or would be.
        device: where to train.
        start: whose weights training starts from; None for new ones, or where a run is resumed.
        frozen: what does not change.
    """

    run: RunFolder
    spec: NetworkSpec
    network: CompiledNetwork
    data: ImageData
    rows: list[int]
    card: DataCard
    settings: TrainSettings
    started: Started
    device: torch.device
    start: Start | None
    frozen: Frozen

    def begin(self, *, resume: bool, overwrite: bool, quiet: bool) -> tuple[Path, dict[str, Any]] | None:
        """Write the files of a new run, or those that a resumed run lacks, and announce the training.

        Returns the checkpoint from which a resumed run goes on. Raises DataError if the folder is not free or
        resumable.
        """
        run = self.run
        run.check_startable(resume=resume, overwrite=overwrite)  # another process may have been here meanwhile
        last = checkpoint_to_resume(run, self.started, self.spec, self.card) if resume else None
        if not is_first_process():
            return last
        if resume:
            run.complete(self.spec, self.card, self.rows)
        else:
            initial = plain_state(self.network) if self.start else None
            run.start(self.started, self.spec, self.card, self.rows, initial)
        self._describe()
        if not quiet:
            self._announce()
        return last

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the weights; the run has begun."""
        spec, own = self.spec, self.run.identity(self.spec, self.card)
        return {
            "network": spec.name,
            "spec_sha256": spec.digest,
            "data": self.card.name,
            "format": "pt",
            "identity": own,
        }

    @property
    def device_name(self) -> str:
        """The name of the devices, for people."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return f"{self.settings.processes} × {name}" if self.settings.processes > 1 else name

    @property
    def counts(self) -> tuple[int, int, int]:
        """All parameters, those that are trained, and those that are frozen."""
        full, frozen = unroll(self.spec), self.frozen.parameters
        return total_parameters(full), trained_parameters(full) - frozen, frozen

    def _announce(self) -> None:
        """Announce network, data, initial weights and frozen parts before training."""
        spec, settings = self.spec, self.settings
        print(f"{self.data.name}: {images_text(self.data, settings)}")
        print(
            f"{spec.name}: {parameters_text(*self.counts)}, for {settings.epochs} "
            f"epoch{'s' * (settings.epochs != 1)} in batches of {settings.batch_size}{self._accumulated()}"
            f"{self._left_out()} on "
            f"{self.device_name}"
            f"{f' in {settings.precision}' * (settings.precision != '32')}"
            f"{f', recipe {settings.recipe}' * (settings.recipe != STANDARD)}"
        )
        if settings.restarts:
            epochs = ", ".join(map(str, settings.restarts))
            print(f"the schedule of the learning rate starts again after epoch {epochs}")
        if self.start is not None:
            print(f"{spec.name} {self.start}")
        if self.frozen.modules:
            print(f"frozen: {', '.join(settings.freeze)}; their running statistics do not move either")
        sys.stdout.flush()

    def _accumulated(self) -> str:
        """What the announcement says of an update of several batches."""
        settings = self.settings
        text = f" × {settings.accumulate} = {settings.images_per_update:,} images in each update"
        return text * (settings.accumulate > 1)

    def _left_out(self) -> str:
        """What the announcement says of images that do not fill a batch."""
        count = left_out(self.data, self.settings)
        return f" (each epoch leaves out {count_of(count, 'image')}, others every time: no full batch)" if count else ""

    def _describe(self) -> None:
        """Write source and drawings where they are missing."""
        if not self.run.source.exists():
            write_text(self.run.source, self.network.source, durable=True)
        for make, paths in ((draw, self.run.areas), (draw_unrolled, self.run.unrolled)):
            if not all(path.exists() for path in paths):
                drawing = make(self.spec)
                for path in paths:
                    drawing.save(path)

    # ---- the end -----------------------------------------------------------------

    def summary(self, history: Sequence[EpochRecord], tested: Mapping[str, Mapping[int, float]] | None) -> Summary:
        """The summary of the finished run; `tested` are the metrics on test images that were evaluated once."""
        splits = {"train": self.data.train, "validation": self.data.validation, "test": self.data.test}
        started = self.run.read_settings() if is_first_process() else self.started
        (total, trained, untrained), best = self.counts, best_epoch(history)
        own: dict[str, object] = {}  # settings that the first readout has for itself
        if (over := self.spec.readout.loss_over) is not None:
            own["loss_over"] = over if isinstance(over, str) else ",".join(map(str, over))
        if self.spec.readout.loss is not None:
            own["loss"] = self.spec.readout.loss
        scores = _fields(history[-1].all_metrics if tested is None else tested) | _fields(best.all_metrics, "best_")
        scores |= {"score": best.score} if best.score != ACCURACY else {}
        return Summary(
            name=self.spec.name,
            run=self.run.path,
            data=self.card.name,
            epochs=len(history),
            best_epoch=best.epoch,
            chosen_on=best.split,
            kept_epoch=reported_epoch(history).epoch,
            parameters=trained,
            total_parameters=total,
            frozen_parameters=untrained,
            seconds=sum(record.seconds for record in history),
            device=self.device_name,
            precision=self.settings.precision,
            seed=self.settings.seed,
            spec_digest=self.spec.digest,
            data_digest=self.card.sha256,
            command=started.command,
            init_from=started.init_from,
            versions=versions(),
            settings=self.settings.model_dump(mode="json") | own,
            images={split: len(images) for split, images in splits.items() if images is not None},
            **scores,
        )


def _fields(metrics: Mapping[str, Mapping[int, float]], prefix: str = "") -> dict[str, Any]:
    """Metrics as the fields of a summary: accuracy has one of its own."""
    others = {name: dict(values) for name, values in metrics.items() if name != ACCURACY}
    own = {f"{prefix}{ACCURACY}": dict(metrics[ACCURACY])} if ACCURACY in metrics else {}
    return own | ({f"{prefix}metrics": others} if others else {})


def versions() -> dict[str, str]:
    """The versions of the packages that compute a run."""
    own = {"cortexgraph": __version__, "torch": torch.__version__, "lightning": lightning.__version__}
    return own | {"python": platform.python_version()}


def checkpoint_to_resume(
    run: RunFolder, started: Started, spec: NetworkSpec, card: DataCard
) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint from which a resumed run goes on, and its file; None if it was interrupted before the first one.

    Raises DataError if spec, settings or data are not those that it was started with, or a file is damaged.
    """
    before = run.train_settings().model_dump(mode="json")
    pairs = {f"settings.{name}": (before[name], value) for name, value in started.settings.items()}
    pairs["spec"] = (run.read_settings().spec_sha256, started.spec_sha256)
    if run.data.exists():
        kept = run.read_card()
        if kept.streamed != card.streamed:
            repair = "Give --data-memory 0." if kept.streamed else "Give --data-memory with a larger size."
            is_now, was = (("streamed" if each.streamed else "in memory") for each in (card, kept))
            finding = Diagnostic("resume-changed", "data", f"images are {is_now} now", f"they were {was}", repair)
            raise DataError(finding)
        pairs |= {f"data.{name}": (getattr(kept, name), getattr(card, name)) for name in DECIDING}
    if findings := [_changed(place, *values) for place, values in pairs.items() if values[0] != values[1]]:
        raise DataError(findings)
    newest = run.read_newest(stored_settings(started.settings | started.machines).processes)
    if newest is None:
        return None
    if run.last.exists():
        run.read_weights(spec, card)
    digest = run.identity(spec, card)
    if newest[1]["callbacks"]["Recorder"].get("identity", digest) != digest:
        raise run.damaged(run.settings, "or data.json is not what the run was started with")
    return newest


def _changed(place: str, before: object, now: object) -> Diagnostic:
    was, now = (value[:16] if isinstance(value, str) and len(value) == 64 else value for value in (before, now))
    expected = f"the run was started with {was}"
    repair = "Resume with the arguments of the start (leave options out), or start another run."
    return Diagnostic("resume-changed", place, f"it is {now} now", expected, repair)


# ---- extending a finished run -------------------------------------------------------
#
# Until the extension is finished it is a separate unfinished run, in the folder `extension` of the run, which does
# not change. The finished extension then takes the place of the run, file by file.


def begin_extension(run: RunFolder, epochs: int, command: str) -> None:
    """Copy a finished, whole run into its extension, as an unfinished run of `epochs` more epochs.

    The schedule of the learning rate starts again (`TrainSettings.restarts`); the state of the optimiser stays.
    """
    part = RunFolder(run.path / PART)
    for folder in (part.path, run.extension.path):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run.path, part.path, ignore=shutil.ignore_patterns(LOCK, PART))
    for path in (part.summary, part.summary_text):
        path.unlink(missing_ok=True)
    before, started = run.train_settings(), run.read_settings()
    changes = {"epochs": before.epochs + epochs, "restarts": [*before.restarts, before.epochs]}
    commands = " && ".join(filter(None, (started.command, command)))
    write_json(part.settings, started.model_copy(update={"settings": started.settings | changes, "command": commands}))
    _adopt(part)
    part.path.rename(run.extension.path)


def _adopt(run: RunFolder) -> None:
    """Mark checkpoint and weights as those of the changed settings."""
    import torch

    identity = run.identity(run.read_spec(), run.read_card())
    checkpoint = torch.load(run.last, map_location="cpu", weights_only=True)
    checkpoint["callbacks"]["Recorder"]["identity"] = identity
    torch.save(checkpoint, buffer := io.BytesIO())  # into a file, torch has an error of its own for a full disk
    write_bytes(run.last, buffer.getvalue(), durable=True)
    state, metadata = run.tensors(run.weights)
    save_tensors(run.weights, state, metadata | {"identity": identity})


@contextmanager
def withdrawn_if_nothing_was_trained(run: RunFolder) -> Iterator[None]:
    """Remove the extension of a run if the block fails before the first of its epochs is finished."""
    try:
        yield
    except CortexGraphError:
        if run.extension.read_last()["epoch"] + 1 == run.read_summary().epochs:
            shutil.rmtree(run.extension.path)
        raise


def finish_extension(run: RunFolder) -> Summary:
    """Replace the run by its finished extension, and return the summary of the whole; also after an interruption."""
    extension = run.extension
    summary = extension.read_summary().model_copy(update={"run": run.path})
    write_json(extension.summary, summary)
    files = [path for path in extension.path.rglob("*") if path.is_file() and path.name != LOCK]
    for path in sorted(files, key=lambda path: path == extension.summary):
        target = run.path / path.relative_to(extension.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    shutil.rmtree(extension.path)
    return summary
