"""`pack`: a run as the few files that another machine needs, without paths of this one."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from cortexgraph.arguments import arguments_explained
from cortexgraph.data.load import is_name
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.files import new_folder, write_text
from cortexgraph.spec import save
from cortexgraph.training.records import Started, summary_text
from cortexgraph.training.run import TrainedRun, opened
from cortexgraph.training.run_folder import LAYOUT, RunFolder, save_tensors, write_json

MAX_BYTES = 5_000_000
"""Of the weights of a network that ships."""


@arguments_explained
def pack(run: str | Path | TrainedRun, out: str | Path, *, data: str) -> Path:
    """Copy the files that another machine needs to use a run: spec, weights, classes, settings and summary.

    Paths of this machine are left out. The copy is a run folder without checkpoints, which `load_run` opens.

    Args:
        run: a finished run or its folder.
        out: the folder to make.
        data: what the images were, in words.

    Returns:
        `out`.

    Raises:
        DataError: if the run is not finished, its weights are larger than 5 MB, or `out` exists.
    """
    trained, target = opened(run), Path(out)
    if (size := trained.folder.file(trained.folder.weights).stat().st_size) > MAX_BYTES:
        found = f"its weights have {size:,} bytes, but {MAX_BYTES:,} are the most"
        raise unpackable(trained.folder.path, found, "Train a smaller network.")
    with new_folder(target) as folder:
        write_packed(trained, folder, data=data)
    return target


def write_packed(run: TrainedRun, folder: Path, *, data: str, name: str = "") -> None:
    """Write the files of a packed run into a folder that is there.

    Args:
        run: finished, or the checkpoint of a released model, which becomes a run whose training is not known.
        folder: where to write.
        data: what the images were, in words.
        name: of the run; by default that of the folder.

    Raises:
        DataError: if the run is not finished, or a file is missing or damaged.
    """
    source, target = run.folder, RunFolder(folder)
    if source.is_run:
        _copy(source, target, data, name or folder.name)
    else:
        save(run.spec, target.spec)
        save_tensors(target.weights, run.weights, {"spec_sha256": run.spec.digest})
        write_json(target.settings, Started(cortexgraph_run=LAYOUT, settings={}, spec_sha256=run.spec.digest))
    write_json(target.data, run.card.model_copy(update={"name": data, "load_data": None}))


def _copy(source: RunFolder, target: RunFolder, data: str, name: str) -> None:
    """The files of a finished run, without paths of this machine; `data.json` is left out."""
    stored = source.read_settings()
    if not source.is_finished:
        raise unpackable(source.path, "this run is not finished", "Finish it with `cortexgraph train --resume`.")
    files = [source.file(path) for path in source.unchanged if path != source.validation or path.exists()]
    card, summary = source.read_card(), source.read_summary()
    state, metadata = source.tensors(source.weights)
    command = _shared(summary.command, source.path, card.name)
    own = {"command": command, "init_from": Path(summary.init_from).name}
    summary = summary.model_copy(update={"run": Path(name), "data": data, **own})
    for file in files:
        shutil.copyfile(file, target.path / file.name)
    save_tensors(target.weights, state, metadata | {"data": data})
    write_json(target.summary, summary)
    write_text(target.summary_text, summary_text(summary))
    write_json(target.settings, stored.model_copy(update=own))


def _shared(command: str, run: Path, data: str) -> str:
    """A command line with RUN and DIR in place of the folders of the run and of its data."""
    known = {str(run): "RUN"} | ({} if is_name(data) else {data: "DIR"})
    words = (word.rpartition("=") if word.startswith("-") else ("", "", word) for word in shlex.split(command))
    return _without_paths(shlex.join(f"{key}{sign}{known.get(value, value)}" for key, sign, value in words))


def _without_paths(command: str) -> str:
    """A command line without the folders of this machine: of a whole path, only the last name is left."""
    whole = re.compile(r"((?:-[^=]*=)?)(?:~|/|[A-Za-z]:[/\\]).*?([^/\\]*)[/\\]?", re.DOTALL)
    words = [(word, whole.fullmatch(word)) for word in shlex.split(command)]
    return shlex.join(f"{path[1]}{path[2]}" if path else word for word, path in words)


def unpackable(path: Path, found: str, repair: str) -> DataError:
    """A run that cannot be packed, or a place to which it cannot."""
    return DataError(Diagnostic("pack", str(path), found, repair=repair))
