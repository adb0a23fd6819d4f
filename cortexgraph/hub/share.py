"""`push` and `from_pretrained`: a packed run with a card, as a folder or on the Hugging Face hub."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cortexgraph.arguments import arguments_explained
from cortexgraph.drawing import draw
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.extras import require
from cortexgraph.files import new_folder, write_text
from cortexgraph.hub.card import DATASETS, DRAWING, card_text
from cortexgraph.training.named_runs import FILES, NAME, download, hub_name, refusal
from cortexgraph.training.packing import write_packed
from cortexgraph.training.run import At, TrainedRun, load_run, opened
from cortexgraph.training.run_folder import RunFolder
from cortexgraph.version import __version__

if TYPE_CHECKING:
    from cortexgraph.checks.behaviour import Record
    from cortexgraph.unrolling import Order


@arguments_explained
def from_pretrained(
    name: str | Path,
    *,
    revision: str | None = None,
    local_files_only: bool = False,
    steps: int | None = None,
    order: Order | None = None,
    at: At | None = None,
    record: Record | None = None,
) -> TrainedRun:
    """Open a trained network from the Hugging Face hub, or from a folder.

    Only the spec, the weights (safetensors) and tables are downloaded and read; no code.

    Args:
        name: `org/name` on the hub, or a folder that `push` or `train` wrote, which goes first; or the name of a
            network that ships.
        revision: a branch, tag or commit of the hub; by default the newest.
        local_files_only: take it from the cache and do not ask the hub.
        steps: number of steps T of `network`, as for `load_run`; by default as trained.
        order: order of its updates; by default as trained.
        at: steps at which it is read; by default as trained.
        record: states that it records; none by default.

    Raises:
        DataError: if it cannot be had, or is not whole.
        SpecError: if its spec is of a later version of the language.
        MissingPackageError: if it is on the hub and huggingface_hub is not installed.

    Examples:
        >>> run = from_pretrained("ventral-cifar10")
        >>> run.spec.name, len(run.classes)
        ('ventral', 10)
    """
    remote = hub_name(name) or ((str(name), None) if NAME.fullmatch(str(name)) else None)
    folder = Path(name)
    if remote is not None and not folder.exists():
        folder = download(remote[0], revision or remote[1], local_files_only=local_files_only)
    elif revision is not None:
        found, repair = "a folder has no revisions", "Leave it out."
        raise DataError(Diagnostic("hub", "revision", found, repair=repair))
    return load_run(folder, steps=steps, order=order, at=at, record=record)


# ---- sharing -----------------------------------------------------------------------


@arguments_explained
def write_shared(
    run: str | Path | TrainedRun,
    out: str | Path,
    *,
    name: str | None = None,
    data: str | None = None,
    licence: str | None = None,
    datasets: Sequence[str] | None = None,
) -> Path:
    """Write the folder that `push` uploads: a packed run, README.md and a drawing.

    Args:
        run: a finished run or its folder, the name of a network that ships, or the checkpoint of a released model, as
            `load_run` opens it.
        out: the folder to make.
        name: on the hub, for the card; by default the folder.
        data: what the images were, in words; by default the name of the data set.
        licence: identifier of a licence for the card, such as `mit`.
        datasets: identifiers of data sets on the hub; by default that of CIFAR-10 where it was trained on it.

    Returns:
        `out`.

    Raises:
        DataError: if the run is not finished or damaged, or `out` exists or cannot be written.
    """
    trained, out = opened(run), Path(out)
    known = [DATASETS[trained.data]] if trained.data in DATASETS else []
    with new_folder(out) as folder:
        write_packed(trained, folder, data=data or Path(trained.data).name, name=(name or out.name).rpartition("/")[2])
        packed = RunFolder(folder)
        summary = packed.read_summary() if packed.is_finished else None
        place = name or (str(out) if out.is_absolute() else f"./{out.as_posix()}")
        card = card_text(trained, summary, place, licence, known if datasets is None else datasets)
        draw(trained.spec, folder / DRAWING)
        write_text(folder / "README.md", card)
    return out


@arguments_explained
def push(
    run: str | Path | TrainedRun,
    name: str,
    *,
    private: bool = False,
    data: str | None = None,
    licence: str | None = None,
    datasets: Sequence[str] | None = None,
) -> str:
    """Share a trained network on the Hugging Face hub; an earlier one of this name gets a new commit.

    Args:
        run: as for `write_shared`.
        name: `org/name`, or `user/name`.
        private: whether a new repository is private.
        data: what the images were, in words; by default the name of the data set.
        licence: identifier of a licence for the card, such as `mit`.
        datasets: identifiers of data sets on the hub, for the card.

    Returns:
        The address of the commit.

    Raises:
        DataError: if the run is not finished or damaged, you are not logged in, or the hub refuses it.
        MissingPackageError: if huggingface_hub is not installed.
    """
    require("hub")
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import LocalTokenNotFoundError

    if not NAME.fullmatch(name):
        found, expected = f"`{name}` was given", "a name is `org/name` or `user/name`"
        raise DataError(Diagnostic("hub", "name", found, expected, "Give your user name first."))
    if get_token() is None:
        raise refusal(name, LocalTokenNotFoundError())
    with tempfile.TemporaryDirectory(prefix="cortexgraph-") as temporary:
        folder = write_shared(run, Path(temporary) / "shared", name=name, data=data, licence=licence, datasets=datasets)
        message = f"Share {RunFolder(folder).read_spec().name} by cortexgraph {__version__}"
        repair = ""
        try:
            api = HfApi(library_name="cortexgraph", library_version=__version__)
            api.create_repo(name, private=private, exist_ok=True)
            repair = "Repeat the command; until it succeeds, the hub shows what it showed before."
            commit = api.upload_folder(repo_id=name, folder_path=folder, commit_message=message, delete_patterns=FILES)
        except Exception as error:  # of the hub, of its client, and of the network
            raise refusal(name, error, repair=repair) from None
    return str(commit.commit_url)
