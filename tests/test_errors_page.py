"""docs/errors.md has every code that the package can say, and the words of today."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]


def script() -> ModuleType:
    source = importlib.util.spec_from_file_location("make_errors", ROOT / "docs" / "make_errors.py")
    assert source is not None
    assert source.loader is not None
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    return module


ERRORS = script()
IN_PYDANTIC = {"bad-chain", "conflict"}
"""Codes that validators raise, and findings pass on."""


def test_every_code_is_documented_and_none_that_is_gone() -> None:
    documented = {code for meanings in ERRORS.MEANINGS.values() for code in meanings}
    assert documented == ERRORS.codes() | IN_PYDANTIC, "add or remove meanings in docs/make_errors.py, and run it"


def test_the_page_of_findings_is_that_of_the_specimens() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert page == ERRORS.page(), "findings have changed: python docs/make_errors.py"


def test_most_findings_about_specs_are_shown_on_a_specimen() -> None:
    shown = ERRORS.examples()
    headings = ("The language", "The network", "Time")
    unshown = {code for heading in headings for code in ERRORS.MEANINGS[heading]} - shown.keys()
    assert unshown <= {
        "invalid",
        "more-findings",
        "silent-record",
        "conflict",
        "not-text",
    }  # YAML cannot write half a character
