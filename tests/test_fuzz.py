"""Of thousands of mutants of valid specs, each compiles or is refused with findings: in little time and memory."""

from __future__ import annotations

import pytest

from tests.bounded import bounded
from tests.fuzz import fuzz

DEFAULT, MANY = 500, 20_000


@pytest.mark.parametrize("seed", range(4))
def test_mutants_compile_or_are_refused_with_findings(seed: int) -> None:
    outcomes, failures = bounded(fuzz, seed, DEFAULT, seconds=300)
    assert not failures, failures[0]
    assert outcomes.total() == DEFAULT
    assert min(outcomes[name] for name in ("compiled", "found fault with", "refused")) > DEFAULT // 20, outcomes


@pytest.mark.slow  # two minutes
def test_twenty_thousand_mutants() -> None:
    outcomes, failures = bounded(fuzz, 1000, MANY, seconds=7200)
    assert not failures, f"{len(failures)} failures, the first:\n{failures[0]}"
    assert outcomes.total() == MANY
