"""Absurd values in every option and argument of every command end with a message, never with a traceback."""

from __future__ import annotations

import pytest

from tests.cli.command_fuzz import BASES, commands, fuzz


def test_every_command_is_tried() -> None:
    assert commands().keys() == BASES.keys()


@pytest.mark.filterwarnings("default")
def test_some_absurd_command_lines() -> None:
    codes, failures = fuzz(0, 60)
    assert not failures, failures[0]
    assert codes[1] > 20


@pytest.mark.slow(reason="takes minutes")
@pytest.mark.filterwarnings("default")
def test_many_absurd_command_lines() -> None:
    codes, failures = fuzz(100, 3000)
    assert not failures, f"{len(failures)} failures, the first:\n{failures[0]}"
    assert codes.total() == 3000
