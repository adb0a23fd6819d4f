"""The folder of a run: its files, who may write into it, and what it says of itself."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from cortexgraph.errors import CortexGraphError, DataError, Diagnostic, SpecError
from cortexgraph.files import remove_leftovers, replacing, write_text
from cortexgraph.spec import NetworkSpec, load, save
from cortexgraph.spec.overrides import Override
from cortexgraph.training.settings import TrainSettings

__all__ = ["RunFolder", "writing"]

MARK, LAYOUT = "cortexgraph_run", 1
"""Key in `settings.json` that makes a folder a run; its value is the version of the layout."""
PARTS = ("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks")
"""What a checkpoint holds, and resuming needs."""


class _Origin(BaseModel, extra="forbid", strict=True):
    """Arguments of `load_data`, which a run may keep."""

    source: str
    size: list[int] | None = None
    channels: int = 3
    seed: int = 0
    root: str | None = None
    download: bool = False
    train_images: int | None = None
    test_images: int | None = None
    cache: bool = True


class _Card(BaseModel, extra="allow", strict=True):
    """What `data_card` makes, as far as it is read again."""

    name: str
    classes: list[str] = Field(min_length=1)
    mean: list[FiniteFloat] = Field(min_length=1)
    std: list[Annotated[FiniteFloat, Field(gt=0)]] = Field(min_length=1)
    load_data: _Origin | None


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary file that becomes `path` when the block ends well, once its bytes are on the disk.

    Until then a file of that name stays as it was: at no time is it missing or half written.
    """
    with replacing(path) as temporary:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())


