"""The folder of a run: its files, which process may write into it, and how each file is written and read."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from cortexgraph.errors import CortexGraphError, DataError, Diagnostic, SpecError
from cortexgraph.files import leftovers, locked, replacing, write_bytes, write_text
from cortexgraph.spec import NetworkSpec, load, save
from cortexgraph.spec.overrides import Override
from cortexgraph.training.losses import LOSSES
from cortexgraph.training.processes import is_first_process
from cortexgraph.training.records import Count, DataCard, Started, Summary, identity
from cortexgraph.training.settings import REGISTRIES, TrainSettings, stored_settings
from cortexgraph.wording import quoted, shortened

if TYPE_CHECKING:
    from torch import Tensor

MARK, LAYOUT = "cortexgraph_run", 1
"""Key in `settings.json` that makes a folder a run; its value is the version of the layout."""
PARTS = ("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks")
"""What a checkpoint holds, and resuming needs."""
LOCK = ".run.lock"
PART = ".extension.part"
"""An extension that is being made."""
MAY_HOLD_CODE = {".bin", ".ckpt", ".h5", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".py"}
"""Suffixes of files that are never read in the folder of a run."""


class Validation(TypedDict):
    """What `validation.json` holds: rows of the training images, as `load_data` gives them."""

    rows: list[Count]


State = Literal["none", "started", "unfinished", "finished"]
T = TypeVar("T")


class RunFolder:
    """Paths of a run's files, and the rules for starting, resuming and reading one; the folder need not exist.

    Every method raises DataError, with the repair, where the state of the folder forbids what it does, where a file is
    missing, damaged or of a later layout, and where nothing can be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.lock = self.path / LOCK
        self.settings = self.path / "settings.json"
        self.summary, self.summary_text = self.path / "summary.json", self.path / "summary.md"
        self.spec, self.source = self.path / "spec.yaml", self.path / "model.py"
        self.areas = [self.path / f"areas.{suffix}" for suffix in ("svg", "pdf")]
        self.unrolled = [self.path / f"unrolled.{suffix}" for suffix in ("svg", "pdf")]
        self.curves = [self.path / f"curves.{suffix}" for suffix in ("svg", "png")]
        self.data, self.metrics = self.path / "data.json", self.path / "metrics.csv"
        self.validation, self.initial = self.path / "validation.json", self.path / "initial.safetensors"
        self.weights = self.path / "weights.safetensors"
        self.checkpoints, self.tensorboard = self.path / "checkpoints", self.path / "tensorboard"
        self.last, self.best = self.checkpoints / "last.ckpt", self.checkpoints / "best.ckpt"
        self.within = self.checkpoints / "within.ckpt"

    @property
    def _files(self) -> list[Path]:
        """All files but the settings, which are written first and never removed; first the mark of a finished run."""
        own = [self.summary, self.summary_text, self.spec, self.source, *self.areas, *self.unrolled, *self.curves]
        return [*own, self.data, self.metrics, self.validation, self.initial, self.weights]

    @property
    def unchanged(self) -> list[Path]:
        """The files that a packed run has as they are; not every run has a `validation.json`."""
        return [self.spec, self.metrics, self.validation]

    @property
    def packed(self) -> list[Path]:
        """The files of a packed run, none of which holds code."""
        return [*self.unchanged, self.weights, self.settings, self.data, self.summary, self.summary_text]

    @property
    def code(self) -> list[str]:
        """Names of files that may hold code; the source of a run, which nobody needs, is left out."""
        names = (path.name for path in self.path.glob("*") if path.suffix in MAY_HOLD_CODE)
        return sorted(name for name in names if name != self.source.name)

    # ---- state ----------------------------------------------------------

    @property
    def state(self) -> State:
        """`none` (not a run), `started` (its start was interrupted), `unfinished` (resumable) or `finished`."""
        try:
            text = self.settings.read_bytes() if self.settings.is_file() else b""
            if MARK not in TypeAdapter(dict[str, JsonValue]).validate_json(text):
                return "none"
        except (OSError, ValidationError):
            return "none"
        if self.summary.exists():
            return "finished"
        started = self.last.exists() or (self.spec.exists() and self.data.exists())
        return "unfinished" if started else "started"

    @property
    def is_run(self) -> bool:
        """Whether this is the folder of a run, finished or not."""
        return self.state != "none"

    @property
    def is_finished(self) -> bool:
        return self.state == "finished"

    @property
    def extension(self) -> RunFolder:
        """The extension of this run, which is there until it is finished."""
        return RunFolder(self.path / "extension")

    @property
    def is_being_extended(self) -> bool:
        """Whether there is an extension that has not yet taken the place of this run."""
        return self.extension.is_run or self.extension.summary.exists()

    # ---- starting ------------------------------------------------------------

    def check_startable(self, *, resume: bool = False, overwrite: bool = False, extend: bool = False) -> None:
        """Check in the first process that a run may start, resume, or be extended here; changes nothing."""
        if not is_first_process():
            return
        asked = [name for name, value in (("resume", resume), ("extend", extend), ("overwrite", overwrite)) if value]
        if len(asked) > 1:
            raise self._refusal(f"both {asked[0]} and {asked[1]} were asked for", "Choose one of them.")
        if self.path.exists() and not self.path.is_dir():
            raise self._refusal("this is a file, not a folder", "Name another folder.")
        refusals = self._not_to_be_resumed() if resume else self._not_to_be_extended() if extend else self._taken()
        if overwrite:
            refusals = {state: refusal for state, refusal in refusals.items() if state == "none"}
        if (state := self.state) in refusals:
            raise self._refusal(*refusals[state])

    def _taken(self) -> dict[State, tuple[str, str]]:
        """The states in which no run may start here, each with the repair."""
        refusals: dict[State, tuple[str, str]] = {
            "unfinished": ("this folder holds an unfinished run", "Continue it with --resume, or give --overwrite."),
            "finished": ("this folder holds a finished run", "Name another with --out, or give --overwrite."),
        }
        if self._has_other_files():
            repair = "Name another folder with --out; nothing in this one is touched."
            refusals["none"] = ("this folder is not empty and is not a cortexgraph run", repair)
        return refusals

    def _not_to_be_resumed(self) -> dict[State, tuple[str, str]]:
        again = f"Evaluate it with `cortexgraph eval {self.path}`, continue it with --extend N, or start another."
        refusals: dict[State, tuple[str, str]] = {
            "none": ("there is no run here to resume", "Start one without --resume."),
            "started": ("this run was interrupted while it started", "Start it again without --resume."),
        }
        return refusals if self.is_being_extended else refusals | {"finished": ("this run is finished", again)}

    def _not_to_be_extended(self) -> dict[State, tuple[str, str]]:
        resume = f"Finish it with `cortexgraph train --resume --out {self.path}`"
        refusals: dict[State, tuple[str, str]] = {
            "none": ("there is no run here to extend", "Start one without --extend."),
            "started": ("this run was interrupted while it started", "Start it again without --extend."),
            "unfinished": ("this run is not finished", f"{resume}, then extend it."),
        }
        if self.is_being_extended:
            repair = f"{resume}, or remove the folder {self.extension.path}."
            refusals["finished"] = ("an extension of this run is not finished", repair)
        return refusals

    def _has_other_files(self) -> bool:
        """Whether the folder holds files other than those that a run leaves if it is killed at its start."""
        names = {path.name for path in self.path.iterdir()} if self.path.exists() else set()
        left = {path.name for path in leftovers(self.settings)}
        return bool(names - left - {self.lock.name})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """In the first process, keep other runs from writing into the folder, which is made where it is missing."""
        with locked(self.lock, "another process is training in this folder") if is_first_process() else nullcontext():
            yield

    def start(
        self,
        started: Started,
        spec: NetworkSpec,
        card: DataCard,
        rows: Sequence[int] = (),
        initial: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write what makes the folder a run, the settings that mark it first; an earlier run's files go."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for path in (*self._files, self.path / "mlflow.db"):
                path.unlink(missing_ok=True)
            for path in (self.checkpoints, self.tensorboard, self.extension.path, self.path / PART):
                if path.is_dir():
                    shutil.rmtree(path)
        except OSError as error:
            raise self._unwritable(error) from None
        write_json(self.settings, started)
        if initial is not None:
            save_tensors(self.initial, initial, {})
        self.complete(spec, card, rows)

    def complete(self, spec: NetworkSpec, card: DataCard, rows: Sequence[int] = ()) -> None:
        """Write spec, validation rows and data where missing, and remove temporary files of a killed process."""
        self.remove_leftovers()
        if not self.spec.exists():
            with replacing(self.spec, durable=True) as temporary:
                save(spec, temporary)
        if rows and not self.validation.exists():
            write_text(self.validation, json.dumps({"rows": list(rows)}) + "\n", durable=True)
        if not self.data.exists():
            write_json(self.data, card)
        self.checkpoints.mkdir(exist_ok=True)

    def remove_leftovers(self) -> None:
        """Remove temporary files of a process that was killed while it wrote into this folder."""
        for path in (self.settings, *self._files, self.last, self.best, self.within):
            for left in leftovers(path):
                try:
                    left.unlink(missing_ok=True)
                except OSError as error:
                    raise self._unwritable(error) from None

    # ---- reading -------------------------------------------------------------

    def file(self, path: Path) -> Path:
        """The path of a file of this run."""
        if not path.is_file():
            raise self.damaged(path, "is not a file" if path.exists() else "is missing")
        return path

    def read(self, path: Path, kind: type[T]) -> T:
        """A JSON file of this run, as a model or a typed dictionary."""
        try:
            return TypeAdapter(kind).validate_json(self.file(path).read_bytes())
        except OSError as error:
            raise self.damaged(path, f"cannot be read: {error.strerror}") from None
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, details["loc"]))
            problem = "whole" if details["type"] == "json_invalid" else "what a run writes"
            raise self.damaged(path, f"is not {problem}{f' (`{place}`)' if place else ''}") from None

    def read_settings(self) -> Started:
        """How the run was started."""
        if not self.is_run:
            raise self.no_run()
        version = self.read(self.settings, dict[str, JsonValue])[MARK]
        if version != LAYOUT:
            found = f"the layout of this run has version {shortened(str(version))}"
            expected = f"version {LAYOUT} is known"
            repair = "Use the version of cortexgraph that wrote it, or a later one."
            raise DataError(Diagnostic("run-layout", str(self.path), found, expected, repair))
        return self.read(self.settings, Started)

    def train_settings(self) -> TrainSettings:
        """The settings of training, those in force where the file leaves them out."""
        started = self.read_settings()
        try:
            return stored_settings(started.settings | started.machines)
        except SpecError as error:
            place = error.diagnostics[0].place
            name = place.removeprefix("settings.")
            if name in REGISTRIES and isinstance(value := started.settings[name], str):
                raise self._not_registered(name, value) from None
            raise self.damaged(self.settings, f"is not what a run writes (`{place}`)") from None

    def read_card(self) -> DataCard:
        """What the run keeps of its data."""
        return self.read(self.data, DataCard)

    def read_validation(self) -> list[int]:
        """The rows of training images that were set aside for validation; empty without the file."""
        return self.read(self.validation, Validation)["rows"] if self.validation.exists() else []

    def identity(self, spec: NetworkSpec, card: DataCard) -> str:
        """A digest of all that decides the weights of this run."""
        return identity(spec.digest, self.read_settings(), card, self.read_validation())

    def read_summary(self) -> Summary:
        """The results of a finished run."""
        return self.read(self.summary, Summary)

    def read_spec(self, overrides: Sequence[str | Override] = ()) -> NetworkSpec:
        """The spec, with changes that are the user's own: SpecError for one that is not of the language."""
        path = self.file(self.spec)
        try:
            spec = load(path)
        except CortexGraphError as error:
            if any(finding.code == "language-version" for finding in error.diagnostics):
                raise
            raise self.damaged(path, "cannot be read as a spec") from None
        for readout in spec.readouts:
            if readout.loss is not None and readout.loss not in LOSSES:
                raise self._not_registered("loss", readout.loss)
        return load(path, overrides) if overrides else spec

    def read_last(self) -> dict[str, Any]:
        """The checkpoint of the last epoch, every byte checked; `state_dict` has the names of the network."""
        return self._checkpoint(self.last)

    def read_newest(self, processes: int | None = None) -> tuple[Path, dict[str, Any]] | None:
        """The checkpoint from which a resumed run goes on: within an epoch, or of the last one; None without any.

        Where `processes` go on, the middle of an epoch that another number of them wrote is left out.
        """

        def fits(checkpoint: dict[str, Any]) -> bool:
            within = checkpoint["callbacks"]["Recorder"].get("within")
            return not within or processes in (None, len(within["processes"]))

        every = [(path, self._checkpoint(path)) for path in (self.last, self.within) if path.exists()]
        every = [(path, checkpoint) for path, checkpoint in every if fits(checkpoint)]
        epochs = [len(checkpoint["callbacks"]["Recorder"]["history"]) for _, checkpoint in every]
        return next((each for each, n in zip(every[::-1], epochs[::-1], strict=True) if n == max(epochs)), None)

    def _checkpoint(self, path: Path) -> dict[str, Any]:
        import torch

        if path != self.within and not self.last.exists():
            raise self.too_young()
        self.file(path)
        try:
            with zipfile.ZipFile(path) as archive:
                intact = archive.testzip() is None  # compares checksums, which torch does not
            checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            intact = intact and all(checkpoint[key] for key in PARTS)
            intact = intact and all(optimizer["state"] for optimizer in checkpoint["optimizer_states"])
            recorded = checkpoint["callbacks"]["Recorder"]
            intact = intact and bool(recorded.get("within") or recorded["history"]) and checkpoint["global_step"] > 0
            values = {name: value.detach() for name, value in checkpoint["state_dict"].items()}
        except Exception:  # torch raises whatever its unpickler met
            intact = False
        if not intact:
            raise self.damaged(path, "is not whole")
        averaged = "averaged.module."
        prefix = averaged if any(name.startswith(averaged) for name in values) else "network."
        state = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
        return {**checkpoint, "state_dict": state}

    def read_initial(self) -> dict[str, Tensor] | None:
        """The weights from which training started; None if they were new."""
        digest = self.read_settings().initial
        if digest and tensors_digest(state := self.tensors(self.initial)[0]) != digest:
            raise self.damaged(self.initial, "is not whole")
        return state if digest else None

    def read_weights(self, spec: NetworkSpec, card: DataCard) -> dict[str, Tensor]:
        """The weights that the run keeps, every byte checked, which belong to the spec, the settings and the data."""
        if not self.weights.exists() and not self.last.exists():
            raise self.too_young()
        path = self.weights
        state, metadata = self.tensors(path)
        if metadata.get("spec_sha256") != spec.digest:
            raise self.damaged(path, "belongs to another spec than spec.yaml")
        if metadata.get("tensors_sha256", digest := tensors_digest(state)) != digest:  # version 0.1 wrote none
            raise self.damaged(path, "is not whole")
        if "identity" in metadata and metadata["identity"] != self.identity(spec, card):
            raise self.damaged(self.settings, "or data.json is not what the run was started with")
        return state

    def tensors(self, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The tensors and the metadata of a safetensors file of this run."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file(path), framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        except (OSError, SafetensorError):
            raise self.damaged(path, "is not whole") from None

    def read_epoch(self, epoch: Literal["best", "last"], spec: NetworkSpec, card: DataCard) -> dict[str, Tensor]:
        """The weights of the best or the last epoch, from a checkpoint, or where those were left out from `weights`."""
        path = self.last if epoch == "last" else self.best
        if self.checkpoints.exists() or not self.is_finished:
            state: dict[str, Tensor] = self._checkpoint(path)["state_dict"]
            return state
        summary = self.read_summary()
        if (summary.epochs if epoch == "last" else summary.best_epoch) != (summary.kept_epoch or summary.best_epoch):
            raise self.damaged(path, "is missing")
        return self.read_weights(spec, card)

    # ---- findings ------------------------------------------------------------

    def no_run(self) -> DataError:
        """This is not the folder of a run."""
        found = "this is not a cortexgraph run" if self.path.exists() else "this does not exist"
        found += f", and files that may hold code are not read ({quoted(self.code)})" * bool(self.code)
        expected = "a folder that `cortexgraph train` wrote is needed"
        repair = "Give the folder that was named with --out."
        return DataError(Diagnostic("no-run", str(self.path), found, expected, repair))

    def too_young(self) -> DataError:
        """Nothing was trained yet."""
        repair = f"Resume it with `cortexgraph train --resume --out {self.path}`."
        return self._refusal("this run has not finished its first epoch", repair)

    def damaged(self, path: Path, problem: str) -> DataError:
        """A file of this run is not as it was written."""
        found = f"{path.relative_to(self.path)} {problem}"
        repair = "Restore the file from a copy of the folder, or train again."
        if self.extension.summary.exists():  # interrupted while it took the place of this run
            repair = f"Finish its extension with `cortexgraph train --resume --out {self.path}`."
        return DataError(Diagnostic("damaged-run", str(self.path), found, repair=repair))

    def _not_registered(self, kind: str, name: str) -> DataError:
        found = f"its {kind} `{shortened(name)}` is not registered"
        repair = "Import the Python file that registers it: --import FILE."
        return DataError(Diagnostic("not-registered", str(self.path), found, repair=repair))

    def _unwritable(self, error: OSError) -> DataError:
        return self._refusal(f"it cannot be written: {error.strerror}", "Name another folder with --out.")

    def _refusal(self, found: str, repair: str) -> DataError:
        return DataError(Diagnostic("run-folder", str(self.path), found, repair=repair))


# ---- writing -----------------------------------------------------------------------


def write_json(path: Path, content: BaseModel | Mapping[str, object]) -> None:
    """Write a JSON object for people and programs, whole or not at all."""
    values = content.model_dump(mode="json", exclude_unset=True) if isinstance(content, BaseModel) else content
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n", durable=True)


def tensors_digest(state: Mapping[str, Tensor]) -> str:
    """A digest of the names, types, shapes and bytes of tensors."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_tensors(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors of a processor as safetensors, with a digest of them, whole or not at all."""
    from safetensors.torch import save

    data = save(dict(state), {**metadata, "tensors_sha256": tensors_digest(state)})
    write_bytes(path, data, durable=True)  # `save_file` has an error of its own for a full disk
