"""Options and settings of the whole suite."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side: one torch thread each
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process of the suite compiles the sources of torch again
sys.dont_write_bytecode = False

typer.main.get_command = cache(typer.main.get_command)  # else each call of the command line builds all commands again

# The suite asks the same of every machine. To hunt with new examples: pytest --hypothesis-profile random
settings.register_profile("fixed", derandomize=True, database=None)
settings.register_profile("random", settings.get_profile("default"))
settings.load_profile("fixed")

POSIX = (
    "cli/test_streams.py", "cli/test_command_fuzz.py", "data/test_awkward_files.py", "data/test_decode.py",
    "experiment/test_compare.py", "pages/test_watch.py", "recording", "spec/test_hostile_specs.py",
    "spec/test_limits.py", "test_files.py", "test_fuzz.py", "training/test_kills.py", "training/test_progress.py",
    "training/test_resume.py", "training/test_run_folder.py", "training/test_tampered.py",
)  # fmt: skip
"""Tests that need signals, forks, limits on memory, pipes or a shell."""
collect_ignore = [*POSIX] if sys.platform == "win32" else []

GOLDENS = Path(__file__).parent / "goldens"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="rewrite the files under tests/goldens")


def pytest_collection_finish() -> None:
    gc.freeze()  # what the imports made stays to the end: no collection has to look through it again
    atexit.register(gc.unfreeze)


class Golden:
    """Compares text with a file under tests/goldens, or rewrites it with --update-goldens."""

    def __init__(self, update: bool) -> None:
        self.update = update

    def __call__(self, name: str, text: str) -> None:
        path = GOLDENS / name
        if self.update:
            path.write_text(text)
        assert text == path.read_text(), f"{name} differs: look at it, then run pytest --update-goldens"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For networks that are too small to share among threads, and code that sets their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.config.getoption("--update-goldens"))
