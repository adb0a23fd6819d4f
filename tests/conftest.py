"""Options and settings of the whole suite."""

from __future__ import annotations

from pathlib import Path

import pytest

GOLDENS = Path(__file__).parent / "goldens"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="rewrite the files under tests/goldens")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run side by side: one torch thread each."""
    import torch

    torch.set_num_threads(1)


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
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.config.getoption("--update-goldens"))
