"""Whatever a file says, only a SpecError comes out, and it can be printed."""

import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cortexgraph.compiler import check
from cortexgraph.errors import SpecError
from cortexgraph.spec import loads, zoo
from cortexgraph.spec.overrides import parse_overrides
from tests.bounded import bounded
from tests.fuzz import mutated_lines, mutated_text

VALID = sorted((Path(__file__).parents[1] / "specs" / "valid").glob("*.yaml"))


def test_mutated_overrides():
    source = random.Random(0)
    base = VALID[0].read_text(encoding="utf-8")
    for _ in range(150):
        override = mutated_text("areas['V1'].size=[8, 8]", source)
        try:
            loads(base, overrides=[override])
        except SpecError as error:
            assert "[" in str(error).encode().decode()


def test_nothing_is_executed(tmp_path: Path):
    trace = tmp_path / "trace"
    for text in (
        f'!!python/object/apply:os.system ["touch {trace}"]',
        f'name: !!python/object/apply:os.system ["touch {trace}"]',
    ):
        with pytest.raises(SpecError, match="is a YAML tag"):
            loads(text)
    with pytest.raises(SpecError, match="is a YAML tag"):
        parse_overrides([f'name=!!python/object/apply:os.system ["touch {trace}"]'])
    assert not trace.exists()


DEFAULT, MANY = 150, 2000


def outcomes_of_line_mutants(seed: int, count: int) -> Counter[str]:
    """What becomes of mutants of the zoo's files; each must end in 10 s of processor time."""

    def too_slow(*_: Any) -> None:
        raise TimeoutError(f"slow:\n{text}")

    signal.signal(signal.SIGPROF, too_slow)
    source, outcomes = random.Random(seed), Counter[str]()
    texts = [path.read_text(encoding="utf-8") for path in zoo().values()]
    for _ in range(count):
        text = mutated_lines(source.choice(texts), source)
        signal.setitimer(signal.ITIMER_PROF, 10)
        try:
            findings = check(loads(text, file="mutant.yaml"))
            outcomes["found fault with" if findings else "fine"] += 1
        except SpecError as error:
            findings = list(error.diagnostics)
            outcomes["refused"] += 1
        signal.setitimer(signal.ITIMER_PROF, 0)
        assert str(findings).encode().decode().replace("\n", "").isprintable()
    return outcomes


def test_mutants_of_lines_end_in_findings() -> None:
    outcomes = bounded(outcomes_of_line_mutants, 0, DEFAULT, seconds=100)
    assert min(outcomes[name] for name in ("fine", "found fault with", "refused")) > 2, outcomes


@pytest.mark.slow  # a minute
def test_two_thousand_mutants_of_lines() -> None:
    assert bounded(outcomes_of_line_mutants, 1, MANY, seconds=1000).total() == MANY