class RunFolder:
    """Paths of a run's files, and the rules for starting, resuming and reading one.

    Args:
        path: the folder, which need not exist.
    """

    FILES = (
        "spec.yaml",
        "model.py",
        "areas.svg",
        "areas.pdf",
        "unrolled.svg",
        "unrolled.pdf",
        "data.json",
        "metrics.csv",
        "weights.safetensors",
        "curves.png",
        "curves.svg",
        "summary.json",
        "summary.md",
        "settings.json",
    )
    """All files, in the order in which they are removed: the mark goes last, so that a folder stays a run."""
    FOLDERS = ("checkpoints", "tensorboard")

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.spec, self.source = self.path / "spec.yaml", self.path / "model.py"
        self.settings, self.data = self.path / "settings.json", self.path / "data.json"
        self.metrics, self.weights = self.path / "metrics.csv", self.path / "weights.safetensors"
        self.checkpoints, self.tensorboard = self.path / "checkpoints", self.path / "tensorboard"
        self.last, self.best = self.checkpoints / "last.ckpt", self.checkpoints / "best.ckpt"
        self.summary, self.summary_text = self.path / "summary.json", self.path / "summary.md"
        self.lock = self.path / ".run.lock"

    # ---- what it is ----------------------------------------------------------

    @property
    def is_run(self) -> bool:
        """Whether this is the folder of a run, finished or not."""
        try:
            found = json.loads(self.settings.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(found, dict) and MARK in found

    @property
    def is_finished(self) -> bool:
        return self.is_run and self.summary.exists()

    # ---- starting ------------------------------------------------------------

    def check_startable(self, *, resume: bool = False, overwrite: bool = False) -> None:
        """Say whether a run may start, or resume, here; changes nothing.

        Raises:
            DataError: if it may not, with what to do instead.
        """
        if resume and overwrite:
            raise self._refusal("both resume and overwrite were asked for", "Choose one of them.")
        if self.path.exists() and not self.path.is_dir():
            raise self._refusal("this is a file, not a folder", "Name another folder.")
        if resume:
            self._check_resumable()
        elif self.is_run and not overwrite:
            if self.is_finished:
                raise self._refusal("this folder holds a finished run", "Name another with --out, or give --overwrite.")
            raise self._refusal(
                "this folder holds an unfinished run", "Continue it with --resume, or give --overwrite."
            )
        elif not self.is_run and self.path.exists() and any(self.path.iterdir()) and not self.lock.exists():
            raise self._refusal(
                "this folder is not empty and is not a cortexgraph run",
                "Name another folder with --out; nothing in this one is touched.",
            )

    def _check_resumable(self) -> None:
        if not self.is_run:
            raise self._refusal("there is no run here to resume", "Start one without --resume.")
        if self.is_finished:
            raise self._refusal(
                "this run is finished", f"Evaluate it with `cortexgraph eval {self.path}`, or start another."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing into the folder, which is made where it is missing.

        The lock file of a process that was killed stays, unlocked: a folder that holds one is one in which a run
        was starting, so that another may start there.

        Raises:
            DataError: if another process writes into it, or it cannot be written.
        """
        from filelock import FileLock, Timeout

        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.lock, timeout=0).acquire()
        except Timeout:
            repair = "Wait until it has finished, or name another folder with --out."
            raise self._refusal("another process is training in this folder", repair) from None
        except OSError as error:
            raise self._unwritable(error) from None
        with lock:
            try:
                yield
            finally:
                self.lock.unlink(missing_ok=True)

    def start(
        self, settings: dict[str, Any], spec: NetworkSpec | None = None, card: dict[str, Any] | None = None
    ) -> None:
        """Write what makes the folder a run, the settings that mark it last; an earlier run's files go.

        Raises:
            DataError: if it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in self.FOLDERS:
                if (self.path / name).is_dir():
                    shutil.rmtree(self.path / name)
            self.remove_leftovers()
            for name in self.FILES:
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None
        if spec is not None:
            self.write_spec(spec)
        if card is not None:
            write_json(self.data, card)
        write_json(self.settings, {MARK: LAYOUT, **settings})
        self.checkpoints.mkdir(exist_ok=True)

    def write_spec(self, spec: NetworkSpec) -> None:
        """Write the spec, whole or not at all."""
        with writing(self.spec) as temporary:
            save(spec, temporary)

    def remove_leftovers(self) -> None:
        """Remove temporary files of a process that was killed while it wrote into this folder.

        Raises:
            OSError: if one cannot be removed.
        """
        for path in (*(self.path / name for name in self.FILES), self.last, self.best):
            remove_leftovers(path)

    # ---- reading -------------------------------------------------------------

    def read_settings(self) -> dict[str, Any]:
        """What `start` was given.

        Raises:
            DataError: if this is not a run, or is one of a later layout.
        """
        if not self.is_run:
            raise self.no_run()
        stored: dict[str, Any] = json.loads(self.settings.read_text(encoding="utf-8"))
        if (version := stored.pop(MARK)) != LAYOUT:
            found, expected = f"the layout of this run has version {version}", f"version {LAYOUT} is known"
            repair = "Use the version of cortexgraph that wrote it, or a later one."
            raise DataError(Diagnostic("run-layout", str(self.path), found, expected, repair))
        return stored

    def train_settings(self) -> TrainSettings:
        """The settings of training, those in force where the file leaves them out.

        Raises:
            DataError: if this is not a run, or they are damaged.
        """
        settings = self.read_settings().get("settings")
        if not isinstance(settings, dict):
            raise self.damaged(self.settings, "is not what a run writes (`settings`)")
        try:
            return TrainSettings.model_validate(settings)
        except SpecError as error:
            place = error.diagnostics[0].place
            raise self.damaged(self.settings, f"is not what a run writes (`{place}`)") from None

    def read_spec(self, overrides: Sequence[str | Override] = ()) -> NetworkSpec:
        """The spec, with changes that are the user's own.

        Raises:
            DataError: if it is missing or damaged.
            SpecError: for a change that is not of the language.
        """
        if not self.spec.exists():
            raise self.damaged(self.spec, "is missing")
        try:
            spec = load(self.spec)
        except CortexGraphError:
            raise self.damaged(self.spec, "cannot be read as a spec") from None
        return load(self.spec, overrides) if overrides else spec

    def read_last(self) -> dict[str, Any]:
        """The checkpoint of the last epoch, every byte checked; `state_dict` has the names of the network.

        Raises:
            DataError: if it is missing or damaged.
        """
        import torch

        if not self.last.exists():
            raise self.too_young()
        try:
            with zipfile.ZipFile(self.last) as archive:
                intact = archive.testzip() is None  # compares checksums, which torch does not
            checkpoint: dict[str, Any] = torch.load(self.last, map_location="cpu", weights_only=True)
            intact = intact and all(checkpoint[key] for key in PARTS)
            intact = intact and all(optimizer["state"] for optimizer in checkpoint["optimizer_states"])
        except Exception:  # torch raises whatever its unpickler met
            intact = False
        if not intact:
            raise self.damaged(self.last, "is not whole")
        state = {name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()}
        return {**checkpoint, "state_dict": state}

    def read_json(self, path: Path) -> dict[str, Any]:
        """A JSON object in this run.

        Raises:
            DataError: if it is missing or damaged.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise self.damaged(path, f"cannot be read: {error.strerror}") from None
        except ValueError:
            raise self.damaged(path, "is not whole") from None
        if not isinstance(found, dict):
            raise self.damaged(path, "is not what a run writes")
        return found

    def read_card(self) -> dict[str, Any]:
        """What the run keeps of its data, as `data_card` made it.

        Raises:
            DataError: if it is missing or damaged.
        """
        card = self.read_json(self.data)
        try:
            found = _Card.model_validate(card)
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            raise self.damaged(self.data, f"is not what a run writes (`{place}`)") from None
        if len(found.mean) != len(found.std):
            raise self.damaged(self.data, "is not what a run writes (`std`)")
        return card

    # ---- complaints ----------------------------------------------------------

    def no_run(self) -> DataError:
        """This is not the folder of a run."""
        found = "is not a cortexgraph run" if self.path.exists() else "does not exist"
        return DataError(
            Diagnostic(
                "no-run",
                str(self.path),
                f"this {found}",
                "a folder that `cortexgraph train` wrote is needed",
                "Give the folder that was named with --out.",
            )
        )

    def too_young(self) -> DataError:
        """Nothing was trained yet."""
        return self._refusal(
            "this run has not finished its first epoch", f"Go on with `cortexgraph train --resume --out {self.path}`."
        )

    def damaged(self, path: Path, found: str) -> DataError:
        """A file of this run is not as it was written."""
        return DataError(
            Diagnostic(
                "damaged-run",
                str(self.path),
                f"{path.relative_to(self.path)} {found}",
                repair="Restore the file from a copy of the folder, or train again.",
            )
        )

    def _unwritable(self, error: OSError) -> DataError:
        return self._refusal(f"it cannot be written: {error.strerror}", "Name another folder with --out.")

    def _refusal(self, found: str, repair: str) -> DataError:
        return DataError(Diagnostic("run-folder", str(self.path), found, repair=repair))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object for people and programs, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
