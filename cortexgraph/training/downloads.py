"""Runs from the Hugging Face hub: only the files of a packed run are downloaded, none of which holds code."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.extras import require
from cortexgraph.training.run_folder import RunFolder

FILES = [path.name for path in RunFolder("").packed]
"""What is downloaded: the files of a packed run."""

NAME = re.compile(r"[\w.-]+/[\w.-]+")
ADDRESS = re.compile(rf"hf:/{{1,2}}({NAME.pattern})(?:@(.+))?")
"""`hf://org/name`, with or without a revision; a `Path` drops the second slash, and turns them round on Windows."""


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
    return Path(folder)


def refusal(name: str, error: Exception, revision: str | None = None) -> DataError:
    """What the hub or its client says is wrong, as a finding."""
    from huggingface_hub import errors

    found, repair = (str(error).strip().splitlines() or [type(error).__name__])[0], ""
    if isinstance(error, errors.GatedRepoError):
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
