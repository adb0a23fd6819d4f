"""Runs by name: in folders, among those that ship, or on the Hugging Face hub, from which no code is downloaded."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.extras import require
from cortexgraph.training.run_folder import RunFolder
from cortexgraph.wording import quoted, similar

SHIPPED = Path(__file__).resolve().parents[1] / "weights"
FILES = [path.name for path in RunFolder("").packed]
"""What is downloaded: the files of a packed run."""
CLIENTS = {"requests", "httpx", "httpx2"}
"""Packages by which versions of huggingface_hub send requests; their errors are those of the connection."""

NAME = re.compile(r"[\w.-]+/[\w.-]+")
ADDRESS = re.compile(rf"hf:/{{1,2}}({NAME.pattern})(?:@(.+))?")
"""`hf://org/name`, with or without a revision; a `Path` drops the second slash, and turns them round on Windows."""


def packed() -> dict[str, Path]:
    """The folder of each trained network that ships, by name."""
    return {path.parent.name: path.parent for path in sorted(SHIPPED.glob("*/settings.json"))}


def find_run(name: str | Path) -> RunFolder:
    """The run in a folder, the trained network of that name that ships, or one of the hub (`hf://org/name`).

    Raises:
        DataError: if there is none.
    """
    if (remote := hub_name(name)) is not None:
        return RunFolder(download(*remote))
    shipped = packed()
    is_other = str(name) in shipped and not RunFolder(name).is_run  # a file or folder that only has the name
    if (Path(name).exists() and not is_other) or (str(name) not in shipped and Path(name).parent != Path()):
        return RunFolder(name)
    if str(name) in shipped:
        return RunFolder(shipped[str(name)])
    guess = similar(str(name), list(shipped))
    listing = f"the trained networks that ship are {quoted(shipped)}" if shipped else "none ships"
    repair = f"Did you mean `{guess}`?" if guess else "Give the folder of a run, or one of these names."
    raise DataError(Diagnostic("no-run", str(name), "this folder does not exist", listing, repair))


def hub_name(text: str | PurePath) -> tuple[str, str | None] | None:
    """The name and revision of an address such as `hf://org/name@v1`; None if it is something else."""
    match = ADDRESS.fullmatch(str(text).replace("\\", "/"))
    return None if match is None else (match[1], match[2])


def download(name: str, revision: str | None = None, *, local_files_only: bool = False) -> Path:
    """The folder, in the user's cache, of a network of the hub: of the main branch, or of a branch, tag or commit.

    With `local_files_only` the hub is not asked. Raises DataError if it cannot be had, MissingPackageError without
    huggingface_hub.
    """
    require("hub")
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=FILES, local_files_only=local_files_only, library_name="cortexgraph"
        )
    except Exception as error:  # of the hub, of its client, and of the network
        raise refusal(name, error, revision) from None
    if not any((Path(folder) / file).exists() for file in FILES):
        found, repair = "it holds no network of cortexgraph", "Name a repository that `cortexgraph push` filled."
        raise DataError(Diagnostic("hub", f"hf://{name}", found, repair=repair))
    return Path(folder)


def refusal(name: str, error: Exception, revision: str | None = None, repair: str = "") -> DataError:
    """What the hub or its client says is wrong, as a finding; with this repair where no other is known."""
    from huggingface_hub import errors

    cause = error.__cause__ if type(error) is RuntimeError and error.__cause__ is not None else error  # of an upload
    found = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    if _status(cause) == 401 and not isinstance(cause, errors.RepositoryNotFoundError):
        found, repair = "the hub does not accept your token", "Run `hf auth login`, or correct HF_TOKEN."
    elif type(cause).__module__.partition(".")[0] in CLIENTS:
        found, repair = f"the hub was not reached ({found})", repair or "Try again when you are online."
    elif isinstance(error, errors.GatedRepoError):
        found, repair = "access to it must be asked for", f"Ask for it at https://huggingface.co/{name}."
    elif isinstance(error, errors.RepositoryNotFoundError):
        found, repair = "the hub has no such network, or it is private", "Correct the name, or run `hf auth login`."
    elif isinstance(error, errors.RevisionNotFoundError):
        found, repair = f"it has no revision `{revision}`", "Name a branch, tag or commit of it."
    elif isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        found, repair = "it is not in the cache, and the hub was not reached", "Try again when you are online."
    elif isinstance(error, errors.LocalTokenNotFoundError):
        found, repair = "you are not logged in", "Run `hf auth login`, or set HF_TOKEN."
    elif isinstance(error, OSError) and error.filename is not None:
        found, repair = f"{error.filename}: {error.strerror}", "Make room, or set HF_HOME to another folder."
    return DataError(Diagnostic("hub", f"hf://{name}", found, repair=repair))


def _status(error: BaseException) -> int | None:
    """The status of the answer that an error of the hub's client is about."""
    return getattr(getattr(error, "response", None), "status_code", None)
