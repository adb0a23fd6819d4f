"""Extending a finished run by more epochs.

Until the extension is finished it is a separate unfinished run, in the folder `extension` of the run, which does not
change. The finished extension then takes the place of the run, file by file.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from cortexgraph.errors import CortexGraphError
from cortexgraph.files import write_bytes
from cortexgraph.training.records import Summary
from cortexgraph.training.run_folder import LOCK, PART, RunFolder, save_tensors, write_json


def begin_extension(run: RunFolder, epochs: int, command: str) -> None:
    """Copy a finished run into its extension, as an unfinished run of `epochs` more epochs.

    The schedule of the learning rate starts again (`TrainSettings.restarts`); the state of the optimiser stays.

    Args:
        run: finished and whole.
        epochs: how many more.
        command: the command line, if there is one.
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
    """Replace the run by its finished extension; also completes a replacement that was interrupted.

    Returns:
        The summary of the whole run.
    """
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
